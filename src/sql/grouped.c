/* grouped.c: see grouped.h. */
#include "sql/grouped.h"

#include "base/hash.h"
#include "model/index.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

/* Keys of 8 bytes, numbered as they are first met. */
struct numbers {
    struct mt_index index;
    uint64_t *keys;
    size_t count, capacity;
    uint64_t last_key; /* often the next one too */
    uint32_t last;
};

static uint32_t number_of(struct numbers *n, uint64_t key)
{
    size_t probe = 0;
    uint32_t at;
    if (n->count > 0 && n->last_key == key) {
        return n->last;
    }
    uint64_t hash = mt_hash_u64(key);
    while ((at = mt_index_next(&n->index, hash, &probe)) != MT_INDEX_NONE && n->keys[at] != key) {
    }
    if (at == MT_INDEX_NONE) {
        n->keys = mt_alloc_grow(n->keys, &n->capacity, n->count + 1, sizeof *n->keys);
        at = (uint32_t)n->count;
        n->keys[n->count++] = key;
        mt_index_add(&n->index, hash, at);
    }
    n->last_key = key;
    n->last = at;
    return at;
}

static void numbers_fini(struct numbers *n)
{
    mt_index_fini(&n->index);
    free(n->keys);
}

/* ---- texts -------------------------------------------------------------------------------------------------------- */

/* Texts at different addresses may be equal: each address has the number of the first one that is. */
struct texts {
    struct numbers addresses;
    uint32_t *same; /* of each address */
    size_t same_capacity;
    struct mt_index by_text;
};

static const char *text_at(const struct texts *t, uint32_t number)
{
    const char *text = (const char *)(uintptr_t)t->addresses.keys[number];
    return text != NULL ? text : "";
}

static uint32_t first_equal(struct texts *t, uint32_t number)
{
    uint64_t hash = mt_hash_bytes(text_at(t, number), strlen(text_at(t, number)));
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&t->by_text, hash, &probe)) != MT_INDEX_NONE) {
        bool both_known = (t->addresses.keys[at] != 0) == (t->addresses.keys[number] != 0);
        if (both_known && strcmp(text_at(t, at), text_at(t, number)) == 0) {
            return at;
        }
    }
    mt_index_add(&t->by_text, hash, number);
    return number;
}

static uint32_t text_number(struct texts *t, const char *text)
{
    size_t known = t->addresses.count;
    uint32_t number = number_of(&t->addresses, (uint64_t)(uintptr_t)text);
    if (t->addresses.count > known) {
        t->same = mt_alloc_grow(t->same, &t->same_capacity, t->addresses.count, sizeof *t->same);
        t->same[number] = first_equal(t, number);
    }
    return t->same[number];
}

static void texts_fini(struct texts *t)
{
    numbers_fini(&t->addresses);
    mt_index_fini(&t->by_text);
    free(t->same);
}

/* ---- groups ------------------------------------------------------------------------------------------------------- */

/* A number's cell as one of the cells that are equal to it. */
static uint64_t cell_key(const struct mt_column *column, const void *row)
{
    uint64_t bits = mt_column_u64(column, row); /* of whatever type */
    if (column->type != MT_COLUMN_F64) {
        return bits;
    }
    double value = mt_column_f64(column, row);
    return isnan(value) ? UINT64_MAX : value == 0 ? 0 : bits; /* 0 is -0; not known is not known */
}

/* Splits groups by one more column; returns how many there are. */
static size_t split(const struct mt_table *table, const void *rows, size_t count, const struct mt_column *column, uint32_t *group_of)
{
    struct numbers cells = { 0 }, groups = { 0 };
    struct texts texts = { 0 };
    const char *row = rows;
    for (size_t i = 0; i < count; i++, row += table->row_bytes) {
        uint32_t cell = column->type == MT_COLUMN_TEXT ? text_number(&texts, mt_column_text(column, row))
                                                       : number_of(&cells, cell_key(column, row));
        group_of[i] = number_of(&groups, (uint64_t)group_of[i] << 32 | cell);
    }
    size_t found = groups.count;
    numbers_fini(&cells);
    numbers_fini(&groups);
    texts_fini(&texts);
    return found;
}

uint32_t *mt_sql_group(const struct mt_table *table, const void *rows, size_t first, size_t count, const int *columns, int column_count)
{
    uint32_t *group_of = mt_alloc_zero(count + 1, sizeof *group_of), *order = mt_alloc((count + 1) * sizeof *order);
    const char *from = (const char *)rows + first * table->row_bytes;
    size_t groups = 1;
    for (int i = 0; i < column_count; i++) {
        groups = split(table, from, count, &table->columns[columns[i]], group_of);
    }
    size_t *next = mt_alloc_zero(groups + 2, sizeof *next);
    for (size_t i = 0; i < count; i++) {
        next[group_of[i] + 1]++;
    }
    for (size_t g = 0; g < groups; g++) {
        next[g + 1] += next[g];
    }
    for (size_t i = 0; i < count; i++) {
        order[next[group_of[i]]++] = (uint32_t)(first + i);
    }
    free(next);
    free(group_of);
    return order;
}
