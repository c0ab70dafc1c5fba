/* Unit tests of the clocks of events: ticks, what becomes of them when nobody keeps them, and the order of threads. */
#include "harness.h"

#include "base/os.h"
#include "heap/clock.h"

#include <pthread.h>

enum { FAR_NS = 1000 * 1000 * 1000, UNIT = 1 << MT_CLOCK_SHIFT };

static uint64_t g_page[8];
static struct mt_thread g_threads[2]; /* zero, as a new block is */
static struct mt_trace_header g_header;
static uint64_t g_chores;

static void count_chores(uint64_t clock)
{
    (void)clock;
    g_chores++;
}

/* A page whose tick is that far from now; ahead: it never looks old, whatever the scheduler does. */
static void start_at(int64_t from_now_ns)
{
    g_page[MT_TICK_CLOCK] = (mt_os_monotonic_ns() + (uint64_t)from_now_ns) / UNIT * UNIT;
    mt_clock_prepare(g_page, false);
    mt_clock_start(&g_header, count_chores);
}

static bool counter_is_a_clock(void)
{
    return mt_os_tsc_is_allowed() && mt_tsc_is_a_clock();
}

static void draw_line_on_page(void)
{
    struct mt_tsc_moment first = mt_tsc_now();
    struct mt_tsc_line line = mt_tsc_line_since(&first);
    g_page[MT_TICK_LINE_TICKS] = line.origin.ticks;
    g_page[MT_TICK_LINE_NS] = line.origin.ns;
    g_page[MT_TICK_LINE_SCALE] = line.scale;
}

static void test_events_are_counted_between_ticks(void **state)
{
    (void)state;
    start_at(FAR_NS);
    assert_int_equal(g_header.clock_kind, MT_CLOCK_TICK);
    assert_int_equal(g_header.clock_shift, MT_CLOCK_SHIFT);
    uint64_t tick = g_page[MT_TICK_CLOCK];
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(mt_clock_stamp(&g_threads[0]), tick + i);
    }
    g_page[MT_TICK_CLOCK] = tick + 4000000;
    assert_int_equal(mt_clock_stamp(&g_threads[0]), tick + 4000000);
    assert_int_equal(mt_clock_stamp(&g_threads[0]), tick + 4000001);
}

static void test_chores_are_done_now_and_then(void **state)
{
    (void)state;
    start_at(FAR_NS);
    for (int i = 0; i < 1000; i++) {
        (void)mt_clock_stamp(&g_threads[0]);
    }
    assert_int_equal(g_chores, 1);
    g_page[MT_TICK_CLOCK] += 60 * 1000 * 1000;
    (void)mt_clock_stamp(&g_threads[0]);
    (void)mt_clock_stamp(&g_threads[0]);
    assert_int_equal(g_chores, 2);
}

static void test_time_goes_on_when_the_tick_stands_still(void **state)
{
    (void)state;
    start_at(-FAR_NS);
    uint64_t last = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t now = mt_os_monotonic_coarse_ns();
        uint64_t clock = mt_clock_stamp(&g_threads[0]);
        assert_true(clock > last && clock + UNIT > now);
        last = clock;
    }
}

static void test_a_tick_that_comes_back_is_followed_again(void **state)
{
    (void)state;
    start_at(-FAR_NS);
    (void)mt_clock_stamp(&g_threads[0]);
    g_page[MT_TICK_CLOCK] = (mt_os_monotonic_ns() + FAR_NS) / UNIT * UNIT;
    assert_int_equal(mt_clock_stamp(&g_threads[0]), g_page[MT_TICK_CLOCK]);
    assert_int_equal(mt_clock_stamp(&g_threads[0]), g_page[MT_TICK_CLOCK] + 1);
}

static void test_order_begins_behind_everything_so_far(void **state)
{
    (void)state;
    if (counter_is_a_clock()) {
        draw_line_on_page();
    }
    start_at(FAR_NS);
    uint64_t latest = mt_clock_stamp(&g_threads[0]) + 1000;
    assert_false(mt_clock_is_ordered());
    mt_clock_begin_order(latest);
    assert_true(mt_clock_is_ordered());
    assert_int_equal(g_header.clock_kind, counter_is_a_clock() ? MT_CLOCK_TSC : MT_CLOCK_COUNTER);
    assert_int_equal(g_header.line_scale != 0, counter_is_a_clock());
    assert_int_equal(g_header.line_ns, g_mt_clock.line.origin.ns);
    uint64_t last = latest;
    for (int i = 0; i < 1000; i++) {
        uint64_t clock = mt_clock_stamp(&g_threads[i % 2]);
        assert_true(clock > latest);
        assert_true(clock + UNIT > last); /* two stamps of different threads, and here no handover lies between */
        last = clock;
    }
    assert_true(mt_clock_now() + UNIT > last);
}

static void test_a_counter_that_becomes_forbidden_is_left_without_a_step_back(void **state)
{
    (void)state;
    if (counter_is_a_clock()) {
        draw_line_on_page();
    }
    start_at(0);
    mt_clock_begin_order(mt_clock_stamp(&g_threads[0]));
    uint64_t last = mt_clock_stamp(&g_threads[0]);
    mt_clock_forbid_tsc();
    assert_int_equal(g_header.clock_kind, MT_CLOCK_COUNTER);
    for (int i = 0; i < 1000; i++) {
        uint64_t clock = mt_clock_stamp(&g_threads[i % 2]);
        assert_true(clock > last && clock % UNIT == 0);
        last = clock;
    }
}

static void test_what_is_forbidden_at_the_start_is_never_read(void **state)
{
    (void)state;
    mt_clock_forbid_tsc();
    start_at(0);
    mt_clock_begin_order(mt_clock_stamp(&g_threads[0]));
    assert_int_equal(g_header.clock_kind, MT_CLOCK_COUNTER);
}

static void test_without_a_tool_the_line_is_drawn_when_it_is_needed(void **state)
{
    (void)state;
    mt_clock_prepare(NULL, false);
    mt_clock_start(&g_header, count_chores);
    uint64_t clock = mt_clock_stamp(&g_threads[0]);
    assert_true(clock + UNIT > mt_os_monotonic_coarse_ns() - FAR_NS);
    mt_clock_begin_order(clock);
    assert_int_equal(g_header.clock_kind, counter_is_a_clock() ? MT_CLOCK_TSC : MT_CLOCK_COUNTER);
    assert_true(mt_clock_stamp(&g_threads[1]) > clock);
}

static void test_a_fork_child_begins_with_one_thread(void **state)
{
    (void)state;
    start_at(FAR_NS);
    mt_clock_begin_order(mt_clock_stamp(&g_threads[0]));
    mt_clock_after_fork();
    assert_false(mt_clock_is_ordered());
}

/* ---- two threads ---------------------------------------------------------------------------------------------------- */

/* On a machine that is busy a turn takes a time slice of others: then there are fewer. */
enum { TURNS = 20000, SPINS = 1000, LONG_ENOUGH_S = 20 };
static int g_turn;
static int g_turns; /* that are taken by each; the first thread may lower it in a turn of its own */
static uint64_t g_stamps[2][TURNS];

static void *take_turns(void *argument)
{
    int self = *(int *)argument;
    uint64_t end = mt_os_monotonic_ns() + (uint64_t)LONG_ENOUGH_S * FAR_NS;
    for (int i = 0; i < mt_load_relaxed(&g_turns); i++) {
        for (int spins = 0; mt_load_acquire(&g_turn) != self; spins++) {
            if (spins == SPINS) {
                mt_os_yield();
                spins = 0;
            }
        }
        g_stamps[self][i] = mt_clock_stamp(&g_threads[self]);
        if (self == 0 && mt_os_monotonic_ns() > end) {
            mt_store_relaxed(&g_turns, i + 1);
        }
        mt_store_release(&g_turn, 1 - self);
    }
    return NULL;
}

static void check_turns(void)
{
    pthread_t threads[2];
    int selves[2] = { 0, 1 };
    g_turns = TURNS;
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

static void test_turns_are_in_order_by_the_time_stamp_counter(void **state)
{
    (void)state;
    if (!counter_is_a_clock()) {
        skip(); /* the kernel of this machine keeps time by another clock */
    }
    draw_line_on_page();
    start_at(0);
    mt_clock_begin_order(mt_clock_stamp(&g_threads[0]));
    check_turns();
}

/* ---- one of two threads works for a while --------------------------------------------------------------------------- */

enum { SHIFTS = 40, EVENTS_A_TICK = 100, EVENTS_MAX = 50 * 1000 * 1000 };
static uint64_t g_first[2][SHIFTS], g_last[2][SHIFTS];
static bool g_was_alone[2][SHIFTS];

/* The tool's part, by whoever works: the tick is never ahead of the time. */
static void tick(void)
{
    mt_store_relaxed(&g_page[MT_TICK_CLOCK], mt_tsc_to_ns(&g_mt_clock.line, mt_tsc_read()) / UNIT * UNIT);
}

static uint64_t stamp_in_section(struct mt_thread *t)
{
    mt_store_relaxed(&t->recording, (uint64_t)1);
    mt_fence_compiler();
    uint64_t clock = mt_clock_stamp(t);
    mt_store_release(&t->recording, (uint64_t)0);
    return clock;
}

/* Events until the thread counts; every third time one event only. Each later than the one before. */
static void work_a_shift(int self, int shift)
{
    struct mt_thread *t = &g_threads[self];
    uint64_t last = g_first[self][shift] = stamp_in_section(t);
    for (int i = 1; shift % 3 != 0 && i < EVENTS_MAX && !g_was_alone[self][shift]; i++) {
        g_was_alone[self][shift] = mt_load_relaxed(&g_mt_clock.alone) == t;
        for (int more = 0; more < EVENTS_A_TICK; more++) {
            uint64_t clock = stamp_in_section(t);
            assert_true(clock > last);
            last = clock;
        }
        tick();
    }
    g_last[self][shift] = last;
}

static void *work_in_shifts(void *argument)
{
    int self = *(int *)argument;
    for (int i = 0; i < SHIFTS; i++) {
        while (mt_load_acquire(&g_turn) != self) {
            mt_os_yield();
        }
        work_a_shift(self, i);
        mt_store_release(&g_turn, 1 - self);
    }
    return NULL;
}

static void list_threads(void)
{
    g_threads[0].next = &g_threads[1];
    g_mt.threads = &g_threads[0];
}

static void test_a_thread_that_is_alone_counts_until_another_one_comes(void **state)
{
    (void)state;
    pthread_t threads[2];
    int selves[2] = { 0, 1 };
    if (!counter_is_a_clock() || !mt_os_prepare_barrier()) {
        skip(); /* events are then ordered one by one */
    }
    list_threads();
    draw_line_on_page();
    start_at(0);
    mt_clock_begin_order(mt_clock_stamp(&g_threads[0]));
    mt_clock_allow_alone();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work_in_shifts, &selves[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < SHIFTS; i++) {
        assert_true(g_last[0][i] < g_first[1][i]);
        assert_true(i == 0 || g_last[1][i - 1] < g_first[0][i]);
        assert_true(i % 3 == 0 || (g_was_alone[0][i] && g_was_alone[1][i]));
    }
}

static void test_nobody_is_alone_where_other_processes_are_to_be_in_order(void **state)
{
    (void)state;
    list_threads();
    if (counter_is_a_clock()) {
        draw_line_on_page();
    }
    start_at(0);
    mt_clock_begin_order(mt_clock_stamp(&g_threads[0]));
    mt_clock_forbid_alone();
    mt_clock_allow_alone();
    uint64_t clock = 0;
    for (int i = 0; i < 10; i++) {
        clock = mt_clock_note(&g_threads[0], clock + FAR_NS);
        assert_null(g_mt_clock.alone);
    }
}

static void test_nobody_is_alone_while_another_one_records(void **state)
{
    (void)state;
    if (!counter_is_a_clock() || !mt_os_prepare_barrier()) {
        skip(); /* nobody ever is */
    }
    list_threads();
    draw_line_on_page();
    start_at(0);
    mt_clock_begin_order(mt_clock_stamp(&g_threads[0]));
    mt_clock_allow_alone();
    g_threads[1].recording = 1;
    for (int i = 0; i < 3; i++) {
        (void)mt_clock_note(&g_threads[0], mt_clock_now());
        assert_null(g_mt_clock.alone);
    }
    g_threads[1].recording = 0;
    (void)mt_clock_note(&g_threads[1], mt_clock_now()); /* it was there */
    (void)mt_clock_note(&g_threads[0], mt_clock_now());
    assert_null(g_mt_clock.alone);
    (void)mt_clock_note(&g_threads[0], mt_clock_now());
    assert_ptr_equal(g_mt_clock.alone, &g_threads[0]);
    (void)mt_clock_stamp(&g_threads[1]);
    assert_null(g_mt_clock.alone);
}

static void test_turns_are_in_order_by_the_shared_counter(void **state)
{
    (void)state;
    mt_clock_forbid_tsc();
    start_at(0);
    mt_clock_begin_order(mt_clock_stamp(&g_threads[0]));
    check_turns();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_events_are_counted_between_ticks),
    cmocka_unit_test(test_chores_are_done_now_and_then),
    cmocka_unit_test(test_time_goes_on_when_the_tick_stands_still),
    cmocka_unit_test(test_a_tick_that_comes_back_is_followed_again),
    cmocka_unit_test(test_order_begins_behind_everything_so_far),
    cmocka_unit_test(test_a_counter_that_becomes_forbidden_is_left_without_a_step_back),
    cmocka_unit_test(test_what_is_forbidden_at_the_start_is_never_read),
    cmocka_unit_test(test_without_a_tool_the_line_is_drawn_when_it_is_needed),
    cmocka_unit_test(test_a_fork_child_begins_with_one_thread),
    cmocka_unit_test(test_turns_are_in_order_by_the_time_stamp_counter),
    cmocka_unit_test(test_a_thread_that_is_alone_counts_until_another_one_comes),
    cmocka_unit_test(test_nobody_is_alone_where_other_processes_are_to_be_in_order),
    cmocka_unit_test(test_nobody_is_alone_while_another_one_records),
    cmocka_unit_test(test_turns_are_in_order_by_the_shared_counter),
};
MT_TEST_MAIN(tests)
