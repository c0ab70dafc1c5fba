/* meta_columns.c: see meta_columns.h. Context: [tool].
 *
 * Numbers are differences modulo 2^32 or 2^64, so that any value comes back, also those that no reader takes.
 */
#include "wire/meta_columns.h"

#include "base/hash.h"
#include "wire/columns.h"
#include "wire/records.h"

#include <stdlib.h>
#include <string.h>

enum {
    ITEMS_MAX = 4096, /* of a list */
    RECORD_MAX = (4 + ITEMS_MAX) * MT_VARINT_MAX,
    COLUMN_ROOM = 256,
    FIRST_SLOTS = 1024,
};

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

static MT_NOINLINE bool grow_column(struct split *s, enum mt_meta_column column, size_t bytes)
{
    size_t capacity = 2 * (s->column[column].used + bytes) + COLUMN_ROOM;
    uint8_t *grown = realloc(s->column[column].data, capacity);
    if (grown == NULL) {
        s->no_room = true;
        return false;
    }
    s->column[column].data = grown;
    s->column[column].capacity = capacity;
    return true;
}

/* Is there room for that many bytes more? */
MT_INLINE bool make_room(struct split *s, enum mt_meta_column column, size_t bytes)
{
    return MT_LIKELY(bytes <= s->column[column].capacity - s->column[column].used) || grow_column(s, column, bytes);
}

static void put_bytes(struct split *s, enum mt_meta_column column, const uint8_t *data, size_t bytes)
{
    if (bytes > 0 && make_room(s, column, bytes)) {
        memcpy(s->column[column].data + s->column[column].used, data, bytes);
        s->column[column].used += bytes;
    }
}

MT_INLINE void put(struct split *s, enum mt_meta_column column, uint64_t value)
{
    if (make_room(s, column, MT_VARINT_MAX)) {
        uint8_t *end = mt_varint_put(s->column[column].data + s->column[column].used, value);
        s->column[column].used = (size_t)(end - s->column[column].data);
    }
}

static void put_tag(struct split *s, uint8_t tag)
{
    put_bytes(s, MT_META_COLUMN_TAG, &tag, 1);
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

static void split_items(struct split *s, struct mt_bytes items, uint32_t count, enum mt_meta_column column)
{
    uint64_t before = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t item = mt_bytes_u64(&items);
        put(s, column, mt_zigzag((int64_t)(item - before)));
        before = item;
    }
}

#define SPLIT_BACK_NATIVE(s, column, value) put(s, column, (s)->count.native - (value))
#define SPLIT_BACK_PYTHON(s, column, value) put(s, column, (s)->count.python - (value))
#define SPLIT_PC(s, column, value) split_pc(s, value)
#define SPLIT_NUMBER(s, column, value) put(s, column, value)
#define SPLIT_ZIGZAG(s, column, value) put(s, column, mt_zigzag(value))
#define SPLIT_BYTE(s, column, value) put_bytes(s, column, &(value), 1)

#define BYTES_U32(value) mt_varint_bytes(value)
#define BYTES_ADDRESS(value) mt_varint_bytes(value)
#define BYTES_S64(value) mt_varint_bytes(mt_zigzag(value))
#define BYTES_U8(value) 1

/* For each kind of record that is taken apart: whether it would come out of its columns as it goes in, which is the case when
 * its numbers fit and have their shortest form: then they have as many bytes together. Its items come back unread. */
#define MT_APART(NAME, name, tag, counting)                                                                            \
    static bool comes_back_##name(struct mt_bytes b, struct mt_record_##name *r, struct mt_bytes *ret_items)           \
    {                                                                                                                  \
        size_t bytes = (size_t)(b.end - b.at), shortest = 0;                                                           \
        bool whole = mt_record_get_##name(&b, r);                                                                      \
        *ret_items = b;
#define MT_PART(type, member, word, way, column) shortest += BYTES_##type(r->member);
#define MT_APART_LIST(item, member, word, counts, column)                                                              \
    shortest += mt_varint_bytes(r->member);                                                                            \
    whole = whole && r->member <= ITEMS_MAX;                                                                           \
    for (uint32_t i = 0; whole && i < r->member; i++) {                                                                \
        shortest += mt_varint_bytes(mt_bytes_u32(&b));                                                                 \
        whole = !b.bad;                                                                                                \
    }
#define MT_APART_DONE(name)                                                                                            \
    return whole && b.at == b.end && shortest == bytes;                                                                \
    }
#include "wire/records.def"

/* Its fields and items to their columns. */
#define MT_APART(NAME, name, tag, counting)                                                                            \
    static void split_##name(struct split *s, const struct mt_record_##name *r, struct mt_bytes items)                 \
    {                                                                                                                  \
        (void)items;
#define MT_PART(type, member, word, way, column) SPLIT_##way(s, MT_META_COLUMN_##column, r->member);
#define MT_APART_LIST(item, member, word, counts, column)                                                              \
    put(s, MT_META_COLUMN_##counts, r->member);                                                                        \
    split_items(s, items, r->member, MT_META_COLUMN_##column);
#define MT_APART_DONE(name) }
#include "wire/records.def"

/* Takes the record apart when it can be; false when it has to stay whole. */
static bool split_fields(struct split *s, uint8_t tag, struct mt_bytes payload, bool *ret_could)
{
    *ret_could = true;
    switch (tag) {
#define MT_APART(NAME, name, tag, counting)                                                                            \
    case tag: {                                                                                                        \
        struct mt_record_##name r;                                                                                     \
        struct mt_bytes items;                                                                                         \
        if (!comes_back_##name(payload, &r, &items)) {                                                                 \
            return false;                                                                                              \
        }                                                                                                              \
        put_tag(s, tag);                                                                                               \
        split_##name(s, &r, items);                                                                                    \
        return true;                                                                                                   \
    }
#include "wire/records.def"
    default:
        *ret_could = false;
        return false;
    }
}

static bool split_record(struct split *s, uint8_t tag, struct mt_bytes payload)
{
    size_t bytes = (size_t)(payload.end - payload.at);
    bool could;
    if (!split_fields(s, tag, payload, &could)) {
        put_tag(s, (uint8_t)(could ? tag | MT_META_WHOLE : tag));
        put(s, MT_META_COLUMN_LENGTH, bytes);
        put_bytes(s, tag == MT_META_STRING ? MT_META_COLUMN_TEXT : MT_META_COLUMN_WHOLE, payload.at, bytes);
    }
    s->count.native += tag == MT_META_NATIVE_NODE;
    s->count.python += tag == MT_META_PYTHON_NODE;
    s->row_bytes += 1 + mt_varint_bytes(bytes) + bytes;
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

static uint32_t join_count(struct join *j, enum mt_meta_column column)
{
    uint64_t count = take(j, column);
    j->bad = j->bad || count > ITEMS_MAX;
    return j->bad ? 0 : (uint32_t)count;
}

static void join_items(struct join *j, struct mt_meta_builder *record, uint32_t count, enum mt_meta_column column)
{
    uint64_t item = 0;
    for (uint32_t i = 0; i < count && !j->column[column].bad; i++) {
        item += (uint64_t)mt_unzigzag(take(j, column));
        mt_meta_u64(record, item);
    }
}

#define JOIN_BACK_NATIVE(j, column) (j)->count.native - (uint32_t)take(j, column)
#define JOIN_BACK_PYTHON(j, column) (j)->count.python - (uint32_t)take(j, column)
#define JOIN_PC(j, column) join_pc(j)
#define JOIN_NUMBER(j, from) mt_bytes_u32(&(j)->column[from])
#define JOIN_ZIGZAG(j, column) mt_unzigzag(take(j, column))
#define JOIN_BYTE(j, from) mt_bytes_u8(&(j)->column[from])

/* A record that was taken apart, out of its columns. */
#define MT_APART(NAME, name, tag, counting)                                                                            \
    static void join_##name(struct join *j, struct mt_meta_builder *record)                                            \
    {                                                                                                                  \
        struct mt_record_##name r;                                                                                     \
        enum mt_meta_column items = MT_META_COLUMN_TAG;                                                                \
        uint32_t item_count = 0;
#define MT_PART(type, member, word, way, column) r.member = JOIN_##way(j, MT_META_COLUMN_##column);
#define MT_APART_LIST(item, member, word, counts, column)                                                              \
    r.member = item_count = join_count(j, MT_META_COLUMN_##counts);                                                    \
    items = MT_META_COLUMN_##column;
#define MT_APART_DONE(name)                                                                                            \
    mt_record_put_##name(record, &r);                                                                                  \
    join_items(j, record, item_count, items);                                                                          \
    }
#include "wire/records.def"

/* False: records of this tag are whole. */
static bool join_fields(struct join *j, uint8_t shown)
{
    uint8_t buffer[RECORD_MAX];
    struct mt_meta_builder record;
    mt_meta_begin(&record, buffer, sizeof buffer);
    switch (shown) {
#define MT_APART(NAME, name, tag, counting)                                                                            \
    case tag:                                                                                                          \
        join_##name(j, &record);                                                                                       \
        break;
#include "wire/records.def"
    default:
        return false;
    }
    mt_meta_string(&j->rows, record.buf, record.bytes);
    return true;
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
        if (!join_fields(&j, shown)) {
            join_whole(&j, tag);
        }
        j.count.native += tag == MT_META_NATIVE_NODE;
        j.count.python += tag == MT_META_PYTHON_NODE;
    }
    bool good = !j.bad && !j.rows.overflow && j.rows.bytes == row_bytes;
    for (size_t i = 0; i < MT_META_COLUMN__COUNT; i++) {
        good = good && !j.column[i].bad && j.column[i].at == j.column[i].end;
    }
    pcs_fini(&j.pcs);
    return j.no_room ? MT_E_NOMEM : good ? MT_OK : MT_E_CORRUPT;
}
