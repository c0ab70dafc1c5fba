/* Unit tests of the engine's account of its own time. What it comes to is a matter of the machine; that it is kept, of which sections, and
 * in which trace is not. */
#include "folder.h"
#include "harness.h"
#include "made_up.h"

#include "heap/cost.h"
#include "heap/state.h"
#include "heap/thread.h"
#include "heap/work.h"

static void start(enum mt_engine_mode mode)
{
    const struct mt_engine_config config = { .mode = mode, .rate_bytes = 1, .native = true, .path = g_path, .command = "unit",
                                             .command_bytes = 5, .seed = 7 };
    assert_int_equal(mt_engine_start(&config), MT_OK);
}

static void record_many(size_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        record(0x10000 + i * 64, 64);
    }
}

static void test_recorded_blocks_take_time(void **state)
{
    (void)state;
    start(MT_MODE_EXACT);
    record_many(100 * MT_COST_EVERY);
    assert_true(mt_engine_counter(MT_COUNTER_AGENT_NS) > 0);
    assert_true(mt_engine_counter(MT_COUNTER_PASSING_PS) > 0);
}

static void test_one_section_in_so_many_is_timed(void **state)
{
    (void)state;
    start(MT_MODE_EXACT);
    record_many(1);
    for (uint32_t i = 0, timed = 0; i < 3 * MT_COST_EVERY; i++) {
        int32_t before = t_mt.thread->until_timed;
        uint32_t works = mt_work_count();
        uint64_t counted = mt_engine_counter(MT_COUNTER_AGENT_NS);
        record_many(1);
        timed += before == 0;
        bool worked = mt_work_count() != works; /* the chores, when it is time for them */
        assert_true(before == 0 || worked || mt_engine_counter(MT_COUNTER_AGENT_NS) == counted);
        assert_int_equal(t_mt.thread->until_timed, before == 0 ? MT_COST_EVERY - 1 : before - 1);
        assert_int_equal(t_mt.thread->timed_from, 0);
        assert_in_range(timed, i / MT_COST_EVERY, i / MT_COST_EVERY + 1);
    }
}

static void test_a_written_block_is_measured_and_not_timed(void **state)
{
    (void)state;
    start(MT_MODE_EXACT);
    record_many(1);
    struct mt_thread *t = t_mt.thread;
    t->until_timed = 0;
    uint64_t counted = mt_engine_counter(MT_COUNTER_AGENT_NS);
    (void)mt_section_begins(t);
    uint64_t from_ns = mt_engine_work_begins();
    while (mt_engine_work_begins() == from_ns) {
    }
    (void)mt_engine_work_ends(from_ns);
    assert_in_range(mt_engine_counter(MT_COUNTER_AGENT_NS) - counted, 1, mt_engine_work_begins() - from_ns);
    counted = mt_engine_counter(MT_COUNTER_AGENT_NS);
    mt_section_ends(t, 0);
    assert_int_equal(mt_engine_counter(MT_COUNTER_AGENT_NS), counted);
}

/* A growth of 64 bytes that a mark was found in stands for 16,383.5 others that passed by at this rate; one of 64 rates for none. */
static void test_a_growth_that_is_a_sample_stands_for_those_that_are_none(void **state)
{
    (void)state;
    start(MT_MODE_SAMPLE);
    record_many(1);
    struct mt_thread *t = t_mt.thread;
    t->rate = 1 << 20;
    uint64_t counted = mt_engine_counter(MT_COUNTER_AGENT_NS);
    mt_cost_add_growth(t, (uint64_t)64 << 20);
    assert_int_equal(mt_engine_counter(MT_COUNTER_AGENT_NS), counted);
    mt_cost_add_growth(t, 64);
    uint64_t many = mt_engine_counter(MT_COUNTER_AGENT_NS) - counted;
    mt_cost_add_growth(t, 128);
    uint64_t fewer = mt_engine_counter(MT_COUNTER_AGENT_NS) - counted - many;
    uint64_t one = many / 16383 + 1; /* the price of one, which is high where instructions are slow */
    assert_in_range(2 * fewer + one + 4, many, many + one + 8); /* 8,191.5: half as many, but for half a one and rounding to ns */
}

static void test_growing_in_sample_mode_is_in_the_account(void **state)
{
    (void)state;
    start(MT_MODE_SAMPLE);
    record_many(1);
    assert_int_equal(mt_engine_set_rate(4096), MT_OK);
    uint64_t grown = 0;
    for (size_t size = 64; size < 64 * 4096 && grown == 0; size += 16) {
        realloc_as(0x900000, 0x900000, size, 16, MT_REALLOC_GROWS);
        grown = t_mt.thread->counted == 16;
    }
    assert_int_equal(grown, 1); /* false alarm: exp(-64) */
}

static void test_what_a_jump_left_is_not_timed(void **state)
{
    (void)state;
    start(MT_MODE_SAMPLE);
    record_many(1);
    struct mt_thread *t = t_mt.thread;
    t->until_timed = 0;
    (void)mt_section_begins(t);
    assert_true(t->timed_from != 0);
    mt_thread_mend(t);
    assert_int_equal(t->timed_from, 0);
    mt_section_ends(t, 0);
}

static void test_a_trace_that_ended_says_what_the_process_used(void **state)
{
    (void)state;
    start(MT_MODE_EXACT);
    volatile uint64_t work = 0;
    for (uint64_t i = 0; i < 20000000; i++) { /* more than a tick of any processor clock */
        work += i;
    }
    mt_cost_note_cpu();
    assert_true(mt_engine_counter(MT_COUNTER_CPU_NS) > 0);
}

#define COST_TEST(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)
static const struct CMUnitTest tests[] = {
    COST_TEST(test_recorded_blocks_take_time),
    COST_TEST(test_one_section_in_so_many_is_timed),
    COST_TEST(test_a_written_block_is_measured_and_not_timed),
    COST_TEST(test_a_growth_that_is_a_sample_stands_for_those_that_are_none),
    COST_TEST(test_growing_in_sample_mode_is_in_the_account),
    COST_TEST(test_what_a_jump_left_is_not_timed),
    COST_TEST(test_a_trace_that_ended_says_what_the_process_used),
};
MT_TEST_MAIN(tests)
