/* Unit tests of heap/budget: the time is made up. A program is what it costs: so much for each sample, and for all that pass by. */
#include "harness.h"

#include "heap/budget.h"
#include "wire/config.h"

#define SECOND_NS ((uint64_t)1000000000)

/* A program that allocates; all of it a second of processor time. */
struct program {
    double bytes, sample_ns, passing_ns;
};

/* Runs it for so many windows of 250 ms: the share of the last of them in parts. noise: every second look counts so much more. */
static uint64_t run(struct mt_budget *b, const struct program *p, unsigned windows, uint64_t *rate, double noise)
{
    struct mt_budget_look now = b->last;
    uint64_t share = 0;
    for (unsigned i = 0; i < windows; i++) {
        double seconds = (double)MT_BUDGET_WINDOW_NS / (double)SECOND_NS;
        double own = p->bytes / (double)*rate * p->sample_ns * seconds;
        now.cpu_ns += MT_BUDGET_WINDOW_NS;
        now.own_ns += (uint64_t)(own * (i % 2 == 0 ? 1 + noise : 1 - noise));
        now.passing_ns += (uint64_t)(p->passing_ns * seconds);
        share = (uint64_t)((own + p->passing_ns * seconds) / (double)MT_BUDGET_WINDOW_NS * MT_BUDGET_WHOLE);
        *rate = mt_budget_decide(b, &now, *rate);
    }
    return share;
}

static void test_a_budget_is_kept_after_ten_seconds(void **state)
{
    (void)state;
    static const struct program programs[] = {
        { 2e9, 20000, 0 },   /* 2 GB/s, deep stacks: 7.6 % at 512 KiB */
        { 2e10, 20000, 1e6 }, /* ten times as much, and a tenth of the budget for passing */
        { 1e12, 50000, 0 },
    };
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        struct mt_budget b;
        uint64_t rate = MT_RATE_DEFAULT;
        mt_budget_begin(&b, 10000, rate); /* 1 % */
        uint64_t share = run(&b, &programs[i], 40, &rate, 0.3);
        assert_in_range(share, 5000, 15000);
    }
}

static void test_what_is_cheap_is_sampled_more_often_to_a_bound(void **state)
{
    (void)state;
    static const struct program idle = { 1e6, 20000, 0 };
    struct mt_budget b;
    uint64_t rate = MT_RATE_DEFAULT;
    mt_budget_begin(&b, 10000, rate);
    (void)run(&b, &idle, 40, &rate, 0);
    assert_int_equal(rate, MT_BUDGET_LEAST_RATE);
    rate = 4096;
    mt_budget_begin(&b, 10000, rate);
    (void)run(&b, &idle, 40, &rate, 0);
    assert_int_equal(rate, 4096);
}

static void test_samples_are_taken_also_where_passing_by_costs_more_than_the_budget(void **state)
{
    (void)state;
    static const struct program busy = { 2e9, 20000, 5e7 }; /* 5 % */
    struct mt_budget b;
    uint64_t rate = MT_RATE_DEFAULT;
    mt_budget_begin(&b, 10000, rate);
    uint64_t share = run(&b, &busy, 40, &rate, 0);
    assert_in_range(share, 50000 + 1000, 50000 + 4000);
}

static void test_nothing_changes_without_a_budget_within_a_window_or_for_little(void **state)
{
    (void)state;
    struct mt_budget b;
    const struct mt_budget_look soon = { MT_BUDGET_WINDOW_NS - 1, MT_BUDGET_WINDOW_NS / 2, 0 };
    const struct mt_budget_look later = { MT_BUDGET_WINDOW_NS, MT_BUDGET_WINDOW_NS / 2, 0 };
    const struct mt_budget_look near = { 2 * (uint64_t)MT_BUDGET_WINDOW_NS, MT_BUDGET_WINDOW_NS / 2 + MT_BUDGET_WINDOW_NS / 90, 0 };
    mt_budget_begin(&b, 0, MT_RATE_DEFAULT);
    assert_int_equal(mt_budget_decide(&b, &later, MT_RATE_DEFAULT), MT_RATE_DEFAULT);
    mt_budget_begin(&b, 10000, MT_RATE_DEFAULT);
    assert_int_equal(mt_budget_decide(&b, &soon, MT_RATE_DEFAULT), MT_RATE_DEFAULT);
    assert_int_equal(mt_budget_decide(&b, &later, MT_RATE_DEFAULT), 4 * MT_RATE_DEFAULT);
    assert_int_equal(mt_budget_decide(&b, &near, 4 * MT_RATE_DEFAULT), 4 * MT_RATE_DEFAULT); /* 1.1 % */
}

static void test_the_rate_has_an_upper_end(void **state)
{
    (void)state;
    static const struct program impossible = { 1e15, 1e6, 0 };
    struct mt_budget b;
    uint64_t rate = MT_RATE_DEFAULT;
    mt_budget_begin(&b, 1, rate);
    (void)run(&b, &impossible, 80, &rate, 0);
    assert_int_equal(rate, MT_RATE_MAX);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_budget_is_kept_after_ten_seconds),
    cmocka_unit_test(test_what_is_cheap_is_sampled_more_often_to_a_bound),
    cmocka_unit_test(test_samples_are_taken_also_where_passing_by_costs_more_than_the_budget),
    cmocka_unit_test(test_nothing_changes_without_a_budget_within_a_window_or_for_little),
    cmocka_unit_test(test_the_rate_has_an_upper_end),
};
MT_TEST_MAIN(tests)
