/* dwarf_names.c: what a scope is called; see dwarf_unit.h.
 *
 * Decides: the linkage name, demangled, wherever it stands on the way from the entry over DW_AT_abstract_origin and
 * DW_AT_specification, if it is a C++ or Rust one or the language has such names; else the plain name, with the names
 * around the entry that has it (that entry may be in another unit: link-time optimisation puts code and declarations
 * apart). In C the plain name. On the same way stands whether the compiler made the function: a constructor, destructor or
 * assignment that its class does not declare, or declares as defaulted. The way is cut at 16 steps: real ones have at most four, a hostile one may be a circle. Context: [tool].
 */
#include "symbol/dwarf_unit.h"

#include "symbol/demangle.h"

#include <dwarf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STEPS = 16, MAX_QUALIFIERS = 32, MAX_QUALIFIED_BYTES = 16 * 1024 };

struct found_name {
    const char *linkage;
    const char *plain;
    Dwarf_Off plain_die;        /* entry the plain name stands in */
    struct mt_unit *plain_unit; /* its unit; NULL when that is in the alternate file, or unknown */
    bool made;
};

static void take_plain_name(struct mt_dwarf *dwarf, Dwarf_Die *die, struct found_name *found)
{
    found->plain = mt_die_text(dwarf, die, DW_AT_name);
    if (found->plain != NULL && dwarf_cu_getdwarf(die->cu) == dwarf->dw) {
        found->plain_die = dwarf_dieoffset(die);
        found->plain_unit = mt_unit_of_die(dwarf, found->plain_die);
    }
}

/* Is this the declaration of a member that the compiler makes? What it makes of code that somebody wrote, as OpenMP's
 * functions, is artificial too, but no declaration. */
static bool declares_made(Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    Dwarf_Word how = DW_DEFAULTED_no;
    bool defaulted = dwarf_attr(die, DW_AT_defaulted, &attribute) != NULL && dwarf_formudata(&attribute, &how) == 0 &&
                     how != DW_DEFAULTED_no;
    return defaulted || (dwarf_hasattr(die, DW_AT_artificial) != 0 && dwarf_hasattr(die, DW_AT_declaration) != 0);
}

static struct found_name find_name(struct mt_dwarf *dwarf, Dwarf_Die die)
{
    static const unsigned links[] = {DW_AT_abstract_origin, DW_AT_specification};
    struct found_name found = {0};
    for (int step = 0; step < MAX_STEPS; step++) {
        bool named = found.linkage != NULL;
        found.linkage = named ? found.linkage : mt_die_linkage_name(dwarf, &die);
        if (!named && found.plain == NULL) {
            take_plain_name(dwarf, &die, &found);
        }
        found.made = found.made || declares_made(&die);
        Dwarf_Attribute attribute;
        Dwarf_Die next;
        bool linked = false;
        for (size_t i = 0; i < MT_COUNTOF(links) && !linked; i++) {
            linked = dwarf_attr(&die, links[i], &attribute) != NULL && dwarf_formref_die(&attribute, &next) != NULL;
        }
        if (!linked) {
            break;
        }
        die = next;
    }
    return found;
}

/* What is around the entry with the plain name, MT_SEGMENT_NONE when nothing is. */
static uint32_t qualifier_of(struct mt_dwarf *dwarf, const struct found_name *found)
{
    if (found->plain_unit == NULL || !found->plain_unit->mangled) {
        return MT_SEGMENT_NONE;
    }
    mt_unit_read(dwarf, found->plain_unit);
    const struct mt_scopes *scopes = &found->plain_unit->scopes;
    size_t low = 0, high = scopes->qualified_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (scopes->qualified[middle].die == found->plain_die) {
            return scopes->qualified[middle].qualifier;
        }
        if (scopes->qualified[middle].die < found->plain_die) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return MT_SEGMENT_NONE;
}

/* A namespace or class around the function `plain`. GCC leaves the class of a lambda unnamed. */
static const char *unnamed_text(Dwarf_Die *die, const char *plain)
{
    if (dwarf_tag(die) == DW_TAG_namespace) {
        return "(anonymous namespace)";
    }
    return strcmp(plain, "operator()") == 0 ? "{lambda}" : "{unnamed}";
}

/* The text of one qualifier of the function `plain`, NULL for one that cannot be read. A function stands for everything
 * around it, since its linkage name already says that; then *ret_last is set. */
static const char *qualifier_text(struct mt_dwarf *dwarf, Dwarf_Off offset, const char *plain, bool *ret_last)
{
    Dwarf_Die die;
    if (dwarf_offdie(dwarf->dw, offset, &die) == NULL) {
        return NULL;
    }
    if (dwarf_tag(&die) != DW_TAG_subprogram) {
        const char *name = mt_die_text(dwarf, &die, DW_AT_name);
        return name != NULL ? name : unnamed_text(&die, plain);
    }
    struct found_name found = find_name(dwarf, die);
    if (found.linkage != NULL) {
        *ret_last = true;
        return mt_symbol_name_pretty(dwarf->names, found.linkage);
    }
    *ret_last = qualifier_of(dwarf, &found) == MT_SEGMENT_NONE;
    return found.plain;
}

/* plain with everything around it, outermost first: "n::C::f". */
static const char *qualify(struct mt_dwarf *dwarf, const struct mt_unit *unit, uint32_t qualifier, const char *plain)
{
    const char *parts[MAX_QUALIFIERS];
    size_t count = 0;
    bool last = false;
    while (qualifier != MT_SEGMENT_NONE && count < MAX_QUALIFIERS && !last) {
        const struct mt_qualifier *item = &unit->scopes.qualifiers[qualifier];
        const char *text = qualifier_text(dwarf, item->die, plain, &last);
        if (text != NULL) {
            parts[count++] = text;
        }
        qualifier = item->parent;
    }
    char *text = malloc(MAX_QUALIFIED_BYTES);
    if (text == NULL || count == 0) {
        free(text);
        return mt_names_intern_text(dwarf->names, plain);
    }
    size_t used = 0;
    for (size_t i = count + 1; i-- > 0 && used < MAX_QUALIFIED_BYTES;) {
        const char *part = i > 0 ? parts[i - 1] : plain;
        int written = snprintf(text + used, MAX_QUALIFIED_BYTES - used, "%s%s", part, i > 0 ? "::" : "");
        used += written > 0 ? (size_t)written : 0;
    }
    const char *name = mt_names_intern(dwarf->names, text, used);
    free(text);
    return name;
}

static bool looks_mangled(const char *linkage)
{
    return linkage[0] == '_' && (linkage[1] == 'Z' || linkage[1] == 'R');
}

static const char *readable(struct mt_dwarf *dwarf, const struct mt_unit *unit, const struct found_name *found)
{
    if (found->linkage != NULL && (unit->mangled || found->plain == NULL || looks_mangled(found->linkage))) {
        return mt_symbol_name_pretty(dwarf->names, found->linkage);
    }
    if (found->plain == NULL) {
        return NULL;
    }
    uint32_t qualifier = qualifier_of(dwarf, found);
    return qualifier != MT_SEGMENT_NONE ? qualify(dwarf, found->plain_unit, qualifier, found->plain)
                                        : mt_names_intern_text(dwarf->names, found->plain);
}

const char *mt_scope_name(struct mt_dwarf *dwarf, struct mt_unit *unit, struct mt_scope *scope)
{
    Dwarf_Die die;
    if (!scope->resolved && dwarf_offdie(dwarf->dw, scope->die, &die) != NULL) {
        struct found_name found = find_name(dwarf, die);
        scope->name = readable(dwarf, unit, &found);
        scope->made = found.made;
    }
    scope->resolved = true;
    return scope->name;
}
