/* diff.c: see diff.h.
 *
 * Each level of likeness sorts the rows left over by a key text and joins neighbours: n log n a level, whatever the names.
 * Context: [tool].
 */
#include "analysis/diff.h"

#include "analysis/estimate.h"
#include "util/memory.h"
#include "util/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum file_part { PART_WHOLE, PART_LAST_TWO, PART_NAME };

struct level {
    enum file_part part;
    bool line;
};

/* The strictest first. */
static const struct level g_line_levels[] = { { PART_WHOLE, true },    { PART_WHOLE, false }, { PART_LAST_TWO, true },
                                              { PART_NAME, true },     { PART_LAST_TWO, false }, { PART_NAME, false } };
static const struct level g_levels[] = { { PART_WHOLE, false }, { PART_LAST_TWO, false }, { PART_NAME, false } };

struct leftover {
    size_t key;       /* offset in keys */
    size_t key_bytes;
    uint32_t side;
    uint32_t row;
    uint32_t line;
};

struct maker {
    const struct mt_diff_side *sides;
    enum mt_table_by by;
    struct mt_diff *diff;
    size_t row_capacity, build_capacity;
    struct leftover *left;
    size_t left_count, left_capacity;
    char *keys;
    size_t key_bytes, key_capacity;
};

const char *mt_change_word(enum mt_change change)
{
    static const char *const words[] = { "grew", "shrank", "appeared", "vanished", "same" };
    return words[change];
}

/* ---- builds ----------------------------------------------------------------------------------------------------- */

static void hex_of(const struct mt_trace_module *module, char ret[41])
{
    size_t bytes = module->build_id_bytes < 20 ? module->build_id_bytes : 20;
    ret[0] = '\0';
    for (size_t i = 0; i < bytes; i++) {
        (void)snprintf(ret + i * 2, 3, "%02x", module->build_id[i]);
    }
}

/* A module with the same file name; NULL: none. */
static const struct mt_trace_module *module_named(const struct mt_trace_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++) {
        size_t count = mt_trace_module_count(set->traces[i]);
        for (size_t m = 1; m < count; m++) { /* 0: no module */
            const struct mt_trace_module *module = mt_trace_module(set->traces[i], (uint32_t)m);
            if (strcmp(mt_text_base_name(module->path.data), name) == 0) {
                return module;
            }
        }
    }
    return NULL;
}

static const struct mt_diff_build *build_of(const struct mt_diff *diff, const char *module)
{
    for (size_t i = 0; i < diff->build_count; i++) {
        if (strcmp(mt_text_base_name(diff->builds[i].module), mt_text_base_name(module)) == 0) {
            return &diff->builds[i];
        }
    }
    return NULL;
}

/* Only binaries that rows speak of: a process has hundreds, and most allocate nothing. */
static void note_build(struct maker *m, const struct mt_frame *frame)
{
    struct mt_diff *diff = m->diff;
    if (frame->module[0] == '\0' || build_of(diff, frame->module) != NULL) {
        return;
    }
    const struct mt_trace_module *before = module_named(m->sides[MT_DIFF_BEFORE].set, mt_text_base_name(frame->module));
    const struct mt_trace_module *after = module_named(m->sides[MT_DIFF_AFTER].set, mt_text_base_name(frame->module));
    struct mt_diff_build build = { .module = frame->module };
    if (before != NULL && after != NULL) {
        hex_of(before, build.before);
        hex_of(after, build.after);
    }
    diff->builds = mt_alloc_grow(diff->builds, &m->build_capacity, diff->build_count + 1, sizeof *diff->builds);
    diff->builds[diff->build_count++] = build;
}

static void keep_changed_builds(struct mt_diff *diff)
{
    size_t kept = 0;
    for (size_t i = 0; i < diff->build_count; i++) {
        if (strcmp(diff->builds[i].before, diff->builds[i].after) != 0) {
            diff->builds[kept++] = diff->builds[i];
        }
    }
    diff->build_count = kept;
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

static void key_add(struct maker *m, const char *text, size_t bytes)
{
    m->keys = mt_alloc_grow(m->keys, &m->key_capacity, m->key_bytes + bytes + 1, 1);
    memcpy(m->keys + m->key_bytes, text, bytes);
    m->key_bytes += bytes;
    m->keys[m->key_bytes++] = '\0';
}

/* "::h" and 16 hexadecimal digits at the end. */
static bool ends_in_hash(const char *name, size_t bytes)
{
    enum { HASH_BYTES = 19 };
    if (bytes <= HASH_BYTES || memcmp(name + bytes - HASH_BYTES, "::h", 3) != 0) {
        return false;
    }
    for (size_t i = bytes - 16; i < bytes; i++) {
        if (!isxdigit((unsigned char)name[i])) {
            return false;
        }
    }
    return true;
}

/* Length of a function's name without what a compiler makes up for each build. */
static size_t stable_bytes(const char *name)
{
    static const char *const suffixes[] = { ".constprop.", ".isra.", ".part.", ".cold", ".lto_priv.", ".llvm." };
    size_t bytes = strlen(name);
    for (size_t i = 0; i < MT_COUNTOF(suffixes); i++) {
        const char *at = strstr(name, suffixes[i]);
        if (at != NULL && at > name && (size_t)(at - name) < bytes) {
            bytes = (size_t)(at - name);
        }
    }
    return ends_in_hash(name, bytes) ? bytes - 19 : bytes;
}

static void add_function(struct maker *m, const struct mt_frame *frame)
{
    bool unnamed = strncmp(frame->function, "0x", 2) == 0 && frame->module[0] != '\0';
    if (unnamed && build_of(m->diff, frame->module) != NULL) {
        key_add(m, "0x", 2); /* addresses of another build mean nothing */
    } else {
        key_add(m, frame->function, stable_bytes(frame->function));
    }
}

static void add_file(struct maker *m, const struct mt_frame *frame, enum file_part part)
{
    const char *path = frame->file[0] != '\0' ? frame->file : frame->module;
    const char *name = mt_text_base_name(path);
    if (part == PART_WHOLE) {
        key_add(m, path, strlen(path));
        return;
    }
    if (part == PART_LAST_TWO) {
        const char *from = name > path ? name - 1 : name; /* the slash before it */
        while (from > path && from[-1] != '/') {
            from--;
        }
        key_add(m, from, strlen(from));
        return;
    }
    const char *version = strstr(name, ".so.");
    key_add(m, name, version != NULL ? (size_t)(version - name) + 3 : strlen(name));
}

static const struct mt_frame *frame_of(const struct maker *m, uint32_t side, uint32_t row)
{
    return mt_frames_frame(m->sides[side].frames, m->sides[side].table->rows[row].frame);
}

static void make_key(struct maker *m, struct leftover *of, const struct level *level)
{
    const struct mt_frame *frame = frame_of(m, of->side, of->row);
    char line[16];
    of->key = m->key_bytes;
    of->line = frame->line;
    if (m->by != MT_BY_FILE) {
        add_function(m, frame);
    }
    add_file(m, frame, level->part);
    if (level->line) {
        int bytes = snprintf(line, sizeof line, "%u", frame->line);
        key_add(m, line, (size_t)bytes);
    }
    of->key_bytes = m->key_bytes - of->key;
}

/* ---- joining ---------------------------------------------------------------------------------------------------- */

static const struct mt_amount *amount_of(const struct maker *m, uint32_t side, uint32_t row)
{
    return &m->sides[side].table->rows[row].self;
}

static int sign(int64_t value)
{
    return (value > 0) - (value < 0);
}

/* before, after: rows of the tables, UINT32_MAX: not there. */
static void put_row(struct maker *m, uint32_t before, uint32_t after)
{
    struct mt_diff *diff = m->diff;
    struct mt_diff_row row = { .row = { before, after } };
    for (uint32_t side = 0; side < MT_DIFF_SIDES; side++) {
        if (row.row[side] != UINT32_MAX) {
            row.amount[side] = *amount_of(m, side, row.row[side]);
            row.frame = frame_of(m, side, row.row[side]);
        }
    }
    row.bytes = (int64_t)row.amount[MT_DIFF_AFTER].bytes - (int64_t)row.amount[MT_DIFF_BEFORE].bytes;
    row.count = (int64_t)row.amount[MT_DIFF_AFTER].count - (int64_t)row.amount[MT_DIFF_BEFORE].count;
    row.bytes_variance = row.amount[MT_DIFF_AFTER].bytes_variance + row.amount[MT_DIFF_BEFORE].bytes_variance;
    int direction = row.bytes != 0 ? sign(row.bytes) : sign(row.count);
    row.change = before == UINT32_MAX  ? MT_CHANGE_APPEARED
                 : after == UINT32_MAX ? MT_CHANGE_VANISHED
                 : direction > 0       ? MT_CHANGE_GREW
                 : direction < 0       ? MT_CHANGE_SHRANK
                                       : MT_CHANGE_NONE;
    diff->rows = mt_alloc_grow(diff->rows, &m->row_capacity, diff->count + 1, sizeof *diff->rows);
    diff->rows[diff->count++] = row;
}

static int compare_keys(const char *keys, const struct leftover *a, const struct leftover *b)
{
    size_t common = a->key_bytes < b->key_bytes ? a->key_bytes : b->key_bytes;
    int order = memcmp(keys + a->key, keys + b->key, common);
    return order != 0 ? order : (a->key_bytes > b->key_bytes) - (a->key_bytes < b->key_bytes);
}

static int compare_left(const void *x, const void *y, void *keys)
{
    const struct leftover *a = x, *b = y;
    int order = compare_keys(keys, a, b);
    order = order != 0 ? order : (a->side > b->side) - (a->side < b->side);
    order = order != 0 ? order : (a->line > b->line) - (a->line < b->line);
    return order != 0 ? order : (a->row > b->row) - (a->row < b->row);
}

/* A run of equal keys: joined, or kept for the next level at `to`; returns where that ends. */
static size_t settle(struct maker *m, size_t from, size_t end, size_t to)
{
    size_t middle = from;
    while (middle < end && m->left[middle].side == MT_DIFF_BEFORE) {
        middle++;
    }
    if (middle - from == end - middle) {
        for (size_t i = 0; i < middle - from; i++) {
            put_row(m, m->left[from + i].row, m->left[middle + i].row);
        }
        return to;
    }
    for (size_t i = from; i < end; i++) {
        m->left[to++] = m->left[i];
    }
    return to;
}

static void join(struct maker *m, const struct level *level)
{
    size_t kept = 0;
    m->key_bytes = 0;
    for (size_t i = 0; i < m->left_count; i++) {
        make_key(m, &m->left[i], level);
    }
    if (m->left_count > 0) {
        qsort_r(m->left, m->left_count, sizeof *m->left, compare_left, m->keys);
    }
    for (size_t from = 0, end; from < m->left_count; from = end) {
        for (end = from + 1; end < m->left_count && compare_keys(m->keys, &m->left[from], &m->left[end]) == 0;) {
            end++;
        }
        kept = settle(m, from, end, kept);
    }
    m->left_count = kept;
}

/* ---- all -------------------------------------------------------------------------------------------------------- */

static void collect(struct maker *m)
{
    for (uint32_t side = 0; side < MT_DIFF_SIDES; side++) {
        const struct mt_table *table = m->sides[side].table;
        for (uint32_t i = 0; i < table->count; i++) {
            if (table->rows[i].self.bytes == 0 && table->rows[i].self.count == 0) {
                continue; /* it only led to others */
            }
            m->left = mt_alloc_grow(m->left, &m->left_capacity, m->left_count + 1, sizeof *m->left);
            m->left[m->left_count++] = (struct leftover){ .side = side, .row = i };
            note_build(m, frame_of(m, side, i));
        }
    }
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

static int compare_rows(const void *x, const void *y)
{
    const struct mt_diff_row *a = x, *b = y;
    if (magnitude(a->bytes) != magnitude(b->bytes)) {
        return magnitude(a->bytes) > magnitude(b->bytes) ? -1 : 1;
    }
    if (magnitude(a->count) != magnitude(b->count)) {
        return magnitude(a->count) > magnitude(b->count) ? -1 : 1;
    }
    int order = strcmp(a->frame->file, b->frame->file);
    order = order != 0 ? order : strcmp(a->frame->function, b->frame->function);
    order = order != 0 ? order : (a->frame->line > b->frame->line) - (a->frame->line < b->frame->line);
    order = order != 0 ? order : (a->row[1] > b->row[1]) - (a->row[1] < b->row[1]);
    return order != 0 ? order : (a->row[0] > b->row[0]) - (a->row[0] < b->row[0]);
}

void mt_diff_make(const struct mt_diff_side sides[MT_DIFF_SIDES], enum mt_table_by by, struct mt_diff *ret)
{
    struct maker m = { .sides = sides, .by = by, .diff = ret };
    const struct level *levels = by == MT_BY_LINE ? g_line_levels : g_levels;
    size_t level_count = by == MT_BY_LINE ? MT_COUNTOF(g_line_levels) : MT_COUNTOF(g_levels);
    *ret = (struct mt_diff){ .sum = { sides[0].table->sum, sides[1].table->sum } };
    ret->bytes = (int64_t)ret->sum[MT_DIFF_AFTER].bytes - (int64_t)ret->sum[MT_DIFF_BEFORE].bytes;
    ret->bytes_variance = ret->sum[0].bytes_variance + ret->sum[1].bytes_variance;
    collect(&m);
    keep_changed_builds(ret);
    for (size_t i = 0; i < level_count && m.left_count > 0; i++) {
        join(&m, &levels[i]);
    }
    for (size_t i = 0; i < m.left_count; i++) {
        bool before = m.left[i].side == MT_DIFF_BEFORE;
        put_row(&m, before ? m.left[i].row : UINT32_MAX, before ? UINT32_MAX : m.left[i].row);
    }
    if (ret->count > 0) {
        qsort(ret->rows, ret->count, sizeof *ret->rows, compare_rows);
    }
    free(m.left);
    free(m.keys);
}

void mt_diff_fini(struct mt_diff *diff)
{
    free(diff->rows);
    free(diff->builds);
    *diff = (struct mt_diff){ 0 };
}

bool mt_diff_is_over(const struct mt_diff *diff, double limit_bytes)
{
    return (double)diff->bytes - mt_estimate_ci95(diff->bytes_variance) > limit_bytes;
}
