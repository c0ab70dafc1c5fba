/* behind.c: see behind.h. */
#include "export/behind.h"

#include "base/hash.h"
#include "model/role.h"
#include "util/memory.h"
#include "util/namemap.h"

#include <stdlib.h>
#include <string.h>

char *mt_behind_line(const struct mt_frame *frame, enum mt_table_by by, bool whole, const struct mt_paths *paths)
{
    const char *file = frame->file[0] != '\0' ? frame->file : frame->module;
    const char *shown = mt_paths_short(paths, file);
    char *function = by == MT_BY_FILE ? mt_strdup("") : whole ? mt_strdup(frame->function) : mt_role_shown_name(frame);
    if (frame->file[0] == '\0' && by != MT_BY_FILE && frame->function[0] != '\0') { /* the binary says less */
        bool address = strncmp(frame->function, "0x", 2) == 0 || shown[0] == '\0';
        char *named = address ? mt_strdup(frame->function) : mt_format("%s (%s)", function, shown);
        free(function);
        return named;
    }
    bool line = by != MT_BY_FILE && by != MT_BY_FUNCTION && frame->line > 0 && frame->file[0] != '\0';
    bool both = shown[0] != '\0' && function[0] != '\0';
    char *text = line ? mt_format("%s:%u%s%s", shown, frame->line, both ? " " : "", function)
                      : mt_format("%s%s%s", shown, both ? " " : "", function);
    free(function);
    return text;
}

struct collecting {
    const struct mt_report *report;
    const struct mt_paths *paths;
    struct mt_namemap *names, *stacks;
    struct mt_behind *behind;
    size_t capacity;
    uint64_t bytes; /* of all stacks, those included that nothing is known of */
};

static void add_name(struct collecting *c, const char *name, uint64_t bytes)
{
    struct mt_behind *b = c->behind;
    bool is_new;
    uint32_t number = mt_namemap_put(c->names, name, strlen(name), &is_new);
    if (is_new) {
        b->names = mt_alloc_grow(b->names, &c->capacity, b->count + 1, sizeof *b->names);
        b->names[b->count++] = (struct mt_behind_name){ .text = mt_strdup(name) };
    }
    b->names[number].bytes += bytes;
}

char *mt_behind_by(struct mt_places *places, const struct mt_row_stack *stack, const struct mt_frame_list *list,
                   const struct mt_place *place)
{
    char *name = mt_places_by(places, stack->trace_idx, stack->stack, list, place);
    bool called = name == NULL && !place->import && stack->allocator != MT_ALLOCATOR_UNKNOWN &&
                  stack->allocator < MT_ALLOCATOR_PYMEM_RAW &&
                  mt_frames_frame(mt_places_frames(places), list->ids[place->at])->kind == MT_FRAME_NATIVE;
    return called ? mt_strdup(mt_report_allocator(stack->allocator)) : name;
}

static void add_stack(struct collecting *c, const struct mt_row_stack *stack)
{
    struct mt_places *places = c->report->places;
    struct mt_frames *frames = mt_places_frames(places);
    struct mt_frame_list list = mt_frames_stack(frames, stack->trace_idx, stack->stack);
    struct mt_place place = mt_places_find(places, &list);
    uint64_t key[2] = { list.count, ~(uint64_t)list.count };
    for (size_t i = 0; i < list.count; i++) {
        key[0] = mt_hash_step(key[0], list.ids[i]);
        key[1] = mt_hash_step(key[1], ~(uint64_t)list.ids[i]);
    }
    (void)mt_namemap_put(c->stacks, key, sizeof key, NULL);
    c->bytes += stack->bytes;
    char *name = c->report->grouping.invert
                     ? mt_behind_line(mt_frames_frame(frames, list.ids[place.at]), MT_BY_LINE, false, c->paths)
                     : mt_behind_by(places, stack, &list, &place);
    if (name != NULL) {
        add_name(c, name, stack->bytes);
    }
    free(name);
}

static int compare_names(const void *a, const void *b)
{
    const struct mt_behind_name *x = a, *y = b;
    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1;
    }
    return strcmp(x->text, y->text);
}

void mt_behind_make(const struct mt_report *report, const struct mt_rowstacks *all, const struct mt_row_stacks *row,
                    const struct mt_paths *paths, struct mt_behind *ret)
{
    *ret = (struct mt_behind){ 0 };
    struct collecting c = { .report = report,
                            .paths = paths,
                            .names = mt_namemap_new(),
                            .stacks = mt_namemap_new(),
                            .behind = ret };
    for (const struct mt_row_stack *s = mt_rowstacks_next(all, row, NULL); s != NULL; s = mt_rowstacks_next(all, row, s)) {
        add_stack(&c, s);
    }
    ret->stacks = mt_namemap_count(c.stacks);
    if (ret->count > 1) {
        qsort(ret->names, ret->count, sizeof *ret->names, compare_names);
    }
    while (ret->count > 0 && ret->names[ret->count - 1].bytes * 100 < c.bytes) { /* not what the row is about */
        free(ret->names[--ret->count].text);
    }
    mt_namemap_free(c.names);
    mt_namemap_free(c.stacks);
}

void mt_behind_fini(struct mt_behind *behind)
{
    for (size_t i = 0; i < behind->count; i++) {
        free(behind->names[i].text);
    }
    free(behind->names);
    *behind = (struct mt_behind){ 0 };
}
