/* test_records.c: what is written out for speed (encoder, decoder, columns) is what the table of records says.
 *
 * Each row of wire/records.def becomes bytes here, field by field, and is compared with the bytes of the encoder, what both
 * paths of the decoder read from them, and where the columns have them.
 */
#include "harness.h"

#include "wire/columns.h"
#include "wire/pack_event.h"
#include "wire/records.h"

#include <string.h>

enum { FIELDS_MAX = 4, ROUNDS = 3, SLACK = 128 };
enum coding { CODING_NONE, CODING_PLAIN, CODING_DELTA, CODING_DELTA_8, CODING_DELTA_4096 };
enum nibble { NIBBLE_NONE, NIBBLE_ALLOCATOR, NIBBLE_RECENT, NIBBLE_MAP_KIND, NIBBLE_EXT };

struct member {
    size_t offset, bytes; /* in struct mt_event; bytes 0: no more */
    enum coding coding;
    enum mt_column column;
};

struct row {
    const char *name;
    unsigned kind;   /* an extended record: its event */
    unsigned number; /* extended records */
    enum nibble nibble;
    struct member members[FIELDS_MAX + 1];
};

#define MEMBER(member) offsetof(struct mt_event, member), sizeof(((struct mt_event *)NULL)->member)

static const struct row g_short[] = {
#define MT_EVENT(NAME, kind, nibble, word) { #NAME, kind, 0, NIBBLE_##nibble, { { 0, 0, CODING_NONE, MT_COLUMN_TAG }
#define MT_CODED(member, coding, column) , { MEMBER(member), CODING_##coding, MT_COLUMN_##column }
#define MT_EVENT_DONE } },
#include "wire/records.def"
};

static const struct row g_extended[] = {
#define MT_EXT(NAME, number, event, word) { #NAME, event, number, NIBBLE_EXT, { { 0, 0, CODING_NONE, MT_COLUMN_TAG }
#define MT_WIDE(NAME, number, EVENT) { #NAME, MT_EVENT_##EVENT, number, NIBBLE_EXT, { { 0, 0, CODING_NONE, MT_COLUMN_TAG }
#define MT_VALUE(type, member, name) , { MEMBER(member), CODING_PLAIN, MT_COLUMN_EXT }
#define MT_EXT_DONE } },
#include "wire/records.def"
};

static uint64_t get(const struct mt_event *e, const struct member *m)
{
    uint64_t value = 0;
    memcpy(&value, (const uint8_t *)e + m->offset, m->bytes);
    return value;
}

static void set(struct mt_event *e, const struct member *m, uint64_t value)
{
    memcpy((uint8_t *)e + m->offset, &value, m->bytes);
}

/* Rows of a kind have their members from place 1 on. */
static const struct member *next_member(const struct row *row, size_t i)
{
    return i + 1 <= FIELDS_MAX && row->members[i + 1].bytes > 0 ? &row->members[i + 1] : NULL;
}

/* The state that the codings count from. */
struct state {
    uint64_t addr, range, stack;
};

static uint8_t *put_coded(uint8_t *at, const struct member *m, uint64_t value, struct state *s)
{
    uint64_t *before = m->coding == CODING_DELTA_8 ? &s->addr : m->coding == CODING_DELTA_4096 ? &s->range : &s->stack;
    unsigned shift = m->coding == CODING_DELTA_8 ? 3 : m->coding == CODING_DELTA_4096 ? 12 : 0;
    if (m->coding == CODING_PLAIN) {
        return mt_varint_put(at, value);
    }
    int64_t delta = (int64_t)(value - *before) >> shift;
    *before = value;
    return mt_varint_put(at, mt_zigzag(delta));
}

static struct mt_event make_event(const struct row *row, unsigned round, uint64_t odd)
{
    struct mt_event e = { .kind = (uint8_t)row->kind, .clock = 101 + round, .stream = 1 };
    const struct member *m;
    for (size_t i = 0; (m = next_member(row, i)) != NULL; i++) {
        set(&e, m, 0x12345000 * (uint64_t)(round + 1) + (i << 20) + odd);
    }
    if (row->nibble == NIBBLE_ALLOCATOR || row->nibble == NIBBLE_MAP_KIND) {
        e.allocator = MT_MAP_MREMAP;
    }
    return e;
}

/* The records of a short row by the table; columns get their fields as well. */
static size_t put_rows(const struct row *row, struct mt_event *events, uint8_t *bytes, uint8_t columns[][SLACK],
                       size_t *column_bytes)
{
    struct state state = { 0 };
    uint8_t *at = bytes;
    for (unsigned round = 0; round < ROUNDS; round++) {
        const struct member *m;
        events[round] = make_event(row, round, 0);
        *at++ = (uint8_t)(row->kind | (unsigned)events[round].allocator << MT_TAG_NIBBLE_SHIFT);
        columns[MT_COLUMN_TAG][column_bytes[MT_COLUMN_TAG]++] = at[-1];
        for (size_t i = 0; (m = next_member(row, i)) != NULL; i++) {
            uint8_t *end = put_coded(at, m, get(&events[round], m), &state);
            memcpy(columns[m->column] + column_bytes[m->column], at, (size_t)(end - at));
            column_bytes[m->column] += (size_t)(end - at);
            at = end;
        }
    }
    return (size_t)(at - bytes);
}

static void expect_decoded(const uint8_t *bytes, size_t size, const struct mt_event *want, size_t count)
{
    struct mt_event got[ROUNDS + 1];
    struct mt_event_decoder d;
    mt_decode_begin(&d, bytes, size, 100, 1);
    assert_int_equal(mt_decode_events(&d, 100 + count, got, ROUNDS + 1), count);
    assert_memory_equal(got, want, count * sizeof *want);
}

static void test_short_records_are_as_the_table_says(void **state)
{
    (void)state;
    for (size_t r = 0; r < MT_COUNTOF(g_short); r++) {
        const struct row *row = &g_short[r];
        uint8_t bytes[4 * SLACK] = { 0 }, encoded[ROUNDS * MT_EVENT_MAX_BYTES], columns[MT_COLUMN__COUNT][SLACK];
        size_t column_bytes[MT_COLUMN__COUNT] = { 0 };
        struct mt_event events[ROUNDS];
        struct mt_event_encoder e;
        struct mt_columns split = { 0 };
        if (next_member(row, 0) == NULL) {
            continue; /* END and EXT */
        }
        size_t size = put_rows(row, events, bytes, columns, column_bytes);
        mt_encode_begin(&e, encoded, 100);
        for (unsigned round = 0; round < ROUNDS; round++) {
            mt_pack_event(&e, &events[round]);
        }
        assert_int_equal(e.at - encoded, size);
        assert_memory_equal(encoded, bytes, size);
        expect_decoded(bytes, size, events, ROUNDS);         /* every byte checked */
        expect_decoded(bytes, sizeof bytes, events, ROUNDS); /* far from the end */
        assert_int_equal(mt_columns_add(&split, 100, bytes, size), MT_OK);
        for (size_t c = 0; c < MT_COLUMN__COUNT; c++) {
            assert_int_equal(split.used[c], column_bytes[c]);
            assert_memory_equal(split.data[c], columns[c], column_bytes[c]);
        }
        mt_columns_fini(&split);
    }
}

/* Writes an event that has no short form; the rate and the label are no events of a packer. */
static void encode(struct mt_event_encoder *e, const struct row *row, const struct mt_event *v)
{
    if (row->number == MT_EXT_RATE || row->number == MT_EXT_LABEL) {
        mt_encode_ext(e, (enum mt_ext_kind)row->number, v->clock, v->size);
    } else {
        mt_pack_event(e, v);
    }
}

static void test_extended_records_are_as_the_table_says(void **state)
{
    (void)state;
    for (size_t r = 0; r < MT_COUNTOF(g_extended); r++) {
        const struct row *row = &g_extended[r];
        uint8_t payload[SLACK], bytes[SLACK], encoded[MT_EVENT_MAX_BYTES];
        uint8_t *at = payload;
        struct mt_event want = make_event(row, 0, 1), got;
        struct mt_event_encoder e;
        const struct member *m;
        size_t fields = 0;
        for (; (m = next_member(row, fields)) != NULL; fields++) {
            at = mt_varint_put(at, get(&want, m));
        }
        assert_int_equal(mt_decode_ext_fields(row->number), fields);
        if (row->kind == MT_EVENT_END) {
            continue; /* RESTART is written by the columns, and no event */
        }
        bytes[0] = (uint8_t)(MT_EVENT_EXT | row->number << MT_TAG_NIBBLE_SHIFT);
        uint8_t *end = mt_varint_put(bytes + 1, (uint64_t)(at - payload));
        memcpy(end, payload, (size_t)(at - payload));
        end += at - payload;
        mt_encode_begin(&e, encoded, 100);
        encode(&e, row, &want);
        assert_int_equal(e.at - encoded, end - bytes);
        assert_memory_equal(encoded, bytes, (size_t)(end - bytes));
        struct mt_event_decoder d;
        mt_decode_begin(&d, bytes, (size_t)(end - bytes), 100, 1);
        assert_int_equal(mt_decode_events(&d, UINT64_MAX, &got, 1), 1);
        assert_int_equal(got.kind, row->kind);
        for (size_t i = 0; (m = next_member(row, i)) != NULL; i++) {
            assert_true(get(&got, m) == get(&want, m));
        }
    }
}

/* Through struct and bytes and the same way again. */
#define PUT_AND_GET(name, ...)                                                                                         \
    do {                                                                                                               \
        const struct mt_record_##name put = __VA_ARGS__;                                                               \
        struct mt_record_##name got = { 0 };                                                                           \
        uint8_t first[SLACK], second[SLACK];                                                                           \
        struct mt_meta_builder one, two;                                                                               \
        mt_meta_begin(&one, first, sizeof first);                                                                      \
        mt_record_put_##name(&one, &put);                                                                              \
        struct mt_bytes all = mt_bytes_of(first, one.bytes);                                                           \
        assert_true(mt_record_get_##name(&all, &got));                                                                 \
        assert_true(all.at == all.end);                                                                                \
        mt_meta_begin(&two, second, sizeof second);                                                                    \
        mt_record_put_##name(&two, &got);                                                                              \
        assert_int_equal(one.bytes, two.bytes);                                                                        \
        assert_memory_equal(first, second, one.bytes);                                                                 \
    } while (0)

static void test_metadata_records_come_back(void **state)
{
    (void)state;
    uint8_t buffer[SLACK];
    struct mt_meta_builder record;
    PUT_AND_GET(string, { { "text", 4 } });
    PUT_AND_GET(module_gone, { UINT32_MAX });
    PUT_AND_GET(code, { 1, 2, 3, 4, 5, 6, { "table", 5 } });
    PUT_AND_GET(python, { 1, 2, INT64_MIN, 255 });
    PUT_AND_GET(native, { 7, UINT64_MAX });
    PUT_AND_GET(stack, { 1, 2, 0 });
    PUT_AND_GET(eval_range, { 1, 2 });
    PUT_AND_GET(rss, { 1, 2, false, 0, 0 });
    PUT_AND_GET(rss, { 1, 2, true, 3, 4 });
    PUT_AND_GET(rate, { 1, 2 });
    PUT_AND_GET(note, { { "key", 3 }, { "value", 5 } });
    PUT_AND_GET(label, { 1, 2, { "text", 4 }, false, 0 });
    PUT_AND_GET(torch, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, -14, INT64_MIN });
    PUT_AND_GET(label, { 3, 1, { "text", 4 }, true, 2 });
    const struct mt_record_mark mark = { 1000, 2, MT_MARK_PHASE, 4, { "text", 4 }, false, 0 };
    mt_meta_begin(&record, buffer, sizeof buffer);
    mt_record_put_mark(&record, &mark);
    static const uint8_t wanted[] = { 0xE8, 7, 2, 1, 4, 4, 't', 'e', 'x', 't' };
    assert_int_equal(record.bytes, sizeof wanted);
    assert_memory_equal(buffer, wanted, sizeof wanted);
    struct mt_record_mark again;
    struct mt_bytes b = mt_bytes_of(buffer, record.bytes);
    assert_true(mt_record_get_mark(&b, &again));
    assert_int_equal(again.clock, 1000);
    assert_int_equal(again.text.bytes, 4);
    assert_memory_equal(again.text.data, "text", 4);
    assert_false(again.placed);
    b = mt_bytes_of(buffer, record.bytes - 1);
    assert_false(mt_record_get_mark(&b, &again));
    const struct mt_record_mark placed = { 1000, 2, MT_MARK_OUT_OF_MEMORY, 4, { "text", 4 }, true, 300 };
    mt_meta_begin(&record, buffer, sizeof buffer);
    mt_record_put_mark(&record, &placed);
    b = mt_bytes_of(buffer, record.bytes);
    assert_true(mt_record_get_mark(&b, &again));
    assert_true(again.placed);
    assert_int_equal(again.stack, 300);
}

static void test_a_list_is_a_count_and_its_items(void **state)
{
    (void)state;
    uint8_t buffer[SLACK];
    struct mt_meta_builder record;
    struct mt_record_module module;
    struct mt_record_segment segment;
    mt_meta_begin(&record, buffer, sizeof buffer);
    mt_record_put_module(&record, &(struct mt_record_module){ 3, 4096, { "/a", 2 }, { "\1\2", 2 }, 2 });
    mt_record_put_segment(&record, &(struct mt_record_segment){ 1, 2, 3, 4 });
    mt_record_put_segment(&record, &(struct mt_record_segment){ 5, 6, 7, 8 });
    struct mt_bytes b = mt_bytes_of(buffer, record.bytes);
    assert_true(mt_record_get_module(&b, &module));
    assert_int_equal(module.segments, 2);
    assert_true(mt_record_get_segment(&b, &segment));
    assert_true(mt_record_get_segment(&b, &segment));
    assert_int_equal(segment.flags, 8);
    assert_false(mt_record_get_segment(&b, &segment));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_short_records_are_as_the_table_says),
    cmocka_unit_test(test_extended_records_are_as_the_table_says),
    cmocka_unit_test(test_metadata_records_come_back),
    cmocka_unit_test(test_a_list_is_a_count_and_its_items),
};
MT_TEST_MAIN(tests)
