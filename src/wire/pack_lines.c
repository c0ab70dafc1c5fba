/* pack_lines.c: see pack_lines.h. Context: [tool]. */
#include "wire/pack_lines.h"

#include "wire/records.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 16 * 1024, STEP_MAX = 127, RANGE_MAX = 255, PAIR_BYTES = 2, ASKED_AT_ONCE = 256 };

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

void mt_used_lines_settle(struct mt_used_lines *u)
{
    size_t kept = 0;
    if (u->count > 1) {
        qsort(u->keys, u->count, sizeof *u->keys, compare_keys);
    }
    for (size_t i = 0; i < u->count; i++) {
        if (kept == 0 || u->keys[kept - 1] != u->keys[i]) {
            u->keys[kept++] = u->keys[i];
        }
    }
    u->count = kept;
}

/* Few instructions are in many nodes: repetitions go before more memory is asked for. */
static bool make_room(struct mt_used_lines *u)
{
    if (u->count < u->capacity) {
        return true;
    }
    mt_used_lines_settle(u);
    if (u->count <= u->capacity / 2 && u->capacity > 0) {
        return true;
    }
    size_t capacity = u->capacity > 0 ? 2 * u->capacity : FIRST_ROOM;
    uint64_t *grown = realloc(u->keys, capacity * sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    u->keys = grown;
    u->capacity = capacity;
    return true;
}

bool mt_used_lines_add(struct mt_used_lines *u, struct mt_bytes payload)
{
    struct mt_record_python node;
    bool whole = mt_record_get_python(&payload, &node);
    if (!whole || node.offset < 0 || node.offset > INT32_MAX) { /* no reader asks the table about these */
        return true;
    }
    if (!make_room(u)) {
        return false;
    }
    u->keys[u->count++] = (uint64_t)node.code << 32 | (uint64_t)node.offset;
    return true;
}

void mt_used_lines_fini(struct mt_used_lines *u)
{
    free(u->keys);
    *u = (struct mt_used_lines){ 0 };
}

static size_t first_of(const struct mt_used_lines *u, uint32_t code)
{
    uint64_t key = (uint64_t)code << 32;
    size_t low = 0, high = u->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (u->keys[middle] < key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* A table of kind 2 as it grows: pairs (length of a range in bytes u8, line step s8). */
struct table {
    uint8_t *at;
    const uint8_t *end;
    int64_t line;    /* of the last range */
    uint64_t covers; /* bytes of code */
};

static bool put_pair(struct table *t, uint64_t range, int64_t step)
{
    if (t->end - t->at < PAIR_BYTES) {
        return false;
    }
    *t->at++ = (uint8_t)range;
    *t->at++ = (uint8_t)step;
    t->covers += range;
    t->line += step;
    return true;
}

/* Everything from where the table ends up to `stop` has this line. */
static bool put_range(struct table *t, uint64_t stop, int64_t line)
{
    bool room = true;
    while (room && (line - t->line > STEP_MAX || t->line - line > STEP_MAX)) {
        room = put_pair(t, 0, line > t->line ? STEP_MAX : -STEP_MAX);
    }
    while (room && t->covers < stop) {
        uint64_t left = stop - t->covers;
        room = put_pair(t, left < RANGE_MAX ? left : RANGE_MAX, line - t->line);
    }
    return room;
}

/* Up to ASKED_AT_ONCE instructions of the code from `first` on; returns how many. */
static size_t take_used(const struct mt_used_lines *u, uint32_t code, size_t first, uint32_t *ret_lasti)
{
    size_t count = 0;
    while (count < ASKED_AT_ONCE && first + count < u->count && u->keys[first + count] >> 32 == code) {
        ret_lasti[count] = (uint32_t)u->keys[first + count];
        count++;
    }
    return count;
}

size_t mt_used_lines_reduce(const struct mt_used_lines *u, mt_lines_of *lines_of, struct mt_bytes payload, uint8_t *out)
{
    size_t bytes = (size_t)(payload.end - payload.at);
    struct mt_record_code code;
    struct mt_meta_builder record;
    if (!mt_record_get_code(&payload, &code) || code.linetable.bytes == 0) {
        return 0;
    }
    struct mt_record_code head = code;
    head.linetable_kind = MT_LINETABLE_310;
    head.linetable.bytes = 0;
    mt_meta_begin(&record, out, bytes);
    mt_record_put_code(&record, &head);
    if (record.overflow) {
        return 0;
    }
    struct table t = { out + record.bytes, out + bytes - 1, code.first_line, 0 };
    uint32_t lasti[ASKED_AT_ONCE], lines[ASKED_AT_ONCE];
    size_t at = first_of(u, code.number), count;
    while ((count = take_used(u, code.number, at, lasti)) > 0) {
        lines_of(code.linetable_kind, code.linetable.data, code.linetable.bytes, code.first_line, lasti, count, lines);
        for (size_t i = 0; i < count; i++) {
            if (!put_range(&t, (uint64_t)lasti[i] + 1, lines[i])) {
                return 0;
            }
        }
        at += count;
    }
    return (size_t)(t.at - out);
}
