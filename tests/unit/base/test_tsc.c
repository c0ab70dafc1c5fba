/* Unit tests of the time stamp counter as a clock. */
#include "harness.h"

#include "base/atomic.h"
#include "base/os.h"
#include "base/tsc.h"

#include <pthread.h>
#include <sys/prctl.h>

static void test_a_line_gives_what_it_was_drawn_through(void **state)
{
    (void)state;
    const struct mt_tsc_line line = { .origin = { .ticks = 1000, .ns = 5000 }, .scale = (uint64_t)3 << 31 };
    assert_int_equal(mt_tsc_to_ns(&line, 1000), 5000);
    assert_int_equal(mt_tsc_to_ns(&line, 1002), 5003);
    assert_int_equal(mt_tsc_to_ns(&line, 1003), 5004); /* rounded down */
    uint64_t year = (uint64_t)1 << 56;
    assert_int_equal(mt_tsc_to_ns(&line, 1000 + year), 5000 + year + year / 2);
}

static void need_counter(void)
{
    if (!mt_os_tsc_is_allowed() || !mt_tsc_is_a_clock()) {
        skip(); /* the kernel of this machine keeps time by another clock */
    }
}

static void test_a_calibrated_counter_is_the_monotonic_clock(void **state)
{
    (void)state;
    need_counter();
    struct mt_tsc_moment first = mt_tsc_now();
    struct mt_tsc_line line = mt_tsc_line_since(&first);
    assert_true(line.origin.ns - first.ns >= 1000000);
    assert_int_equal(mt_tsc_to_ns(&line, line.origin.ticks), line.origin.ns);
    /* 2^-32 ns a tick: between 0.1 and 10 GHz */
    assert_in_range(line.scale, (uint64_t)1 << 28, (uint64_t)10 << 32);
}

static void test_a_forbidden_counter_is_known_without_a_fault(void **state)
{
    (void)state;
    assert_true(mt_os_tsc_is_allowed());
    if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) != 0) {
        skip(); /* no such call here */
    }
    assert_false(mt_os_tsc_is_allowed());
    mt_os_avoid_tsc();
    assert_true(mt_os_monotonic_ns() >= mt_os_monotonic_coarse_ns() && mt_os_realtime_ns() > 0);
    assert_int_equal(prctl(PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0), 0);
    assert_true(mt_os_tsc_is_allowed());
}

/* Two threads take turns by a word in memory, and stamp while it is theirs. On a machine that is busy a turn takes a time slice of
 * others: then there are fewer. */
enum { TURNS = 20000, SPINS = 1000, LONG_ENOUGH_S = 20 };
static int g_turn;
static int g_turns = TURNS; /* that are taken by each; the first thread may lower it in a turn of its own */
static uint64_t g_stamps[2][TURNS];

static void *take_turns(void *argument)
{
    int self = *(int *)argument;
    uint64_t end = mt_os_monotonic_ns() + (uint64_t)LONG_ENOUGH_S * 1000000000;
    for (int i = 0; i < mt_load_relaxed(&g_turns); i++) {
        for (int spins = 0; mt_load_acquire(&g_turn) != self; spins++) {
            if (spins == SPINS) {
                mt_os_yield();
                spins = 0;
            }
        }
        g_stamps[self][i] = mt_tsc_read();
        if (self == 0 && mt_os_monotonic_ns() > end) {
            mt_store_relaxed(&g_turns, i + 1);
        }
        mt_store_release(&g_turn, 1 - self);
    }
    return NULL;
}

static void test_stamps_are_in_the_order_of_the_handovers_between_them(void **state)
{
    (void)state;
    need_counter();
    pthread_t threads[2];
    int selves[2] = { 0, 1 };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_turns, &selves[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < g_turns; i++) {
        assert_true(g_stamps[0][i] < g_stamps[1][i]);
        assert_true(i == 0 || g_stamps[1][i - 1] < g_stamps[0][i]);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_line_gives_what_it_was_drawn_through),
    cmocka_unit_test(test_a_calibrated_counter_is_the_monotonic_clock),
    cmocka_unit_test(test_a_forbidden_counter_is_known_without_a_fault),
    cmocka_unit_test(test_stamps_are_in_the_order_of_the_handovers_between_them),
};
MT_TEST_MAIN(tests)
