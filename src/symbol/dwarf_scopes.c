/* dwarf_scopes.c: the functions and inlined calls of one compilation unit; see dwarf_unit.h.
 *
 * One pass over the unit's entries, depth first, with an explicit stack. libdw finds the end of an entry's children by
 * reading them when there is no DW_AT_sibling (LLVM never writes it), so a pass costs entries times depth. `work` counts
 * the bytes read again in this way and stops a file made to turn it into hours; so that it is an exact count, children
 * that would be read by libdw anyway are visited here too, and a tree deeper than MT_DWARF_DEPTH_MAX ends the pass. The
 * allowance is 32 times the unit's size: rustc's and Clang's units were seen to need up to 10; a hostile unit can take
 * 1.5 s a megabyte. What was read until then is used.
 */
#include "symbol/dwarf_unit.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

enum { WORK_FACTOR = 32, WORK_FREE = 1 << 20 };

struct level {
    Dwarf_Die die;
    uint32_t scope;     /* innermost scope around the entry */
    uint32_t qualifier; /* innermost qualifier around it */
    bool searched;      /* it has children, and only reading them finds its next sibling */
};

struct walk {
    struct mt_dwarf *dwarf;
    struct mt_unit *unit;
    struct mt_intervals intervals;
    uint64_t work;      /* left */
    Dwarf_Off furthest; /* entry visited last */
    struct level levels[MT_DWARF_DEPTH_MAX];
};

size_t mt_dwarf_add_ranges(struct mt_dwarf *dwarf, Dwarf_Die *die, uint32_t value, uint32_t rank,
                           struct mt_intervals *list)
{
    Dwarf_Addr base = 0, low = 0, high = 0;
    ptrdiff_t at = 0;
    size_t added = 0;
    while ((at = dwarf_ranges(die, at, &base, &low, &high)) > 0) {
        if (!mt_dwarf_spend(dwarf, 1)) {
            break;
        }
        if (high <= low || !mt_elf_is_code(dwarf->file, low)) {
            continue;
        }
        struct mt_interval item = {.low = low, .high = high, .value = value, .rank = rank};
        if (mt_intervals_add(list, item) != MT_OK) {
            break;
        }
        added++;
    }
    return added;
}

static uint32_t number_attribute(Dwarf_Die *die, unsigned name)
{
    Dwarf_Attribute attribute;
    Dwarf_Word value = 0;
    if (dwarf_attr(die, name, &attribute) == NULL || dwarf_formudata(&attribute, &value) != 0 || value > UINT32_MAX) {
        return 0;
    }
    return (uint32_t)value;
}

/* Makes the entry a scope if it has code; returns the innermost scope for its children. */
static uint32_t add_scope(struct walk *walk, const struct level *level, bool inlined, uint32_t depth)
{
    struct mt_scopes *scopes = &walk->unit->scopes;
    Dwarf_Die die = level->die;
    uint32_t outside = inlined ? level->scope : MT_SEGMENT_NONE;
    struct mt_scope *items = mt_array_reserve(scopes->items, scopes->count, &scopes->capacity, sizeof *items);
    if (items == NULL || scopes->count >= MT_SEGMENT_NONE - 1) {
        return outside;
    }
    scopes->items = items;
    uint32_t number = (uint32_t)scopes->count;
    if (mt_dwarf_add_ranges(walk->dwarf, &die, number, depth, &walk->intervals) == 0) {
        return outside;
    }
    items[scopes->count++] = (struct mt_scope){
        .die = dwarf_dieoffset(&die),
        .parent = outside,
        .call_file = inlined ? number_attribute(&die, DW_AT_call_file) : 0,
        .call_line = inlined ? number_attribute(&die, DW_AT_call_line) : 0,
        .inlined = inlined,
    };
    return number;
}

static uint32_t add_qualifier(struct mt_scopes *scopes, Dwarf_Off die, uint32_t parent)
{
    struct mt_qualifier *items =
        mt_array_reserve(scopes->qualifiers, scopes->qualifier_count, &scopes->qualifier_capacity, sizeof *items);
    if (items == NULL || scopes->qualifier_count >= MT_SEGMENT_NONE - 1) {
        return parent;
    }
    scopes->qualifiers = items;
    items[scopes->qualifier_count] = (struct mt_qualifier){.die = die, .parent = parent};
    return (uint32_t)scopes->qualifier_count++;
}

static void add_qualified(struct mt_scopes *scopes, Dwarf_Off die, uint32_t qualifier)
{
    struct mt_qualified *items =
        mt_array_reserve(scopes->qualified, scopes->qualified_count, &scopes->qualified_capacity, sizeof *items);
    if (items != NULL) {
        scopes->qualified = items;
        items[scopes->qualified_count++] = (struct mt_qualified){.die = die, .qualifier = qualifier};
    }
}

/* Looks at one entry; true when its children matter too, and then says what is around them. */
static bool visit_function(struct walk *walk, const struct level *level, uint32_t depth, struct level *children)
{
    struct mt_unit *unit = walk->unit;
    Dwarf_Die die = level->die;
    children->scope = add_scope(walk, level, false, depth);
    if (!unit->mangled) {
        return dwarf_hasattr(&die, DW_AT_declaration) == 0;
    }
    Dwarf_Off offset = dwarf_dieoffset(&die);
    if (level->qualifier != MT_SEGMENT_NONE && mt_die_linkage_name(walk->dwarf, &die) == NULL &&
        mt_dwarf_spend(walk->dwarf, 1)) {
        add_qualified(&unit->scopes, offset, level->qualifier);
    }
    if (dwarf_hasattr(&die, DW_AT_declaration) != 0) {
        return false;
    }
    children->qualifier = add_qualifier(&unit->scopes, offset, level->qualifier);
    return true;
}

static bool visit(struct walk *walk, const struct level *level, uint32_t depth, struct level *children)
{
    Dwarf_Die die = level->die;
    *children = *level;
    switch (dwarf_tag(&die)) {
    case DW_TAG_subprogram:
        return visit_function(walk, level, depth, children);
    case DW_TAG_inlined_subroutine:
        children->scope = add_scope(walk, level, true, depth);
        return true;
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_interface_type:
        if (walk->unit->mangled && dwarf_haschildren(&die) > 0 && mt_dwarf_spend(walk->dwarf, 1)) {
            children->qualifier = add_qualifier(&walk->unit->scopes, dwarf_dieoffset(&die), level->qualifier);
            return true;
        }
        return false;
    case DW_TAG_lexical_block:
    case DW_TAG_try_block:
    case DW_TAG_catch_block:
    case DW_TAG_common_block:
        return true;
    default:
        return false;
    }
}

/* Pays for finding the end of an entry's children; false when that is too much. */
static bool pay(struct walk *walk, Dwarf_Off start, bool searched)
{
    uint64_t cost = searched && walk->furthest > start ? walk->furthest - start : 0;
    if (cost > walk->work) {
        return false;
    }
    walk->work -= cost;
    return true;
}

/* Moves the stack to the next entry at this level or, where there is none, further out; returns the number of levels in
 * use, 0 at the end, when the work is used up, and at a corrupt entry, behind which nothing can be found. */
static uint32_t advance(struct walk *walk, uint32_t depth)
{
    for (; depth > 0; depth--) {
        struct level *level = &walk->levels[depth - 1];
        if (!pay(walk, dwarf_dieoffset(&level->die), level->searched)) {
            return 0;
        }
        int result = dwarf_siblingof(&level->die, &level->die);
        if (result == 0) {
            return depth;
        }
        if (result < 0) {
            return 0;
        }
    }
    return 0;
}

/* Visits the entry on top of the stack and puts its first child, if it must be seen, above it. */
static uint32_t step(struct walk *walk, uint32_t depth)
{
    struct level *level = &walk->levels[depth - 1];
    struct level children;
    bool parent = dwarf_haschildren(&level->die) > 0;
    walk->furthest = dwarf_dieoffset(&level->die);
    level->searched = parent && dwarf_hasattr(&level->die, DW_AT_sibling) == 0;
    bool wanted = visit(walk, level, depth, &children);
    if (!parent || (!wanted && !level->searched)) {
        return advance(walk, depth);
    }
    if (depth == MT_DWARF_DEPTH_MAX) {
        return 0;
    }
    int result = dwarf_child(&level->die, &children.die);
    if (result != 0) {
        return result > 0 ? advance(walk, depth) : 0;
    }
    walk->levels[depth] = children;
    return depth + 1;
}

static void walk_entries(struct walk *walk, Dwarf_Die *root)
{
    walk->levels[0] = (struct level){.scope = MT_SEGMENT_NONE, .qualifier = MT_SEGMENT_NONE};
    uint32_t depth = dwarf_child(root, &walk->levels[0].die) == 0 ? 1 : 0;
    while (depth > 0) {
        depth = step(walk, depth);
    }
}

mt_status mt_scopes_read(struct mt_dwarf *dwarf, struct mt_unit *unit, Dwarf_Die *root)
{
    struct walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL) {
        return MT_E_NOMEM;
    }
    walk->dwarf = dwarf;
    walk->unit = unit;
    walk->work = unit->bytes * WORK_FACTOR + WORK_FREE;
    walk_entries(walk, root);
    mt_status status = mt_segments_build(&walk->intervals, &unit->scopes.index);
    mt_intervals_fini(&walk->intervals);
    free(walk);
    return status;
}

void mt_scopes_fini(struct mt_scopes *scopes)
{
    free(scopes->items);
    free(scopes->qualifiers);
    free(scopes->qualified);
    mt_segments_fini(&scopes->index);
    memset(scopes, 0, sizeof *scopes);
}
