/* grouping.c: see grouping.h. A row is looked up by a key text ("function\0file" and so on), that of a frame once and then
 * remembered by frame id. Context: [tool]. */
#include "analysis/grouping.h"

#include "base/hash.h"
#include "model/index.h"
#include "model/pool.h"
#include "model/role.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

struct mt_grouping {
    struct mt_places *places;
    struct mt_frames *frames;
    const struct mt_trace_set *set;
    struct mt_grouping_options options;
    struct mt_group *rows;
    size_t count, capacity;
    struct mt_index index; /* by key */
    uint32_t *row_of;      /* frame id -> row, UINT32_MAX unknown */
    size_t row_of_count, row_of_capacity;
    struct mt_pool pool;
    char *key; /* scratch */
    size_t key_bytes, key_capacity;
};

bool mt_table_by_parse(const char *word, enum mt_table_by *ret)
{
    static const char *const words[] = { "function", "file", "line", "type", "thread", "module", "process", "label", "task" };
    for (size_t i = 0; i < MT_COUNTOF(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            *ret = (enum mt_table_by)i;
            return true;
        }
    }
    return false;
}

struct mt_grouping *mt_grouping_new(struct mt_places *places, const struct mt_trace_set *set,
                                    const struct mt_grouping_options *options)
{
    struct mt_grouping *g = mt_alloc_zero(1, sizeof *g);
    g->places = places;
    g->frames = mt_places_frames(places);
    g->set = set;
    g->options = options != NULL ? *options : (struct mt_grouping_options){ .by = MT_BY_LINE };
    return g;
}

void mt_grouping_free(struct mt_grouping *g)
{
    if (g == NULL) {
        return;
    }
    mt_index_fini(&g->index);
    mt_pool_fini(&g->pool);
    free(g->rows);
    free(g->row_of);
    free(g->key);
    free(g);
}

enum mt_table_by mt_grouping_by(const struct mt_grouping *g)
{
    return g->options.by;
}

struct mt_frames *mt_grouping_frames(const struct mt_grouping *g)
{
    return g->frames;
}

size_t mt_grouping_count(const struct mt_grouping *g)
{
    return g->count;
}

const struct mt_group *mt_grouping_group(const struct mt_grouping *g, uint32_t row)
{
    return &g->rows[row];
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

static void key_begin(struct mt_grouping *g)
{
    g->key_bytes = 0;
}

static void key_add(struct mt_grouping *g, const void *data, size_t bytes)
{
    g->key = mt_alloc_grow(g->key, &g->key_capacity, g->key_bytes + bytes, 1);
    memcpy(g->key + g->key_bytes, data, bytes);
    g->key_bytes += bytes;
}

/* A library's file belongs to its top-level package ("numpy", "json"); others are by themselves. */
static void python_package(const char *file, const char **ret, size_t *ret_bytes)
{
    const char *library = mt_role_library_path(file);
    *ret = library != NULL ? library : file;
    *ret_bytes = library != NULL ? strcspn(library, "/.") : strlen(file);
}

static void add_module(struct mt_grouping *g, const struct mt_frame *f)
{
    if (f->kind == MT_FRAME_NATIVE) {
        key_add(g, f->module, strlen(f->module));
    } else {
        const char *package;
        size_t bytes;
        python_package(f->file, &package, &bytes);
        key_add(g, package, bytes);
    }
}

static void add_frame(struct mt_grouping *g, const struct mt_frame *f)
{
    switch (g->options.by) {
    case MT_BY_FUNCTION:
        key_add(g, f->function, strlen(f->function) + 1);
        key_add(g, f->file, strlen(f->file) + 1);
        key_add(g, f->module, strlen(f->module));
        break;
    case MT_BY_FILE:
        key_add(g, f->file, strlen(f->file) + 1);
        key_add(g, f->module, *f->file == '\0' ? strlen(f->module) : 0);
        break;
    case MT_BY_MODULE:
        add_module(g, f);
        break;
    case MT_BY_LINE:
    case MT_BY_TYPE:
    case MT_BY_THREAD:
    case MT_BY_PROCESS:
    case MT_BY_LABEL:
    case MT_BY_TASK:
    case MT_BY__COUNT:
    default:
        key_add(g, f->function, strlen(f->function) + 1);
        key_add(g, f->file, strlen(f->file) + 1);
        key_add(g, f->module, strlen(f->module) + 1);
        key_add(g, &f->line, sizeof f->line);
        break;
    }
}

static bool has_name(const struct mt_grouping *g)
{
    bool label = mt_table_by_is_label(g->options.by) && !g->options.stacks;
    return g->options.by == MT_BY_MODULE || g->options.invert || (label && g->key_bytes > 0);
}

/* The row with the key in scratch. */
static uint32_t row_of_key(struct mt_grouping *g, uint32_t frame)
{
    uint64_t hash = mt_hash_bytes(g->key, g->key_bytes);
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&g->index, hash, &probe)) != MT_INDEX_NONE) {
        if (g->rows[at].key_bytes == g->key_bytes && memcmp(g->rows[at].key, g->key, g->key_bytes) == 0) {
            return at;
        }
    }
    g->rows = mt_alloc_grow(g->rows, &g->capacity, g->count + 1, sizeof *g->rows);
    struct mt_group *row = &g->rows[g->count];
    *row = (struct mt_group){ .frame = frame, .number = (uint32_t)g->count, .key_bytes = g->key_bytes };
    row->key = mt_pool_text(&g->pool, g->key, g->key_bytes);
    row->import = mt_frames_frame(g->frames, frame)->kind == MT_FRAME_IMPORT;
    row->name = has_name(g) ? row->key : NULL;
    mt_index_add(&g->index, hash, (uint32_t)g->count);
    return (uint32_t)g->count++;
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

bool mt_grouping_has_callers(const struct mt_grouping *g)
{
    return !g->options.stacks && !g->options.invert && !g->options.self_only && g->options.by != MT_BY_TYPE &&
           g->options.by != MT_BY_THREAD && g->options.by != MT_BY_PROCESS && !mt_table_by_is_label(g->options.by);
}

uint32_t mt_grouping_row_of_frame(struct mt_grouping *g, uint32_t frame)
{
    if (frame >= g->row_of_count) {
        g->row_of = mt_alloc_grow(g->row_of, &g->row_of_capacity, (size_t)frame + 1, sizeof(uint32_t));
        memset(g->row_of + g->row_of_count, 0xFF, (frame + 1 - g->row_of_count) * sizeof(uint32_t));
        g->row_of_count = (size_t)frame + 1;
    }
    if (g->row_of[frame] == UINT32_MAX) {
        key_begin(g);
        add_frame(g, mt_frames_frame(g->frames, frame));
        g->row_of[frame] = row_of_key(g, frame);
    }
    return g->row_of[frame];
}

static uint64_t pid_of(const struct mt_grouping *g, uint32_t trace_idx)
{
    return mt_trace_info(g->set->traces[trace_idx])->pid;
}

/* Two hashes of 64 bits stand for a stack: of 100,000 two are never taken for one. */
static uint32_t row_of_stack(struct mt_grouping *g, const struct mt_grouping_item *item,
                             const struct mt_frame_list *list, uint32_t frame)
{
    uint64_t key[3] = { list->count, ~(uint64_t)list->count, 0 };
    for (size_t i = 0; i < list->count; i++) {
        key[0] = mt_hash_step(key[0], list->ids[i]);
        key[1] = mt_hash_step(key[1], ~(uint64_t)list->ids[i]);
    }
    key[2] = g->options.by == MT_BY_PROCESS ? pid_of(g, item->trace_idx) : 0;
    key_begin(g);
    key_add(g, key, sizeof key);
    return row_of_key(g, frame);
}

static uint32_t row_of_allocating(struct mt_grouping *g, const struct mt_grouping_item *item,
                                  const struct mt_frame_list *list, const struct mt_place *place)
{
    char *by = mt_places_by(g->places, item->trace_idx, item->stack, list, place);
    const struct mt_frame *frame = mt_frames_frame(g->frames, list->ids[place->by]);
    const char *name = by != NULL ? by : frame->function;
    key_begin(g);
    key_add(g, name, strlen(name) + 1);
    uint32_t row = row_of_key(g, list->ids[place->by]);
    free(by);
    return row;
}

/* A thread has another stream where it allocates after its end (a destructor of thread-specific data), or a recording began anew;
 * a thread id that is used again comes with another name, as a rule. */
static uint32_t row_of_thread(struct mt_grouping *g, const struct mt_grouping_item *item, uint32_t frame)
{
    const struct mt_trace_thread *thread = mt_trace_thread(g->set->traces[item->trace_idx], item->stream);
    const uint64_t numbers[] = { item->trace_idx, thread != NULL ? thread->tid : item->stream, thread != NULL };
    key_begin(g);
    key_add(g, numbers, sizeof numbers);
    if (thread != NULL) {
        key_add(g, thread->name.data, thread->name.bytes);
    }
    return row_of_key(g, frame);
}

static uint32_t row_of_label(struct mt_grouping *g, const struct mt_grouping_item *item, uint32_t frame)
{
    struct mt_text text = mt_trace_label_text(g->set->traces[item->trace_idx], item->label, g->options.by == MT_BY_TASK);
    key_begin(g);
    key_add(g, text.data, text.bytes);
    return row_of_key(g, frame);
}

uint32_t mt_grouping_row(struct mt_grouping *g, const struct mt_grouping_item *item, const struct mt_frame_list *list)
{
    struct mt_place place = mt_places_find(g->places, list);
    uint32_t frame = list->ids[place.at];
    uint64_t number = 0;
    if (g->options.stacks) {
        return row_of_stack(g, item, list, frame);
    }
    if (g->options.invert) {
        return row_of_allocating(g, item, list, &place);
    }
    switch (g->options.by) {
    case MT_BY_TYPE:
        number = item->allocator;
        break;
    case MT_BY_THREAD:
        return row_of_thread(g, item, frame);
    case MT_BY_PROCESS:
        number = pid_of(g, item->trace_idx);
        break;
    case MT_BY_LABEL:
    case MT_BY_TASK:
        return row_of_label(g, item, frame);
    case MT_BY_MODULE:
        return mt_grouping_row_of_frame(g, list->ids[place.code]);
    case MT_BY_FUNCTION:
    case MT_BY_FILE:
    case MT_BY_LINE:
    case MT_BY__COUNT:
    default:
        return mt_grouping_row_of_frame(g, frame);
    }
    key_begin(g);
    key_add(g, &number, sizeof number);
    if (g->options.by == MT_BY_PROCESS) {
        add_frame(g, mt_frames_frame(g->frames, frame));
    }
    return row_of_key(g, frame);
}
