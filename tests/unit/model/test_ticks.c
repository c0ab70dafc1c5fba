/* test_ticks.c: times of events that were counted between two readings of the clock. The oracle knows every reading. */
#include "harness.h"

#include "model/axis.h"
#include "model/builder.h"
#include "model/ticks.h"

enum { TICK_NS = 4000, START = BUILDER_START_CLOCK };

static struct mt_trace *finish(struct builder *b)
{
    struct mt_trace *t;
    b->clock_kind = b->clock_kind == 0 ? MT_CLOCK_TICK : b->clock_kind;
    b->clock_tick_ns = TICK_NS;
    builder_finish(b);
    assert_int_equal(mt_trace_open_memory(b->file, b->file_bytes, &t, NULL), MT_OK);
    return t;
}

/* count events from a reading of the clock on. */
static void add_count(struct builder *b, uint64_t reading, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        builder_alloc(b, 1, reading + i, 0x1000 + 64 * b->event_count, 10, 0);
    }
}

static void test_what_was_counted_lies_at_equal_distances(void **state)
{
    (void)state;
    struct builder b;
    builder_init(&b);
    add_count(&b, 100, 4);
    add_count(&b, 2100, 1);  /* a reading nearer than a tick */
    add_count(&b, 6100, 5);  /* the next one is far away: a tick at most */
    add_count(&b, 90000, 2); /* the end is known: 1,000 later */
    b.end_clock = START + 91000;
    struct mt_trace *t = finish(&b);
    static const uint64_t want[] = { 100, 600, 1100, 1600, 2100, 6100, 6900, 7700, 8500, 9300, 90000, 90500 };
    for (size_t i = 0; i < b.event_count; i++) {
        assert_int_equal(mt_trace_event_time(t, b.events[i].clock), want[i]);
    }
    assert_int_equal(mt_trace_event_time(t, START + 50), 50);       /* before all */
    assert_int_equal(mt_trace_event_time(t, START + 6104 + 1), 9300); /* between counts: not before what was */
    assert_int_equal(mt_trace_event_time(t, START + 20000), 20000);
    mt_trace_close(t);
    builder_fini(&b);
}

static void test_nothing_is_timed_after_an_end_that_is_not_known(void **state)
{
    (void)state;
    struct builder b;
    builder_init(&b);
    add_count(&b, 100, 10);
    struct mt_trace *t = finish(&b); /* its end is the last event */
    assert_int_equal(mt_trace_event_time(t, START + 109), 109);
    mt_trace_close(t);
    builder_fini(&b);
}

static struct mt_ticks *ticks_of(struct builder *b, struct mt_trace **ret)
{
    *ret = finish(b);
    struct mt_ticks *ticks = mt_trace_ticks(*ret);
    assert_non_null(ticks);
    return ticks;
}

static void test_other_clocks_are_times(void **state)
{
    (void)state;
    for (int row = 0; row < 3; row++) {
        struct builder b;
        struct mt_trace *t;
        builder_init(&b);
        b.clock_kind = row == 0 ? MT_CLOCK_TSC : row == 1 ? MT_CLOCK_COUNTER : MT_CLOCK_TICK;
        add_count(&b, 100, 10);
        builder_alloc(&b, row == 2 ? 2 : 1, 50000, 0x10, 10, 0); /* of a second thread: their order is by the clock */
        t = finish(&b);
        assert_int_equal(mt_trace_ticks(t) == NULL, row < 2);
        for (uint64_t clock = 90; clock < 120; clock++) {
            assert_int_equal(mt_trace_event_time(t, START + clock), clock);
        }
        mt_trace_close(t);
        builder_fini(&b);
    }
}

/* Random readings and counts; what the times have to be, event by event. */
static size_t build_random(struct builder *b, uint64_t *seed, uint64_t *ret_times)
{
    uint64_t reading = 1 + builder_random(seed) % 1000;
    size_t counts = 1 + builder_random(seed) % 20, events = 0;
    builder_init(b);
    b->block_events = 1 + builder_random(seed) % 30;
    for (size_t i = 0; i < counts; i++) {
        size_t count = 1 + builder_random(seed) % 15;
        uint64_t next = reading + count + 2 + builder_random(seed) % (2 * TICK_NS);
        uint64_t span = next - reading < TICK_NS ? next - reading : TICK_NS;
        add_count(b, reading, count);
        for (size_t k = 0; k < count; k++) {
            ret_times[events++] = reading + k * span / count;
        }
        reading = next;
    }
    b->end_clock = START + reading;
    return events;
}

static void check_order(struct mt_ticks *ticks, uint64_t end)
{
    uint64_t last = 0;
    for (uint64_t clock = START; clock <= end; clock++) {
        uint64_t time = mt_ticks_time(ticks, clock);
        assert_true(time >= last && time >= clock);
        last = time;
    }
}

static void test_random_traces_are_as_the_oracle_has_them(void **state)
{
    (void)state;
    uint64_t seed = builder_seed(), times[400];
    for (int round = 0; round < 50; round++) {
        struct builder b;
        struct mt_trace *t;
        size_t count = build_random(&b, &seed, times);
        struct mt_ticks *ticks = ticks_of(&b, &t);
        for (size_t i = 0; i < count; i++) { /* to 1 ns: a fraction is cut before or after it is multiplied */
            uint64_t time = mt_ticks_time(ticks, b.events[i].clock) - START;
            assert_true(time == times[i] || time + 1 == times[i]);
            assert_true(i == 0 || time > mt_ticks_time(ticks, b.events[i - 1].clock) - START);
        }
        check_order(ticks, b.end_clock + 10);
        mt_trace_close(t);
        builder_fini(&b);
    }
}

static void test_a_time_has_the_last_clock_that_is_not_after_it(void **state)
{
    (void)state;
    uint64_t seed = builder_seed(), times[400];
    for (int round = 0; round < 10; round++) {
        struct builder b;
        struct mt_trace *t;
        (void)build_random(&b, &seed, times);
        struct mt_ticks *ticks = ticks_of(&b, &t);
        uint64_t clock = START;
        for (uint64_t time = START; time < b.end_clock; time++) {
            while (mt_ticks_time(ticks, clock + 1) <= time) {
                clock++;
            }
            assert_int_equal(mt_ticks_clock(ticks, time), clock);
        }
        mt_trace_close(t);
        builder_fini(&b);
    }
}

static void test_the_axis_goes_by_them(void **state)
{
    (void)state;
    struct builder b;
    struct mt_axis axis;
    builder_init(&b);
    add_count(&b, 1000, 4);
    b.end_clock = START + 9000;
    struct mt_trace *t = finish(&b);
    struct mt_trace_set set = { &t, 1 };
    mt_axis_make(&set, &axis);
    assert_int_equal(mt_span_time(&axis.spans[0], START + 1002), 3000);
    assert_int_equal(mt_span_clock(&axis.spans[0], 2999), START + 1001);
    assert_int_equal(mt_span_clock(&axis.spans[0], 3000), START + 1002);
    assert_int_equal(mt_span_clock(&axis.spans[0], UINT64_MAX), UINT64_MAX);
    mt_axis_fini(&axis);
    mt_trace_close(t);
    builder_fini(&b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_what_was_counted_lies_at_equal_distances),
    cmocka_unit_test(test_nothing_is_timed_after_an_end_that_is_not_known),
    cmocka_unit_test(test_other_clocks_are_times),
    cmocka_unit_test(test_random_traces_are_as_the_oracle_has_them),
    cmocka_unit_test(test_a_time_has_the_last_clock_that_is_not_after_it),
    cmocka_unit_test(test_the_axis_goes_by_them),
};
MT_TEST_MAIN(tests)
