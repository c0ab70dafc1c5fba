/* How near a limit is, and what is said of it on the clock page. */
#include "harness.h"

#include "launch/limit.h"

enum { FAR, SOON, NEAR };

static void test_nine_tenths_are_near(void **state)
{
    (void)state;
    assert_int_equal(mt_limit_level(900, 1000, 0, FAR), NEAR);
    assert_int_equal(mt_limit_level(899, 1000, 0, FAR), FAR);
    assert_int_equal(mt_limit_level(2000, 1000, 0, FAR), NEAR); /* the limit was lowered below what is charged */
}

static void test_growth_that_meets_it_within_two_seconds_is_soon(void **state)
{
    (void)state;
    assert_int_equal(mt_limit_level(500, 1000, 250, FAR), SOON);
    assert_int_equal(mt_limit_level(500, 1000, 249, FAR), FAR);
    assert_int_equal(mt_limit_level(499, 1000, 1e9, FAR), FAR);
    assert_int_equal(mt_limit_level(600, 1000, -1e9, FAR), FAR);
}

static void test_it_is_said_again_only_after_a_fifth_was_free(void **state)
{
    (void)state;
    assert_int_equal(mt_limit_level(800, 1000, 0, NEAR), NEAR);
    assert_int_equal(mt_limit_level(799, 1000, 0, NEAR), FAR);
    assert_int_equal(mt_limit_level(799, 1000, 1000, NEAR), NEAR); /* it grows again already */
    assert_int_equal(mt_limit_level(400, 1000, 0, SOON), SOON);
    assert_int_equal(mt_limit_level(399, 1000, 0, SOON), FAR);
    assert_int_equal(mt_limit_level(900, 1000, 0, SOON), NEAR);
}

static void test_a_process_that_trembles_crosses_once(void **state)
{
    (void)state;
    uint64_t resident = mt_process_resident(getpid());
    struct mt_limit limit = { .snapshot_bytes = resident / 2 };
    bool is_above = false;
    assert_true(mt_limit_crosses(&limit, getpid(), &is_above) && is_above);
    assert_false(mt_limit_crosses(&limit, getpid(), &is_above));
    limit.snapshot_bytes = resident + resident / 50; /* below it by less than a twentieth */
    assert_false(mt_limit_crosses(&limit, getpid(), &is_above));
    assert_true(is_above);
    limit.snapshot_bytes = 2 * resident;
    assert_false(mt_limit_crosses(&limit, getpid(), &is_above));
    assert_false(is_above);
    assert_false(mt_limit_crosses(&limit, INT32_MAX, &is_above));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_nine_tenths_are_near),
    cmocka_unit_test(test_growth_that_meets_it_within_two_seconds_is_soon),
    cmocka_unit_test(test_it_is_said_again_only_after_a_fifth_was_free),
    cmocka_unit_test(test_a_process_that_trembles_crosses_once),
};
MT_TEST_MAIN(tests)
