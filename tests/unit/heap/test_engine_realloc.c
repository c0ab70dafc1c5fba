/* Unit tests of reallocs in sample mode: made-up blocks grow and shrink, and the trace says which were samples. Seeds are fixed,
 * so that a result repeats until the sampler changes; bars are five standard deviations (6e-7). */
#include "folder.h"
#include "harness.h"
#include "made_up.h"

#include "heap/state.h"
#include "model/cursor.h"
#include "model/trace.h"

#include <math.h>

enum { EVENTS_MAX = 1 << 18 };

static struct mt_event g_events[EVENTS_MAX];

static int start(uint64_t rate)
{
    const struct mt_engine_config config = { .mode = MT_MODE_SAMPLE, .rate_bytes = rate, .native = true, .path = g_path,
                                             .command = "unit", .command_bytes = 5, .seed = 23 };
    return mt_engine_start(&config);
}

static size_t read_events(void)
{
    struct mt_trace *trace = NULL;
    struct mt_cursor *cursor = NULL;
    size_t count = 0, got;
    mt_engine_stop(MT_STATE_STOPPED);
    assert_int_equal(mt_trace_open(g_path, &trace, NULL), MT_OK);
    assert_int_equal(mt_cursor_new(trace, UINT64_MAX, &cursor), MT_OK);
    while ((got = mt_cursor_next(cursor, g_events + count, EVENTS_MAX - count)) > 0) {
        count += got;
    }
    assert_int_equal(mt_cursor_status(cursor), MT_OK);
    mt_cursor_free(cursor);
    mt_trace_close(trace);
    return count;
}

static void assert_event(size_t at, unsigned kind, uint64_t addr, uint64_t size, unsigned flags)
{
    assert_int_equal(g_events[at].kind, kind);
    assert_int_equal(g_events[at].addr, addr);
    assert_int_equal(g_events[at].size, size);
    assert_int_equal(g_events[at].flags, flags);
}

static double inclusion(double size, double rate)
{
    return -expm1(-size / rate);
}

static void assert_share(double found, double of, double p)
{
    double deviation = sqrt(p * (1 - p) / of);
    print_message("%.0f of %.0f, expected %.5f, found %.5f\n", found, of, p, found / of);
    assert_true(fabs(found / of - p) < 5 * deviation);
}

static void test_a_sample_that_grows_stays_one(void **state)
{
    (void)state;
    assert_int_equal(start(1), MT_OK);
    record(0x5000, 1000);
    assert_int_equal(mt_engine_set_rate((uint64_t)1 << 50), MT_OK);
    realloc_as(0x5000, 0x5000, 2000, 1008, MT_REALLOC_GROWS);
    realloc_as(0x5000, 0x9000, 4000, 2000, MT_REALLOC_GROWS);
    forget(0x9000);
    assert_int_equal(read_events(), 6);
    assert_event(1, MT_EVENT_FREE, 0x5000, 0, MT_EVENT_OF_REALLOC | MT_EVENT_GOES_ON);
    assert_event(2, MT_EVENT_ALLOC, 0x5000, 2000, MT_EVENT_OF_REALLOC);
    assert_event(4, MT_EVENT_ALLOC, 0x9000, 4000, MT_EVENT_OF_REALLOC);
    assert_event(5, MT_EVENT_FREE, 0x9000, 0, 0);
    assert_int_equal(g_events[4].rate_bytes, 1); /* the rate it was taken at */
}

static void test_a_renewed_sample_ends(void **state)
{
    (void)state;
    assert_int_equal(start(1), MT_OK);
    record(0x5000, 1000);
    assert_int_equal(mt_engine_set_rate((uint64_t)1 << 50), MT_OK);
    realloc_as(0x5000, 0x9000, 2000, 2000, MT_REALLOC_RENEWS);
    assert_int_equal(read_events(), 2);
    assert_event(1, MT_EVENT_FREE, 0x5000, 0, MT_EVENT_OF_REALLOC);
    assert_int_equal(mt_engine_live_samples(), 0);
}

static void test_a_small_change_is_recorded_when_the_block_moves(void **state)
{
    (void)state;
    assert_int_equal(start(1), MT_OK);
    record(0x5000, 64000);
    realloc_as(0x5000, 0x5000, 64100, 112, MT_REALLOC_GROWS);
    realloc_as(0x5000, 0x5000, 63500, 0, MT_REALLOC_GROWS);
    realloc_as(0x5000, 0x9000, 64200, 112, MT_REALLOC_GROWS);
    forget(0x5000); /* another block there */
    forget(0x9000);
    assert_int_equal(read_events(), 4);
    assert_event(1, MT_EVENT_FREE, 0x5000, 0, MT_EVENT_OF_REALLOC | MT_EVENT_GOES_ON);
    assert_event(2, MT_EVENT_ALLOC, 0x9000, 64200, MT_EVENT_OF_REALLOC);
    assert_event(3, MT_EVENT_FREE, 0x9000, 0, 0);
}

static void test_a_failed_change_leaves_the_sample_alone(void **state)
{
    (void)state;
    assert_int_equal(start(1), MT_OK);
    record(0x5000, 1000);
    realloc_as(0x5000, 0, 5000, 0, MT_REALLOC_GROWS);
    realloc_as(0x5000, 0, 1001, 0, MT_REALLOC_GROWS);
    forget(0x5000);
    assert_int_equal(read_events(), 2);
    assert_event(1, MT_EVENT_FREE, 0x5000, 0, 0);
}

static void test_what_a_block_grows_by_makes_it_a_sample(void **state)
{
    (void)state;
    enum { BLOCKS = 200000, GROWTH = 96, RATE = 4096 };
    assert_int_equal(start(RATE), MT_OK);
    for (uint64_t i = 0; i < BLOCKS; i++) {
        realloc_as(0x10000 + i * 8192, 0x10000 + i * 8192, 4096, GROWTH, MT_REALLOC_GROWS);
    }
    assert_share((double)mt_engine_live_samples(), BLOCKS, inclusion(GROWTH, RATE));
    size_t samples = read_events();
    assert_event(samples - 1, MT_EVENT_ALLOC, g_events[samples - 1].addr, 4096, MT_EVENT_OF_REALLOC);
}

/* From 8192 to 2048 bytes in two steps, and up again: a sample with the probability of its size at each step. */
static void test_a_block_is_a_sample_by_its_present_size_alone(void **state)
{
    (void)state;
    enum { BLOCKS = 20000, RATE = 4096 };
    assert_int_equal(start(RATE), MT_OK);
    for (uint64_t i = 0; i < BLOCKS; i++) {
        record(0x10000 + i * 16384, 8192);
    }
    static const size_t sizes[] = { 4096, 2048, 6144 };
    size_t size = 8192;
    for (size_t step = 0; step < MT_COUNTOF(sizes); step++) {
        size_t growth = sizes[step] > size ? sizes[step] - size : 0;
        size = sizes[step];
        for (uint64_t i = 0; i < BLOCKS; i++) {
            realloc_as(0x10000 + i * 16384, 0x10000 + i * 16384, size, growth, MT_REALLOC_GROWS);
        }
        assert_share((double)mt_engine_live_samples(), BLOCKS, inclusion((double)size, RATE));
    }
    assert_int_equal(mt_engine_counter(MT_COUNTER_DROPPED_EVENTS), 0); /* a thinned sample is no lost one */
    size_t count = read_events(), thinned = 0;
    for (size_t i = 0; i < count; i++) {
        thinned += (g_events[i].flags & MT_EVENT_THINNED) != 0;
    }
    assert_true(thinned > 0);
}

#define REALLOC_TEST(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)
static const struct CMUnitTest tests[] = {
    REALLOC_TEST(test_a_sample_that_grows_stays_one),
    REALLOC_TEST(test_a_renewed_sample_ends),
    REALLOC_TEST(test_a_small_change_is_recorded_when_the_block_moves),
    REALLOC_TEST(test_a_failed_change_leaves_the_sample_alone),
    REALLOC_TEST(test_what_a_block_grows_by_makes_it_a_sample),
    REALLOC_TEST(test_a_block_is_a_sample_by_its_present_size_alone),
};
MT_TEST_MAIN(tests)
