/* meta_columns.c: see meta_columns.h. Context: [tool].
 *
 * Numbers are differences modulo 2^32 or 2^64, so that any value comes back, also those that no reader takes.
 */
#include "wire/meta_columns.h"

#include "base/hash.h"
#include "wire/columns.h"
#include "wire/decode.h"
#include "wire/encode.h"

#include <stdlib.h>
#include <string.h>

enum { ANCHORS_MAX = 4096, COLUMN_ROOM = 256, FIRST_SLOTS = 1024 };

/* ---- the pcs met so far ------------------------------------------------------------------------------------------ */

struct pcs {
    uint64_t *list;
    size_t count, capacity;
    uint32_t *slots; /* 1 + place in the list, 0 free; a power of two, split only */
    size_t slot_count;
    uint64_t last; /* added */
};

static void pcs_fini(struct pcs *p)
{
    free(p->list);
    free(p->slots);
}

static bool pcs_add(struct pcs *p, uint64_t pc)
{
    if (p->count == p->capacity) {
        size_t capacity = p->capacity > 0 ? 2 * p->capacity : FIRST_SLOTS;
        uint64_t *grown = realloc(p->list, capacity * sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        p->list = grown;
        p->capacity = capacity;
    }
    p->list[p->count++] = pc;
    p->last = pc;
    return true;
}

/* The slot of a pc, or the free one where it would be. */
static uint32_t *slot_of(const struct pcs *p, uint64_t pc)
{
    size_t at = (size_t)mt_hash_u64(pc) & (p->slot_count - 1);
    while (p->slots[at] != 0 && p->list[p->slots[at] - 1] != pc) {
        at = (at + 1) & (p->slot_count - 1);
    }
    return &p->slots[at];
}

/* Room in the slots for one more pc. */
static bool slots_grow(struct pcs *p)
{
    if (2 * (p->count + 1) <= p->slot_count) {
        return true;
    }
    size_t slot_count = p->slot_count > 0 ? 2 * p->slot_count : FIRST_SLOTS;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    free(p->slots);
    p->slots = slots;
    p->slot_count = slot_count;
    for (size_t i = 0; i < p->count; i++) {
        *slot_of(p, p->list[i]) = (uint32_t)i + 1;
    }
    return true;
}

/* ---- records to columns ------------------------------------------------------------------------------------------ */

struct split {
    struct {
        uint8_t *data;
        size_t used, capacity;
    } column[MT_META_COLUMN__COUNT];
    struct pcs pcs;
    struct mt_meta_count count;
    size_t row_bytes;
    bool no_room;
};

static void put_bytes(struct split *s, enum mt_meta_column column, const uint8_t *data, size_t bytes)
{
    size_t need = s->column[column].used + bytes;
    if (need > s->column[column].capacity) {
        size_t capacity = 2 * need + COLUMN_ROOM;
        uint8_t *grown = realloc(s->column[column].data, capacity);
        if (grown == NULL) {
            s->no_room = true;
            return;
        }
        s->column[column].data = grown;
        s->column[column].capacity = capacity;
    }
    if (bytes > 0) {
        memcpy(s->column[column].data + s->column[column].used, data, bytes);
    }
    s->column[column].used = need;
}

static void put(struct split *s, enum mt_meta_column column, uint64_t value)
{
    uint8_t bytes[MT_VARINT_MAX];
    put_bytes(s, column, bytes, (size_t)(mt_varint_put(bytes, value) - bytes));
}

static size_t varint_bytes(uint64_t value)
{
    uint8_t bytes[MT_VARINT_MAX];
    return (size_t)(mt_varint_put(bytes, value) - bytes);
}

/* The fields of a record that can be taken apart. */
struct fields {
    uint32_t parent, code; /* a stack: its nodes */
    uint64_t value;        /* pc, offset as it is written, count of anchors */
    uint8_t flags;
    struct mt_bytes anchors;
};

/* Reads the fields; false when the record would not come out as it went in. */
static bool read_fields(uint8_t tag, struct mt_bytes b, struct fields *f)
{
    size_t bytes = (size_t)(b.end - b.at), shortest = 0;
    f->parent = mt_bytes_u32(&b);
    if (tag == MT_META_PYTHON_NODE || tag == MT_META_STACK) {
        f->code = mt_bytes_u32(&b);
        shortest = varint_bytes(f->code);
    }
    f->value = mt_bytes_u64(&b);
    shortest += varint_bytes(f->parent) + varint_bytes(f->value);
    if (tag == MT_META_PYTHON_NODE) {
        f->flags = mt_bytes_u8(&b);
        shortest += 1;
    }
    if (tag == MT_META_STACK) {
        f->anchors = b;
        b.bad = b.bad || f->value > ANCHORS_MAX;
        for (uint64_t i = 0; i < f->value && !b.bad; i++) {
            shortest += varint_bytes(mt_bytes_u64(&b));
        }
    }
    return !b.bad && b.at == b.end && shortest == bytes;
}

static void split_pc(struct split *s, uint64_t pc)
{
    if (!slots_grow(&s->pcs)) {
        s->no_room = true;
        return;
    }
    uint32_t *slot = slot_of(&s->pcs, pc);
    put(s, MT_META_COLUMN_PC, *slot);
    if (*slot == 0) {
        put(s, MT_META_COLUMN_NEW_PC, mt_zigzag((int64_t)(pc - s->pcs.last)));
        s->no_room = s->no_room || !pcs_add(&s->pcs, pc);
        *slot = (uint32_t)s->pcs.count;
    }
}

static void split_anchors(struct split *s, struct fields *f)
{
    uint64_t before = 0;
    put(s, MT_META_COLUMN_COUNT, f->value);
    for (uint64_t i = 0; i < f->value; i++) {
        uint64_t anchor = mt_bytes_u64(&f->anchors);
        put(s, MT_META_COLUMN_ANCHOR, mt_zigzag((int64_t)(anchor - before)));
        before = anchor;
    }
}

static void split_fields(struct split *s, uint8_t tag, struct fields *f)
{
    if (tag == MT_META_NATIVE_NODE) {
        put(s, MT_META_COLUMN_PARENT, s->count.native - f->parent);
        split_pc(s, f->value);
    } else if (tag == MT_META_PYTHON_NODE) {
        put(s, MT_META_COLUMN_PARENT, s->count.python - f->parent);
        put(s, MT_META_COLUMN_CODE, f->code);
        put(s, MT_META_COLUMN_OFFSET, f->value);
        put_bytes(s, MT_META_COLUMN_FLAGS, &f->flags, 1);
    } else {
        put(s, MT_META_COLUMN_NATIVE, s->count.native - f->parent);
        put(s, MT_META_COLUMN_PYTHON, s->count.python - f->code);
        split_anchors(s, f);
    }
}

static bool split_record(struct split *s, uint8_t tag, struct mt_bytes payload)
{
    struct fields f = { 0 };
    size_t bytes = (size_t)(payload.end - payload.at);
    bool could = tag == MT_META_NATIVE_NODE || tag == MT_META_PYTHON_NODE || tag == MT_META_STACK;
    bool apart = could && read_fields(tag, payload, &f);
    uint8_t shown = (uint8_t)(could && !apart ? tag | MT_META_WHOLE : tag);
    put_bytes(s, MT_META_COLUMN_TAG, &shown, 1);
    if (apart) {
        split_fields(s, tag, &f);
    } else {
        put(s, MT_META_COLUMN_LENGTH, bytes);
        put_bytes(s, tag == MT_META_STRING ? MT_META_COLUMN_TEXT : MT_META_COLUMN_WHOLE, payload.at, bytes);
    }
    s->count.native += tag == MT_META_NATIVE_NODE;
    s->count.python += tag == MT_META_PYTHON_NODE;
    s->row_bytes += 1 + varint_bytes(bytes) + bytes;
    return tag < MT_META_WHOLE;
}

static uint8_t *gather(const struct split *s, size_t *ret_bytes)
{
    size_t bytes = MT_META_COLUMNS_HEAD_BYTES;
    for (size_t i = 0; i < MT_META_COLUMN__COUNT; i++) {
        bytes += s->column[i].used;
    }
    uint8_t *columns = malloc(bytes);
    if (columns == NULL) {
        return NULL;
    }
    uint8_t *at = columns + MT_META_COLUMNS_HEAD_BYTES;
    for (size_t i = 0; i < MT_META_COLUMN__COUNT; i++) {
        at = mt_columns_put(columns, i, at, s->column[i].data, s->column[i].used);
    }
    *ret_bytes = bytes;
    return columns;
}

mt_status mt_meta_columns_split(const uint8_t *rows, size_t bytes, struct mt_meta_count *count, uint8_t **ret_columns,
                                size_t *ret_bytes, size_t *ret_row_bytes)
{
    struct split s = { .count = *count };
    struct mt_bytes b = mt_bytes_of(rows, bytes), payload;
    uint8_t tag;
    bool good = bytes <= UINT32_MAX / 2;
    *ret_columns = NULL;
    put(&s, MT_META_COLUMN_BASE, s.count.native);
    put(&s, MT_META_COLUMN_BASE, s.count.python);
    while (good && !s.no_room && mt_bytes_record(&b, &tag, &payload)) {
        good = split_record(&s, tag, payload);
    }
    good = good && !b.bad;
    if (good && !s.no_room) {
        *ret_columns = gather(&s, ret_bytes);
        *ret_row_bytes = s.row_bytes;
        *count = s.count;
    }
    for (size_t i = 0; i < MT_META_COLUMN__COUNT; i++) {
        free(s.column[i].data);
    }
    pcs_fini(&s.pcs);
    return !good ? MT_E_CORRUPT : *ret_columns == NULL ? MT_E_NOMEM : MT_OK;
}

/* ---- columns to records ------------------------------------------------------------------------------------------ */

struct join {
    struct mt_bytes column[MT_META_COLUMN__COUNT];
    struct pcs pcs;
    struct mt_meta_count count;
    struct mt_meta_builder rows;
    bool bad, no_room;
};

static uint64_t take(struct join *j, enum mt_meta_column column)
{
    return mt_bytes_u64(&j->column[column]);
}

static uint64_t join_pc(struct join *j)
{
    uint64_t place = take(j, MT_META_COLUMN_PC);
    if (place > j->pcs.count) {
        j->bad = true;
        return 0;
    }
    if (place > 0) {
        return j->pcs.list[place - 1];
    }
    uint64_t pc = j->pcs.last + (uint64_t)mt_unzigzag(take(j, MT_META_COLUMN_NEW_PC));
    j->no_room = j->no_room || !pcs_add(&j->pcs, pc);
    return pc;
}

static void join_anchors(struct join *j, struct mt_meta_builder *record)
{
    uint64_t count = take(j, MT_META_COLUMN_COUNT), anchor = 0;
    mt_meta_u64(record, count);
    for (uint64_t i = 0; i < count && !j->column[MT_META_COLUMN_ANCHOR].bad && count <= ANCHORS_MAX; i++) {
        anchor += (uint64_t)mt_unzigzag(take(j, MT_META_COLUMN_ANCHOR));
        mt_meta_u64(record, anchor);
    }
}

/* A record that was taken apart. */
static void join_fields(struct join *j, uint8_t tag)
{
    uint8_t buf[(3 + ANCHORS_MAX) * MT_VARINT_MAX];
    struct mt_meta_builder record;
    mt_meta_begin(&record, buf, sizeof buf);
    if (tag == MT_META_NATIVE_NODE) {
        mt_meta_u64(&record, j->count.native++ - (uint32_t)take(j, MT_META_COLUMN_PARENT));
        mt_meta_u64(&record, join_pc(j));
    } else if (tag == MT_META_PYTHON_NODE) {
        mt_meta_u64(&record, j->count.python++ - (uint32_t)take(j, MT_META_COLUMN_PARENT));
        mt_meta_u64(&record, take(j, MT_META_COLUMN_CODE));
        mt_meta_u64(&record, take(j, MT_META_COLUMN_OFFSET));
        mt_meta_u8(&record, mt_bytes_u8(&j->column[MT_META_COLUMN_FLAGS]));
    } else {
        mt_meta_u64(&record, j->count.native - (uint32_t)take(j, MT_META_COLUMN_NATIVE));
        mt_meta_u64(&record, j->count.python - (uint32_t)take(j, MT_META_COLUMN_PYTHON));
        join_anchors(j, &record);
    }
    mt_meta_string(&j->rows, record.buf, record.bytes);
}

static void join_whole(struct join *j, uint8_t tag)
{
    struct mt_bytes *from = &j->column[tag == MT_META_STRING ? MT_META_COLUMN_TEXT : MT_META_COLUMN_WHOLE];
    uint64_t bytes = take(j, MT_META_COLUMN_LENGTH);
    if (bytes > (uint64_t)(from->end - from->at)) {
        j->bad = true;
        return;
    }
    mt_meta_string(&j->rows, from->at, (size_t)bytes);
    from->at += bytes;
    j->count.native += tag == MT_META_NATIVE_NODE;
    j->count.python += tag == MT_META_PYTHON_NODE;
}

mt_status mt_meta_columns_join(const uint8_t *columns, size_t bytes, uint8_t *rows, size_t row_bytes)
{
    struct join j = { .bad = false };
    const uint8_t *begin[MT_META_COLUMN__COUNT], *end[MT_META_COLUMN__COUNT];
    if (!mt_columns_find(columns, bytes, MT_META_COLUMN__COUNT, begin, end)) {
        return MT_E_CORRUPT;
    }
    for (size_t i = 0; i < MT_META_COLUMN__COUNT; i++) {
        j.column[i] = mt_bytes_of(begin[i], (size_t)(end[i] - begin[i]));
    }
    mt_meta_begin(&j.rows, rows, row_bytes);
    j.count.native = mt_bytes_u32(&j.column[MT_META_COLUMN_BASE]);
    j.count.python = mt_bytes_u32(&j.column[MT_META_COLUMN_BASE]);
    struct mt_bytes *tags = &j.column[MT_META_COLUMN_TAG];
    while (tags->at < tags->end && !j.bad && !j.no_room && !j.rows.overflow) {
        uint8_t shown = *tags->at++;
        uint8_t tag = (uint8_t)(shown & ~MT_META_WHOLE);
        mt_meta_u8(&j.rows, tag);
        if (shown == MT_META_NATIVE_NODE || shown == MT_META_PYTHON_NODE || shown == MT_META_STACK) {
            join_fields(&j, tag);
        } else {
            join_whole(&j, tag);
        }
    }
    bool good = !j.bad && !j.rows.overflow && j.rows.bytes == row_bytes;
    for (size_t i = 0; i < MT_META_COLUMN__COUNT; i++) {
        good = good && !j.column[i].bad && j.column[i].at == j.column[i].end;
    }
    pcs_fini(&j.pcs);
    return j.no_room ? MT_E_NOMEM : good ? MT_OK : MT_E_CORRUPT;
}
