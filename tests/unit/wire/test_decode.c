/* test_decode.c: event and metadata records from bytes: the worked example of the specification, round trips of random
 * records through the encoder, every cut, and hostile bytes. */
#include "harness.h"

#include "model/builder.h"
#include "wire/decode.h"

static size_t decode_all(const uint8_t *data, size_t bytes, uint64_t clock, struct mt_event *out, size_t capacity,
                         struct mt_event_decoder *ret)
{
    mt_decode_begin(ret, data, bytes, clock, 1);
    size_t count = mt_decode_events(ret, UINT64_MAX, out, capacity);
    return count;
}

static void test_worked_example_of_the_specification(void **state)
{
    (void)state;
    static const uint8_t bytes[] = { 0x11, 0x80, 0x28, 0x64, 0x0e, 0x12 };
    struct mt_event e[4];
    struct mt_event_decoder d;
    assert_int_equal(decode_all(bytes, sizeof bytes, 1000, e, 4, &d), 2);
    assert_int_equal(d.state, MT_DECODE_END);
    assert_int_equal(e[0].kind, MT_EVENT_ALLOC);
    assert_int_equal(e[0].allocator, MT_ALLOCATOR_MALLOC);
    assert_int_equal(e[0].clock, 1001);
    assert_int_equal(e[0].addr, 0x5000);
    assert_int_equal(e[0].size, 100);
    assert_int_equal(e[0].stack, 7);
    assert_int_equal(e[1].kind, MT_EVENT_FREE);
    assert_int_equal(e[1].clock, 1002);
    assert_int_equal(e[1].addr, 0x5000);
}

static struct mt_event random_event(uint64_t *seed, uint64_t *clock)
{
    static const uint8_t kinds[] = { MT_EVENT_ALLOC, MT_EVENT_ALLOC,       MT_EVENT_FREE,  MT_EVENT_FREE,
                                     MT_EVENT_MAP,   MT_EVENT_UNMAP,       MT_EVENT_REALLOC_OLD, MT_EVENT_REALLOC_NEW,
                                     MT_EVENT_REALLOC_FAILED, MT_EVENT_DROPPED,    MT_EVENT_RESIZED };
    uint64_t r = builder_random(seed);
    *clock += r % 3 == 0 ? builder_random(seed) >> (builder_random(seed) % 40 + 24) : 1;
    struct mt_event e = { .kind = kinds[(r >> 8) % MT_COUNTOF(kinds)], .clock = *clock, .stream = 1 };
    unsigned shift = (unsigned)(builder_random(seed) % 64);
    if (e.kind == MT_EVENT_DROPPED) {
        e.size = builder_random(seed) >> shift;
    } else if (e.kind != MT_EVENT_REALLOC_FAILED) {
        e.addr = builder_random(seed) >> shift;
        e.addr = r & 1 ? e.addr & ~(uint64_t)15 : e.addr;
    }
    if (e.kind == MT_EVENT_RESIZED) {
        e.size = builder_random(seed) >> shift;
        e.old_bytes = builder_random(seed) >> (63 - shift);
    }
    if (e.kind == MT_EVENT_ALLOC || e.kind == MT_EVENT_REALLOC_NEW || e.kind == MT_EVENT_MAP) {
        e.stack = (uint32_t)(builder_random(seed) >> (32 + shift % 32));
    }
    if (e.kind != MT_EVENT_FREE && e.kind != MT_EVENT_REALLOC_OLD && e.kind < MT_EVENT_EXT) {
        e.allocator = (uint8_t)(builder_random(seed) % (e.kind == MT_EVENT_MAP || r & 4 ? 16 : 256));
        e.allocator = e.kind == MT_EVENT_UNMAP ? 0 : e.allocator;
        e.size = builder_random(seed) >> (builder_random(seed) % 64);
    }
    if ((e.kind == MT_EVENT_MAP || e.kind == MT_EVENT_UNMAP) && r & 2) {
        e.addr &= ~(uint64_t)4095;
        e.size &= ~(uint64_t)4095;
    }
    return e;
}

enum { RANDOM_EVENTS = 2000 };

static void test_random_records_survive_the_round_trip(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    uint8_t *bytes = malloc(RANDOM_EVENTS * MT_EVENT_MAX_BYTES);
    struct mt_event *want = calloc(RANDOM_EVENTS, sizeof *want), *got = calloc(RANDOM_EVENTS, sizeof *got);
    uint64_t clock = 5;
    struct mt_event_encoder e;
    mt_encode_begin(&e, bytes, clock);
    for (size_t i = 0; i < RANDOM_EVENTS; i++) {
        want[i] = random_event(&seed, &clock);
        builder_encode(&e, &want[i]);
    }
    struct mt_event_decoder d;
    size_t count = decode_all(bytes, (size_t)(e.at - bytes), 5, got, RANDOM_EVENTS, &d);
    assert_int_equal(count, RANDOM_EVENTS);
    for (size_t i = 0; i < count; i++) {
        assert_memory_equal(&got[i], &want[i], sizeof got[i]);
    }
    free(bytes);
    free(want);
    free(got);
}

static void test_events_carry_the_label_said_last(void **state)
{
    (void)state;
    static const uint32_t labels[] = { 0, 0, 7, 7, 70000, UINT32_MAX, 0, 3 };
    uint8_t bytes[100 * MT_EVENT_MAX_BYTES];
    struct mt_event got[32], again[32];
    struct mt_event_encoder e;
    struct mt_event_decoder d;
    uint32_t last = 0;
    mt_encode_begin(&e, bytes, 0);
    for (uint64_t i = 0; i < MT_COUNTOF(labels); i++) {
        if (labels[i] != last) {
            mt_encode_ext(&e, MT_EXT_LABEL, e.clock, last = labels[i]);
        }
        mt_encode_alloc(&e, MT_EVENT_ALLOC, MT_ALLOCATOR_NEW, i + 1, 64 * i, i, 0);
    }
    size_t count = decode_all(bytes, (size_t)(e.at - bytes), 0, got, 32, &d), allocs = 0;
    assert_int_equal(d.state, MT_DECODE_END);
    for (size_t i = 0; i < count; i++) {
        assert_true(got[i].kind == MT_EVENT_ALLOC || got[i].size == got[i].label);
        if (got[i].kind == MT_EVENT_ALLOC) {
            assert_int_equal(got[i].label, labels[allocs++]);
        }
    }
    assert_int_equal(allocs, MT_COUNTOF(labels));
    assert_int_equal(count, allocs + 5);
    mt_decode_begin(&d, bytes, (size_t)(e.at - bytes), 0, 1); /* the same, checking every byte */
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(mt_decode_events(&d, UINT64_MAX, &again[i], 1), 1);
        assert_memory_equal(&again[i], &got[i], sizeof got[i]);
    }
    mt_encode_ext(&e, MT_EXT_LABEL, e.clock, (uint64_t)UINT32_MAX + 1); /* too large to be one: none */
    mt_encode_free(&e, MT_EVENT_FREE, 100, 8);
    assert_int_equal(decode_all(bytes, (size_t)(e.at - bytes), 0, got, 32, &d), count + 2);
    assert_int_equal(got[count + 1].label, 0);
}

enum { UNIT_SHIFT = 3, UNIT = 1 << UNIT_SHIFT };

/* Encodes a free at each of the clocks and decodes them again, to clocks; returns the bytes it took. */
static size_t through_units(uint64_t *clocks, size_t count)
{
    uint8_t *bytes = malloc(count * MT_EVENT_MAX_BYTES);
    struct mt_event *got = calloc(count, sizeof *got);
    struct mt_event_encoder e;
    mt_encode_begin(&e, bytes, clocks[0]);
    e.clock_shift = UNIT_SHIFT;
    for (size_t i = 0; i < count; i++) {
        mt_encode_free(&e, MT_EVENT_FREE, clocks[i], 8 + 8 * i);
    }
    struct mt_event_decoder d;
    mt_decode_begin_in_units(&d, bytes, (size_t)(e.at - bytes), clocks[0], 1, UNIT_SHIFT);
    assert_int_equal(mt_decode_events(&d, UINT64_MAX, got, count), count);
    assert_int_equal(e.clock, got[count - 1].clock);
    for (size_t i = 0; i < count; i++) {
        clocks[i] = got[i].clock;
    }
    free(got);
    free(bytes);
    return (size_t)(e.at - bytes);
}

static void test_whole_units_and_ticks_between_them_are_kept(void **state)
{
    (void)state;
    uint64_t seed = builder_seed(), clocks[RANDOM_EVENTS], want[RANDOM_EVENTS], clock = 1003;
    for (size_t i = 0; i < RANDOM_EVENTS; i++) {
        clocks[i] = want[i] = clock;
        uint64_t r = builder_random(&seed);
        clock = r % 3 != 0 ? clock + 1 : (clock / UNIT + 1 + (r >> 32) % 1000) * UNIT;
    }
    through_units(clocks, RANDOM_EVENTS);
    assert_memory_equal(clocks, want, sizeof want);
}

static void test_clocks_between_units_are_cut_and_still_go_on(void **state)
{
    (void)state;
    uint64_t seed = builder_seed(), clocks[RANDOM_EVENTS], want[RANDOM_EVENTS], clock = 1003;
    for (size_t i = 0; i < RANDOM_EVENTS; i++) {
        clocks[i] = want[i] = clock;
        clock += 2 + builder_random(&seed) % (4 * UNIT);
    }
    through_units(clocks, RANDOM_EVENTS);
    for (size_t i = 1; i < RANDOM_EVENTS; i++) {
        assert_true(clocks[i] > clocks[i - 1]);
        assert_true(clocks[i] <= want[i] && clocks[i] + UNIT > want[i]);
    }
}

static void test_a_handover_a_microsecond_takes_one_byte(void **state)
{
    (void)state;
    enum { COUNT = 100, TAG_AND_ADDRESS = 2 };
    uint64_t clocks[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        clocks[i] = 8000 + i * 1000;
    }
    assert_int_equal(through_units(clocks, COUNT), COUNT * (TAG_AND_ADDRESS + 1));
}

static void test_units_beyond_the_end_of_time_are_refused(void **state)
{
    (void)state;
    static const uint8_t step[] = { MT_EVENT_FREE | MT_TAG_CLOCK, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F, 0 };
    struct mt_event out[1];
    struct mt_event_decoder d;
    mt_decode_begin_in_units(&d, step, sizeof step, 7, 1, UNIT_SHIFT);
    assert_int_equal(mt_decode_events(&d, UINT64_MAX, out, 1), 1);
    assert_int_equal(out[0].clock, UINT64_MAX - 7);
    mt_decode_begin_in_units(&d, step, sizeof step, 8, 1, UNIT_SHIFT);
    assert_int_equal(mt_decode_events(&d, UINT64_MAX, out, 1), 0);
    assert_int_equal(d.state, MT_DECODE_BAD);
}

static void test_a_cut_delivers_every_whole_record_before_it(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    uint8_t bytes[64 * MT_EVENT_MAX_BYTES];
    size_t ends[64];
    struct mt_event got[64];
    uint64_t clock = 1;
    struct mt_event_encoder e;
    mt_encode_begin(&e, bytes, clock);
    for (size_t i = 0; i < 64; i++) {
        struct mt_event v = random_event(&seed, &clock);
        builder_encode(&e, &v);
        ends[i] = (size_t)(e.at - bytes);
    }
    for (size_t cut = 0; cut <= ends[63]; cut++) {
        size_t whole = 0;
        while (whole < 64 && ends[whole] <= cut) {
            whole++;
        }
        uint8_t *copy = malloc(cut + 1); /* exact size: a read past the end is seen by ASan */
        memcpy(copy, bytes, cut);
        uint8_t *exact = realloc(copy, cut > 0 ? cut : 1);
        struct mt_event_decoder d;
        assert_int_equal(decode_all(exact, cut, 1, got, 64, &d), whole);
        bool between = cut == 0 || (whole > 0 && ends[whole - 1] == cut);
        assert_int_equal(d.state, between ? MT_DECODE_END : MT_DECODE_CUT);
        free(exact);
    }
}

static void test_the_clock_limit_stops_before_the_first_later_record(void **state)
{
    (void)state;
    uint8_t bytes[100 * MT_EVENT_MAX_BYTES];
    struct mt_event got[100];
    struct mt_event_encoder e;
    mt_encode_begin(&e, bytes, 0);
    for (uint64_t i = 1; i <= 100; i++) {
        mt_encode_alloc(&e, MT_EVENT_ALLOC, MT_ALLOCATOR_NEW, 10 * i, 64 * i, i, (uint32_t)i);
    }
    struct mt_event_decoder d;
    mt_decode_begin(&d, bytes, (size_t)(e.at - bytes), 0, 9);
    assert_int_equal(mt_decode_events(&d, 505, got, 100), 50);
    assert_int_equal(got[49].clock, 500);
    uint64_t due;
    assert_true(mt_decode_peek(&d, &due));
    assert_int_equal(due, 510);
    assert_int_equal(mt_decode_events(&d, 509, got, 100), 0);
    assert_int_equal(mt_decode_events(&d, UINT64_MAX, got, 7), 7);
    assert_int_equal(got[0].addr, 64 * 51);
    assert_int_equal(got[0].stream, 9);
    assert_int_equal(mt_decode_events(&d, UINT64_MAX, got, 100), 43);
    assert_false(mt_decode_peek(&d, &due));
    assert_int_equal(d.state, MT_DECODE_END);
}

static void test_unknown_ext_records_are_skipped(void **state)
{
    (void)state;
    static const uint8_t bytes[] = { 0xF7, 0x03, 1, 2, 3, 0x11, 0x80, 0x28, 0x64, 0x0e };
    struct mt_event e[2];
    struct mt_event_decoder d;
    assert_int_equal(decode_all(bytes, sizeof bytes, 0, e, 2, &d), 1);
    assert_int_equal(e[0].addr, 0x5000);
    assert_int_equal(e[0].clock, 2);
}

static void test_impossible_records_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[16];
        size_t count;
        enum mt_decode_state want;
    } cases[] = {
        /* varint > 64 bits */
        { { 0x19, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F }, 11, MT_DECODE_BAD },
        { { 0x52 }, 1, MT_DECODE_BAD },                 /* FREE of recent[4] */
        { { 0x37, 0x01, 0x01 }, 3, MT_DECODE_BAD },     /* WIDE_ALLOC with one field */
        { { 0x37, 0x7F, 0x01 }, 3, MT_DECODE_CUT },     /* EXT longer than the block */
        /* the clock wraps */
        { { 0x1A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, 0x02 }, 12, MT_DECODE_BAD },
    };
    for (size_t i = 0; i < MT_COUNTOF(cases); i++) {
        struct mt_event e[2];
        struct mt_event_decoder d;
        uint8_t padded[128] = { 0 };
        memcpy(padded, cases[i].bytes, cases[i].count);
        assert_int_equal(decode_all(cases[i].bytes, cases[i].count, 7, e, 2, &d), 0);
        assert_int_equal(d.state, cases[i].want);
        if (cases[i].want == MT_DECODE_BAD) { /* the unchecked copy of the loop refuses the same */
            assert_int_equal(decode_all(padded, sizeof padded, 7, e, 2, &d), 0);
            assert_int_equal(d.state, MT_DECODE_BAD);
        }
    }
}

static void test_random_bytes_never_read_outside(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    struct mt_event *out = malloc(256 * sizeof *out);
    for (int round = 0; round < 20000; round++) {
        size_t bytes = builder_random(&seed) % 200;
        uint8_t *data = malloc(bytes > 0 ? bytes : 1);
        for (size_t i = 0; i < bytes; i++) {
            data[i] = (uint8_t)builder_random(&seed);
        }
        struct mt_event_decoder d;
        mt_decode_begin(&d, data, bytes, 0, 1);
        while (d.state == MT_DECODE_MORE) {
            size_t count = mt_decode_events(&d, UINT64_MAX, out, 256);
            assert_true(d.at >= data && d.at <= data + bytes);
            assert_true(count > 0 || d.state != MT_DECODE_MORE);
        }
        free(data);
    }
    free(out);
}

static void test_metadata_fields_and_records(void **state)
{
    (void)state;
    struct builder b;
    builder_init(&b);
    builder_string(&b, "hello");
    builder_python(&b, 0, 3, -1, 1);
    struct mt_bytes bytes = mt_bytes_of(b.meta, b.meta_bytes), record;
    uint8_t tag;
    assert_true(mt_bytes_record(&bytes, &tag, &record));
    assert_int_equal(tag, MT_META_STRING);
    assert_int_equal(record.end - record.at, 5);
    assert_true(mt_bytes_record(&bytes, &tag, &record));
    assert_int_equal(mt_bytes_u32(&record), 0);
    assert_int_equal(mt_bytes_u64(&record), 3);
    assert_int_equal(mt_bytes_s64(&record), -1);
    assert_int_equal(mt_bytes_u8(&record), 1);
    assert_false(record.bad);
    assert_int_equal(mt_bytes_u8(&record), 0);
    assert_true(record.bad);
    assert_false(mt_bytes_record(&bytes, &tag, &record));
    assert_false(bytes.bad);
    bytes = mt_bytes_of(b.meta, b.meta_bytes - 1);
    assert_true(mt_bytes_record(&bytes, &tag, &record));
    assert_false(mt_bytes_record(&bytes, &tag, &record));
    assert_true(bytes.bad);
    builder_fini(&b);
}

/* A whole record, then one that is cut: nothing of that one is given out, wherever the cut is. */
static void check_cuts(size_t text_bytes)
{
    struct builder b;
    builder_init(&b);
    char *text = calloc(1, text_bytes + 1);
    assert_non_null(text);
    memset(text, 'x', text_bytes);
    builder_string(&b, "hello");
    size_t first = b.meta_bytes;
    builder_string(&b, text);
    for (size_t bytes = first + 1; bytes <= b.meta_bytes; bytes++) {
        struct mt_bytes all = mt_bytes_of(b.meta, bytes), record;
        uint8_t tag;
        assert_true(mt_bytes_record(&all, &tag, &record));
        assert_ptr_equal(all.at, b.meta + first);
        bool whole = bytes == b.meta_bytes;
        assert_int_equal(mt_bytes_record(&all, &tag, &record), whole);
        assert_int_equal(all.bad, !whole);
        assert_ptr_equal(all.at, b.meta + (whole ? bytes : first));
    }
    free(text);
    builder_fini(&b);
}

static void test_a_record_is_whole_or_none(void **state)
{
    (void)state;
    check_cuts(0);
    check_cuts(1);
    check_cuts(127);
    check_cuts(128);
    check_cuts(300);
}

static void test_a_length_beyond_all_bytes_is_a_cut(void **state)
{
    (void)state;
    static const uint8_t huge[] = { MT_META_STRING, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, 'x' };
    struct mt_bytes all = mt_bytes_of(huge, sizeof huge), record;
    uint8_t tag;
    assert_false(mt_bytes_record(&all, &tag, &record));
    assert_true(all.bad);
    assert_ptr_equal(all.at, huge);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_record_is_whole_or_none),
    cmocka_unit_test(test_a_length_beyond_all_bytes_is_a_cut),
    cmocka_unit_test(test_worked_example_of_the_specification),
    cmocka_unit_test(test_random_records_survive_the_round_trip),
    cmocka_unit_test(test_events_carry_the_label_said_last),
    cmocka_unit_test(test_whole_units_and_ticks_between_them_are_kept),
    cmocka_unit_test(test_clocks_between_units_are_cut_and_still_go_on),
    cmocka_unit_test(test_a_handover_a_microsecond_takes_one_byte),
    cmocka_unit_test(test_units_beyond_the_end_of_time_are_refused),
    cmocka_unit_test(test_a_cut_delivers_every_whole_record_before_it),
    cmocka_unit_test(test_the_clock_limit_stops_before_the_first_later_record),
    cmocka_unit_test(test_unknown_ext_records_are_skipped),
    cmocka_unit_test(test_impossible_records_are_refused),
    cmocka_unit_test(test_random_bytes_never_read_outside),
    cmocka_unit_test(test_metadata_fields_and_records),
};
MT_TEST_MAIN(tests)
