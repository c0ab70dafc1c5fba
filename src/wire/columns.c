/* columns.c: see columns.h. Both directions copy field by field and share one rule for how long a field is.
 *
 * A field is copied without a look at the bounds, at most MT_VARINT_MAX bytes from and to places that have slack behind
 * them; the bounds are checked after each record. Pointers are locals: a byte store may change anything in memory, and
 * would have them loaded again for every byte. Context: [tool].
 */
#include "wire/columns.h"

#include "base/varint.h"
#include "wire/decode.h"
#include "wire/format.h"

#include <stdlib.h>
#include <string.h>

enum { COLUMN_ROOM = 4096 };
/* A RESTART record: tag, clock delta 0, payload length, payload. */
enum { RESTART_TAG = MT_EVENT_EXT | MT_TAG_CLOCK | MT_EXT_RESTART << MT_TAG_NIBBLE_SHIFT };

void mt_columns_clear(struct mt_columns *c)
{
    memset(c->used, 0, sizeof c->used);
    c->bytes = 0;
}

void mt_columns_fini(struct mt_columns *c)
{
    for (size_t i = 0; i < MT_COLUMN__COUNT; i++) {
        free(c->data[i]);
    }
    *c = (struct mt_columns){ 0 };
}

/* Room for that many bytes more in every column: any of them may get all. */
static bool make_room(struct mt_columns *c, size_t bytes)
{
    for (size_t i = 0; i < MT_COLUMN__COUNT; i++) {
        size_t need = c->used[i] + bytes + MT_COLUMNS_SLACK;
        if (need <= c->capacity[i]) {
            continue;
        }
        size_t capacity = need + need / 2 + COLUMN_ROOM;
        uint8_t *grown = realloc(c->data[i], capacity);
        if (grown == NULL) {
            return false;
        }
        c->data[i] = grown;
        c->capacity[i] = capacity;
    }
    return true;
}

/* The rest of a field of four bytes or more. */
static bool copy_long(const uint8_t **from, uint8_t **to)
{
    const uint8_t *at = *from;
    for (size_t i = 3; i < MT_VARINT_MAX; i++) {
        (*to)[i] = at[i];
        if (at[i] < 0x80) {
            *from += i + 1;
            *to += i + 1;
            return i < MT_VARINT_MAX - 1 || at[i] <= 1;
        }
    }
    return false;
}

/* One varint; false when it is longer than 64 bits. (Copying eight bytes and counting was measured: twice the time, lengths
 * are predicted well.) */
MT_INLINE bool copy_field(const uint8_t **from, uint8_t **to)
{
    const uint8_t *at = *from;
    (*to)[0] = at[0];
    if (MT_LIKELY(at[0] < 0x80)) {
        *from += 1;
        *to += 1;
        return true;
    }
    (*to)[1] = at[1];
    if (MT_LIKELY(at[1] < 0x80)) {
        *from += 2;
        *to += 2;
        return true;
    }
    (*to)[2] = at[2];
    if (at[2] < 0x80) {
        *from += 3;
        *to += 3;
        return true;
    }
    return copy_long(from, to);
}

/* An EXT record after tag and clock: length and payload, which must be there to the end and hold its fields. */
static bool copy_ext(const uint8_t **from, const uint8_t *end, unsigned nibble, uint8_t **to)
{
    const uint8_t *at = *from;
    uint64_t bytes, value;
    if (!mt_varint_get(&at, end, &bytes) || bytes > (uint64_t)(end - at)) {
        return false;
    }
    const uint8_t *stop = at + bytes;
    for (unsigned i = 0; i < mt_decode_ext_fields(nibble); i++) {
        if (!mt_varint_get(&at, stop, &value)) {
            return false;
        }
    }
    memcpy(*to, *from, (size_t)(stop - *from));
    *to += stop - *from;
    *from = stop;
    return true;
}

/* Moves the records that begin before `stop` to the columns; `end` is the end of the rows, MT_COLUMNS_SLACK are readable
 * behind `stop`. Returns where the next record begins, NULL when one cannot be. */
static const uint8_t *split_run(struct mt_columns *c, const uint8_t *at, const uint8_t *stop, const uint8_t *end)
{
    uint8_t *to[MT_COLUMN__COUNT];
    for (size_t i = 0; i < MT_COLUMN__COUNT; i++) {
        to[i] = c->data[i] + c->used[i];
    }
    uint8_t *tags = to[MT_COLUMN_TAG], *addr = to[MT_COLUMN_ADDR], *size = to[MT_COLUMN_SIZE];
    uint8_t *stack = to[MT_COLUMN_STACK], *freed = to[MT_COLUMN_FREED], *clock = to[MT_COLUMN_CLOCK];
    bool good = true;
    while (at < stop && good) {
        unsigned tag = *at++;
        unsigned kind = tag & MT_TAG_KIND_MASK;
        unsigned nibble = tag >> MT_TAG_NIBBLE_SHIFT;
        *tags++ = (uint8_t)tag;
        if (MT_UNLIKELY(tag & MT_TAG_CLOCK)) {
            good = copy_field(&at, &clock);
        }
        if (kind == MT_EVENT_ALLOC || kind == MT_EVENT_REALLOC_NEW) {
            good = good && copy_field(&at, &addr) && copy_field(&at, &size) && copy_field(&at, &stack);
        } else if (kind == MT_EVENT_FREE || kind == MT_EVENT_REALLOC_OLD) {
            good = good && (nibble == 0 ? copy_field(&at, &freed) : nibble <= MT_RECENT_COUNT);
        } else if (kind == MT_EVENT_EXT) {
            good = good && at <= end && copy_ext(&at, end, nibble, &to[MT_COLUMN_EXT]);
        } else if (kind == MT_EVENT_END) {
            good = false;
        } else {
            good = good && copy_field(&at, &to[MT_COLUMN_RANGE]) && copy_field(&at, &to[MT_COLUMN_RANGE]) &&
                   (kind == MT_EVENT_UNMAP || copy_field(&at, &to[MT_COLUMN_RANGE]));
        }
    }
    to[MT_COLUMN_TAG] = tags;
    to[MT_COLUMN_ADDR] = addr;
    to[MT_COLUMN_SIZE] = size;
    to[MT_COLUMN_STACK] = stack;
    to[MT_COLUMN_FREED] = freed;
    to[MT_COLUMN_CLOCK] = clock;
    for (size_t i = 0; i < MT_COLUMN__COUNT; i++) {
        c->used[i] = (size_t)(to[i] - c->data[i]);
    }
    return good && at <= end ? at : NULL;
}

static bool split(struct mt_columns *c, const uint8_t *rows, size_t bytes)
{
    const uint8_t *end = rows + bytes;
    if (bytes > MT_COLUMNS_SLACK) {
        rows = split_run(c, rows, end - MT_COLUMNS_SLACK, end);
    }
    uint8_t last[2 * MT_COLUMNS_SLACK] = { 0 };
    if (rows == NULL || end - rows > MT_COLUMNS_SLACK) {
        return false;
    }
    size_t left = (size_t)(end - rows);
    memcpy(last, rows, left);
    return split_run(c, last, last + left, last + left) == last + left;
}

static void put_restart(struct mt_columns *c, uint64_t clock_first)
{
    uint8_t *ext = c->data[MT_COLUMN_EXT] + c->used[MT_COLUMN_EXT];
    c->data[MT_COLUMN_TAG][c->used[MT_COLUMN_TAG]++] = RESTART_TAG;
    c->data[MT_COLUMN_CLOCK][c->used[MT_COLUMN_CLOCK]++] = 0;
    ext[0] = (uint8_t)(mt_varint_put(ext + 1, clock_first) - (ext + 1));
    c->used[MT_COLUMN_EXT] += ext[0] + 1u;
}

mt_status mt_columns_add(struct mt_columns *c, uint64_t clock_first, const uint8_t *rows, size_t bytes)
{
    size_t before[MT_COLUMN__COUNT];
    memcpy(before, c->used, sizeof before);
    if (!make_room(c, bytes + MT_COLUMNS_SLACK)) {
        return MT_E_NOMEM;
    }
    if (c->bytes > 0) {
        put_restart(c, clock_first);
    }
    if (!split(c, rows, bytes)) {
        memcpy(c->used, before, sizeof before);
        return MT_E_CORRUPT;
    }
    c->bytes = 0;
    for (size_t i = 0; i < MT_COLUMN__COUNT; i++) {
        c->bytes += c->used[i];
    }
    return MT_OK;
}

uint8_t *mt_columns_put(uint8_t *head, size_t i, uint8_t *at, const uint8_t *data, size_t bytes)
{
    uint32_t said = (uint32_t)bytes;
    memcpy(head + 4 * i, &said, sizeof said);
    if (bytes > 0) {
        memcpy(at, data, bytes);
    }
    return at + bytes;
}

void mt_columns_gather(const struct mt_columns *c, uint8_t *to)
{
    uint8_t *at = to + MT_COLUMNS_HEAD_BYTES;
    for (size_t i = 0; i < MT_COLUMN__COUNT; i++) {
        at = mt_columns_put(to, i, at, c->data[i], c->used[i]);
    }
}

bool mt_columns_find(const uint8_t *head, size_t bytes, size_t count, const uint8_t *ret_begin[], const uint8_t *ret_end[])
{
    if (bytes < 4 * count) {
        return false;
    }
    const uint8_t *at = head + 4 * count;
    size_t left = bytes - 4 * count;
    for (size_t i = 0; i < count; i++) {
        uint32_t used;
        memcpy(&used, head + 4 * i, sizeof used);
        if (used > left) {
            return false;
        }
        ret_begin[i] = at;
        ret_end[i] = at += used;
        left -= used;
    }
    return left == 0;
}

bool mt_columns_join(const uint8_t *columns, size_t bytes, uint8_t *rows, size_t row_bytes)
{
    const uint8_t *from[MT_COLUMN__COUNT], *end[MT_COLUMN__COUNT];
    if (row_bytes != bytes - MT_COLUMNS_HEAD_BYTES || !mt_columns_find(columns, bytes, MT_COLUMN__COUNT, from, end)) {
        return false;
    }
    const uint8_t *tags = from[MT_COLUMN_TAG], *addr = from[MT_COLUMN_ADDR], *size = from[MT_COLUMN_SIZE];
    const uint8_t *stack = from[MT_COLUMN_STACK], *freed = from[MT_COLUMN_FREED], *clock = from[MT_COLUMN_CLOCK];
    const uint8_t *const last_tag = end[MT_COLUMN_TAG], *const row_end = rows + row_bytes;
    bool good = true;
    while (tags < last_tag && good && rows <= row_end) {
        unsigned tag = *tags++;
        unsigned kind = tag & MT_TAG_KIND_MASK;
        unsigned nibble = tag >> MT_TAG_NIBBLE_SHIFT;
        *rows++ = (uint8_t)tag;
        if (MT_UNLIKELY(tag & MT_TAG_CLOCK)) {
            good = copy_field(&clock, &rows) && clock <= end[MT_COLUMN_CLOCK];
        }
        if (kind == MT_EVENT_ALLOC || kind == MT_EVENT_REALLOC_NEW) {
            good = good && copy_field(&addr, &rows) && copy_field(&size, &rows) && copy_field(&stack, &rows) &&
                   addr <= end[MT_COLUMN_ADDR] && size <= end[MT_COLUMN_SIZE] && stack <= end[MT_COLUMN_STACK];
        } else if (kind == MT_EVENT_FREE || kind == MT_EVENT_REALLOC_OLD) {
            good = good && (nibble != 0 || (copy_field(&freed, &rows) && freed <= end[MT_COLUMN_FREED]));
        } else if (kind == MT_EVENT_EXT) {
            const uint8_t *ext = from[MT_COLUMN_EXT];
            uint64_t length;
            good = good && mt_varint_get(&ext, end[MT_COLUMN_EXT], &length) &&
                   length < (uint64_t)(row_end + MT_COLUMNS_SLACK / 2 - rows) &&
                   copy_ext(&from[MT_COLUMN_EXT], end[MT_COLUMN_EXT], nibble, &rows);
        } else if (kind != MT_EVENT_END) {
            good = good && copy_field(&from[MT_COLUMN_RANGE], &rows) && copy_field(&from[MT_COLUMN_RANGE], &rows) &&
                   (kind == MT_EVENT_UNMAP || copy_field(&from[MT_COLUMN_RANGE], &rows)) &&
                   from[MT_COLUMN_RANGE] <= end[MT_COLUMN_RANGE];
        } else {
            good = false;
        }
    }
    /* As many bytes went to the rows as the columns have: no column has some left when none was read too far. */
    return good && rows == row_end && tags == last_tag;
}
