/* test_columns.c: rows become columns and the same rows again; whatever else is given is refused without a byte read or
 * written outside (buffers have exactly the slack that is promised, so AddressSanitizer sees it). */
#include "harness.h"

#include "model/builder.h"
#include "wire/columns.h"

enum { ROWS_MAX = 96 * 1024, EVENTS_MAX = 600 };

/* Every kind of record, addresses and sizes of every length. */
static size_t random_rows(uint64_t *seed, uint8_t *rows, uint64_t clock, size_t count)
{
    struct mt_event_encoder e;
    mt_encode_begin(&e, rows, clock);
    for (size_t i = 0; i < count; i++) {
        uint64_t r = builder_random(seed), wide = builder_random(seed) >> (r & 63);
        clock += 1 + ((r >> 16) % 4 == 0 ? wide >> 24 : 0);
        struct mt_event v = { .kind = (uint8_t)(1 + (r >> 8) % 6), .clock = clock };
        v.addr = wide & ((r >> 20) % 8 ? ~(uint64_t)0xFFF : ~(uint64_t)0);
        v.size = builder_random(seed) >> (r >> 26 & 63);
        v.allocator = (uint8_t)(1 + (r >> 40) % 20);
        v.stack = (uint32_t)(builder_random(seed) >> (32 + (r >> 44 & 31)));
        if ((r >> 50) % 16 == 0) {
            static const uint8_t rare[] = { MT_EVENT_DROPPED, MT_EVENT_REALLOC_FAILED, MT_EVENT_REALLOC_GONE,
                                            MT_EVENT_REALLOC_THINNED, MT_EVENT_RESIZED };
            v.kind = rare[(r >> 54) % 5];
        }
        if ((r >> 56) % 16 == 0) {
            mt_encode_ext(&e, MT_EXT_LABEL, e.clock, wide);
        }
        builder_encode(&e, &v);
    }
    return (size_t)(e.at - rows);
}

static uint8_t *gather(const struct mt_columns *c, size_t *ret_bytes)
{
    *ret_bytes = MT_COLUMNS_HEAD_BYTES + c->bytes;
    uint8_t *columns = calloc(1, *ret_bytes + MT_COLUMNS_SLACK);
    mt_columns_gather(c, columns);
    return columns;
}

static size_t decode(const uint8_t *rows, size_t bytes, uint64_t clock, struct mt_event *out, enum mt_decode_state want)
{
    struct mt_event_decoder d;
    mt_decode_begin(&d, rows, bytes, clock, 1);
    size_t count = mt_decode_events(&d, UINT64_MAX, out, 8 * EVENTS_MAX);
    (void)mt_decode_events(&d, UINT64_MAX, out + count, 1);
    assert_int_equal(d.state, want);
    return count;
}

static void test_columns_make_the_rows_again(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    uint8_t *rows = malloc(ROWS_MAX), *again = malloc(ROWS_MAX + MT_COLUMNS_SLACK);
    for (int round = 0; round < 500; round++) {
        struct mt_columns c = { 0 };
        size_t bytes = random_rows(&seed, rows, 1000, 1 + builder_random(&seed) % EVENTS_MAX), column_bytes;
        assert_int_equal(mt_columns_add(&c, 1000, rows, bytes), MT_OK);
        assert_int_equal(c.bytes, bytes);
        uint8_t *columns = gather(&c, &column_bytes);
        assert_true(mt_columns_join(columns, column_bytes, again, bytes));
        assert_memory_equal(again, rows, bytes);
        assert_false(mt_columns_join(columns, column_bytes, again, bytes - 1));
        assert_false(mt_columns_join(columns, column_bytes, again, bytes + 1));
        free(columns);
        mt_columns_fini(&c);
    }
    free(rows);
    free(again);
}

static void test_joined_blocks_decode_as_each_alone(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    enum { PARTS = 4 };
    uint8_t *rows = malloc(ROWS_MAX), *again = malloc(PARTS * ROWS_MAX + MT_COLUMNS_SLACK);
    struct mt_event *want = calloc(8 * EVENTS_MAX + 1, sizeof *want), *got = calloc(8 * EVENTS_MAX + 1, sizeof *got);
    for (int round = 0; round < 200; round++) {
        struct mt_columns c = { 0 };
        size_t count = 0, column_bytes;
        uint64_t clock = 500;
        for (int part = 0; part < PARTS; part++) {
            size_t bytes = random_rows(&seed, rows, clock, builder_random(&seed) % 100 + 1);
            assert_int_equal(mt_columns_add(&c, clock, rows, bytes), MT_OK);
            count += decode(rows, bytes, clock, want + count, MT_DECODE_END);
            clock = want[count - 1].clock + builder_random(&seed) % 3 * 1000;
        }
        uint8_t *columns = gather(&c, &column_bytes);
        assert_true(mt_columns_join(columns, column_bytes, again, c.bytes));
        assert_int_equal(decode(again, c.bytes, 500, got, MT_DECODE_END), count);
        assert_memory_equal(got, want, count * sizeof *want);
        free(columns);
        mt_columns_fini(&c);
    }
    free(rows);
    free(again);
    free(want);
    free(got);
}

/* Refused, and the columns are as they were. */
static void check_refused(struct mt_columns *c, const uint8_t *rows, size_t bytes)
{
    size_t before[MT_COLUMN__COUNT], all = c->bytes;
    uint8_t *exact = malloc(bytes > 0 ? bytes : 1);
    memcpy(exact, rows, bytes);
    memcpy(before, c->used, sizeof before);
    assert_int_equal(mt_columns_add(c, 9999, exact, bytes), MT_E_CORRUPT);
    assert_memory_equal(c->used, before, sizeof before);
    assert_int_equal(c->bytes, all);
    free(exact);
}

static void test_records_that_are_not_whole_are_refused(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    uint8_t *rows = malloc(ROWS_MAX);
    struct mt_columns c = { 0 };
    struct mt_event *events = calloc(8 * EVENTS_MAX + 1, sizeof *events);
    size_t bytes = random_rows(&seed, rows, 1, 60), refused = 0;
    assert_int_equal(mt_columns_add(&c, 1, rows, bytes), MT_OK);
    for (size_t cut = 1; cut < bytes; cut++) {
        struct mt_event_decoder d;
        mt_decode_begin(&d, rows, cut, 1, 1);
        (void)mt_decode_events(&d, UINT64_MAX, events, 8 * EVENTS_MAX);
        if (d.state == MT_DECODE_CUT) {
            check_refused(&c, rows, cut);
            refused++;
        }
    }
    assert_true(refused > bytes / 3);
    const uint8_t end[] = { MT_EVENT_FREE | 1 << 4, MT_EVENT_END, 0, 0 };
    const uint8_t nibble[] = { MT_EVENT_FREE | 5 << 4 };
    const uint8_t clock[] = { MT_EVENT_FREE | MT_TAG_CLOCK, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0 };
    const uint8_t length[] = { MT_EVENT_EXT | MT_EXT_RATE << 4, 9, 1 };
    const uint8_t fields[] = { MT_EVENT_EXT | MT_EXT_WIDE_MAP << 4, 3, 1, 1, 1 };
    check_refused(&c, end, sizeof end);
    check_refused(&c, nibble, sizeof nibble);
    check_refused(&c, clock, sizeof clock);
    check_refused(&c, length, sizeof length);
    check_refused(&c, fields, sizeof fields);
    mt_columns_fini(&c);
    free(rows);
    free(events);
}

static void test_any_columns_are_joined_or_refused(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    uint8_t *rows = malloc(ROWS_MAX);
    size_t joined = 0, refused = 0;
    for (int round = 0; round < 20000; round++) {
        struct mt_columns c = { 0 };
        size_t bytes = random_rows(&seed, rows, 1000, 1 + builder_random(&seed) % 40), column_bytes;
        assert_int_equal(mt_columns_add(&c, 1000, rows, bytes), MT_OK);
        uint8_t *columns = gather(&c, &column_bytes);
        for (uint64_t n = 1 + builder_random(&seed) % 3; n > 0; n--) {
            size_t at = builder_random(&seed) % 3 ? builder_random(&seed) % column_bytes
                                                  : builder_random(&seed) % MT_COLUMNS_HEAD_BYTES & ~(size_t)3;
            columns[at] = (uint8_t)builder_random(&seed);
        }
        uint8_t *again = malloc(bytes + MT_COLUMNS_SLACK);
        bool good = mt_columns_join(columns, column_bytes, again, bytes);
        joined += good;
        refused += !good;
        free(again);
        free(columns);
        mt_columns_fini(&c);
    }
    assert_true(joined > 1000 && refused > 1000);
    for (size_t bytes = 0; bytes < MT_COLUMNS_HEAD_BYTES; bytes++) {
        assert_false(mt_columns_join(rows, bytes, rows, 0));
    }
    free(rows);
}

static void test_a_restart_does_not_turn_the_clock_back(void **state)
{
    (void)state;
    enum { RESTART = MT_EVENT_EXT | MT_TAG_CLOCK | MT_EXT_RESTART << MT_TAG_NIBBLE_SHIFT };
    const uint8_t forward[] = { MT_EVENT_ALLOC | 1 << 4, 2, 3, 4, RESTART, 0, 1, 51, MT_EVENT_ALLOC | 1 << 4, 2, 3, 4 };
    uint8_t back[sizeof forward];
    struct mt_event *out = calloc(8 * EVENTS_MAX + 1, sizeof *out);
    assert_int_equal(decode(forward, sizeof forward, 50, out, MT_DECODE_END), 2);
    assert_int_equal(out[1].clock, 52);
    assert_int_equal(out[1].addr, out[0].addr);
    assert_int_equal(out[1].stack, out[0].stack);
    memcpy(back, forward, sizeof back);
    back[7] = 50;
    assert_int_equal(decode(back, sizeof back, 50, out, MT_DECODE_BAD), 1);
    back[6] = 0; /* no clock at all */
    assert_int_equal(decode(back, 7, 50, out, MT_DECODE_BAD), 1);
    free(out);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_columns_make_the_rows_again),
    cmocka_unit_test(test_joined_blocks_decode_as_each_alone),
    cmocka_unit_test(test_records_that_are_not_whole_are_refused),
    cmocka_unit_test(test_any_columns_are_joined_or_refused),
    cmocka_unit_test(test_a_restart_does_not_turn_the_clock_back),
};
MT_TEST_MAIN(tests)
