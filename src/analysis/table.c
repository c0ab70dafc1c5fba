/* table.c: see table.h.
 *
 * Every row of the profile is added to the row of its innermost frame (self) and, once each, to those of all its frames
 * (total). Which frames belong to one row is decided by a key text: "function\0file" and so on; a frame's row is looked
 * up once and remembered by frame id. Context: [tool].
 */
#include "analysis/table.h"

#include "analysis/pass.h"
#include "base/hash.h"
#include "model/pool.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

struct row {
    struct mt_table_row out;
    const char *key; /* in the pool */
    size_t key_bytes;
    uint64_t heaviest; /* bytes of its heaviest stack so far, + 1 */
    size_t stamp;      /* last profile row that was added to total, + 1 */
};

struct maker {
    struct mt_frames *frames;
    enum mt_table_by by;
    struct row *rows;
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
    static const char *const words[] = { "function", "file", "line", "type", "thread", "module" };
    for (size_t i = 0; i < MT_COUNTOF(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            *ret = (enum mt_table_by)i;
            return true;
        }
    }
    return false;
}

static void key_begin(struct maker *m)
{
    m->key_bytes = 0;
}

static void key_add(struct maker *m, const void *data, size_t bytes)
{
    m->key = mt_alloc_grow(m->key, &m->key_capacity, m->key_bytes + bytes, 1);
    memcpy(m->key + m->key_bytes, data, bytes);
    m->key_bytes += bytes;
}

/* Directory of the file's top-level package: what follows site-packages/, else the file's own name. */
static void python_package(const char *file, const char **ret, size_t *ret_bytes)
{
    static const char *const roots[] = { "/site-packages/", "/dist-packages/" };
    for (size_t i = 0; i < MT_COUNTOF(roots); i++) {
        const char *at = strstr(file, roots[i]);
        if (at != NULL) {
            *ret = at + strlen(roots[i]);
            *ret_bytes = strcspn(*ret, "/.");
            return;
        }
    }
    *ret = file;
    *ret_bytes = strlen(file);
}

static void frame_key(struct maker *m, const struct mt_frame *f)
{
    key_begin(m);
    switch (m->by) {
    case MT_BY_FUNCTION:
        key_add(m, f->function, strlen(f->function) + 1);
        key_add(m, f->file, strlen(f->file) + 1);
        key_add(m, f->module, strlen(f->module));
        break;
    case MT_BY_FILE:
        key_add(m, f->file, strlen(f->file) + 1);
        key_add(m, f->module, *f->file == '\0' ? strlen(f->module) : 0);
        break;
    case MT_BY_MODULE:
        if (f->kind == MT_FRAME_PYTHON) {
            const char *package;
            size_t bytes;
            python_package(f->file, &package, &bytes);
            key_add(m, package, bytes);
        } else {
            key_add(m, f->module, strlen(f->module));
        }
        break;
    case MT_BY_LINE:
    case MT_BY_TYPE:
    case MT_BY_THREAD:
    case MT_BY__COUNT:
    default:
        key_add(m, f->function, strlen(f->function) + 1);
        key_add(m, f->file, strlen(f->file) + 1);
        key_add(m, f->module, strlen(f->module) + 1);
        key_add(m, &f->line, sizeof f->line);
        break;
    }
}

static uint64_t rehash_row(const void *context, uint32_t position)
{
    const struct maker *m = context;
    return mt_hash_bytes(m->rows[position].key, m->rows[position].key_bytes);
}

/* The row with the key in scratch. */
static uint32_t row_of_key(struct maker *m, uint32_t frame)
{
    uint64_t hash = mt_hash_bytes(m->key, m->key_bytes);
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&m->index, hash, &probe)) != MT_INDEX_NONE) {
        if (m->rows[at].key_bytes == m->key_bytes && memcmp(m->rows[at].key, m->key, m->key_bytes) == 0) {
            return at;
        }
    }
    m->rows = mt_alloc_grow(m->rows, &m->capacity, m->count + 1, sizeof *m->rows);
    struct row *row = &m->rows[m->count];
    *row = (struct row){ .out = { .frame = frame }, .key_bytes = m->key_bytes };
    row->key = mt_pool_text(&m->pool, m->key, m->key_bytes);
    mt_index_add(&m->index, hash, (uint32_t)m->count, rehash_row, m);
    return (uint32_t)m->count++;
}

static uint32_t row_of_frame(struct maker *m, uint32_t frame)
{
    if (frame >= m->row_of_count) {
        m->row_of = mt_alloc_grow(m->row_of, &m->row_of_capacity, (size_t)frame + 1, sizeof(uint32_t));
        memset(m->row_of + m->row_of_count, 0xFF, (frame + 1 - m->row_of_count) * sizeof(uint32_t));
        m->row_of_count = (size_t)frame + 1;
    }
    if (m->row_of[frame] == UINT32_MAX) {
        frame_key(m, mt_frames_frame(m->frames, frame));
        m->row_of[frame] = row_of_key(m, frame);
    }
    return m->row_of[frame];
}

static void add_self(struct row *row, const struct mt_profile_row *from)
{
    mt_amount_add(&row->out.self, &from->amount);
    if (from->amount.bytes + 1 > row->heaviest) {
        row->heaviest = from->amount.bytes + 1;
        row->out.trace_idx = from->trace_idx;
        row->out.stack = from->stack;
    }
}

/* Rows by thread or allocator: the key is a number. */
static void add_by_number(struct maker *m, const struct mt_profile_row *from, uint32_t frame)
{
    bool thread = m->by == MT_BY_THREAD;
    uint64_t number = thread ? (uint64_t)from->trace_idx << 32 | from->stream : from->allocator;
    key_begin(m);
    key_add(m, &number, sizeof number);
    uint32_t at = row_of_key(m, frame); /* may move the rows */
    struct row *row = &m->rows[at];
    add_self(row, from);
    row->out.stream = thread ? from->stream : 0;
    row->out.allocator = thread ? 0 : from->allocator;
    mt_amount_add(&row->out.total, &from->amount);
}

static void add_row(struct maker *m, const struct mt_profile_row *from, size_t stamp)
{
    struct mt_frame_list list = mt_frames_stack(m->frames, from->trace_idx, from->stack);
    if (m->by == MT_BY_THREAD || m->by == MT_BY_TYPE) {
        add_by_number(m, from, list.ids[0]);
        return;
    }
    for (size_t i = 0; i < list.count; i++) {
        uint32_t at = row_of_frame(m, list.ids[i]); /* may move the rows */
        struct row *row = &m->rows[at];
        if (i == 0) {
            add_self(row, from);
        }
        if (row->stamp != stamp) {
            row->stamp = stamp;
            mt_amount_add(&row->out.total, &from->amount);
            if (row->heaviest == 0) { /* never innermost so far: any stack through it */
                row->out.trace_idx = from->trace_idx;
                row->out.stack = from->stack;
            }
        }
    }
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->out.self.bytes != y->out.self.bytes) {
        return x->out.self.bytes > y->out.self.bytes ? -1 : 1;
    }
    if (x->out.total.bytes != y->out.total.bytes) {
        return x->out.total.bytes > y->out.total.bytes ? -1 : 1;
    }
    if (x->out.self.count != y->out.self.count) {
        return x->out.self.count > y->out.self.count ? -1 : 1;
    }
    size_t common = x->key_bytes < y->key_bytes ? x->key_bytes : y->key_bytes;
    int order = memcmp(x->key, y->key, common);
    return order != 0 ? order : (x->key_bytes > y->key_bytes) - (x->key_bytes < y->key_bytes);
}

/* Copies the rows out; module names move into one text the table owns. */
static void finish(struct maker *m, struct mt_table *table)
{
    if (m->count > 0) {
        qsort(m->rows, m->count, sizeof *m->rows, compare_rows);
    }
    size_t text_bytes = 1;
    for (size_t i = 0; i < m->count; i++) {
        text_bytes += m->rows[i].key_bytes + 1;
    }
    table->rows = mt_alloc(m->count * sizeof *table->rows);
    table->text = m->by == MT_BY_MODULE ? mt_alloc(text_bytes) : NULL;
    char *text = table->text;
    for (size_t i = 0; i < m->count; i++) {
        table->rows[i] = m->rows[i].out;
        if (text != NULL) {
            memcpy(text, m->rows[i].key, m->rows[i].key_bytes + 1);
            table->rows[i].module = text;
            text += m->rows[i].key_bytes + 1;
        }
    }
    table->count = m->count;
}

mt_status mt_table_make(const struct mt_profile *profile, struct mt_frames *frames, enum mt_table_by by,
                        struct mt_table *ret)
{
    struct maker m = { .frames = frames, .by = by };
    *ret = (struct mt_table){ .sum = profile->sum };
    for (size_t i = 0; i < profile->count; i++) {
        add_row(&m, &profile->rows[i], i + 1);
    }
    finish(&m, ret);
    mt_index_fini(&m.index);
    mt_pool_fini(&m.pool);
    free(m.rows);
    free(m.row_of);
    free(m.key);
    return MT_OK;
}

void mt_table_fini(struct mt_table *table)
{
    free(table->rows);
    free(table->text);
    *table = (struct mt_table){ 0 };
}
