/* test_touch.c: which addresses are watched, after mappings were cut, moved and replaced. What looks find is tested end to end
 * (tests/integration/test_reservations.py).
 */
#include "harness.h"

#include "heap/touch.h"
#include "model/builder.h"

#include <stdlib.h>

enum { PAGE = 4096, WINDOW_PAGES = 512, WATCHES_MAX = 128 };
#define WINDOW 0x200000000000u

static int stop(void **state)
{
    (void)state;
    mt_touch_forget(0, UINT64_MAX);
    assert_false(mt_touch_watches(0, UINT64_MAX));
    return 0;
}

static uint64_t page_at(uint64_t page)
{
    return WINDOW + page * PAGE;
}

static void test_nothing_is_watched_at_first(void **state)
{
    (void)state;
    assert_false(mt_touch_watches(0, UINT64_MAX));
    mt_touch_forget(WINDOW, PAGE);
    assert_int_equal(mt_touch_stack(WINDOW), 0);
}

static void test_a_hole_leaves_two_parts_with_their_stack(void **state)
{
    (void)state;
    assert_true(mt_touch_watch(page_at(0), 100 * PAGE, 7));
    mt_touch_forget(page_at(40), 20 * PAGE);
    assert_true(mt_touch_watches(page_at(39), PAGE));
    assert_false(mt_touch_watches(page_at(40), 20 * PAGE));
    assert_true(mt_touch_watches(page_at(60), PAGE));
    assert_int_equal(mt_touch_stack(page_at(99)), 7);
    assert_int_equal(mt_touch_stack(page_at(50)), 0);
    assert_false(mt_touch_watches(page_at(100), PAGE));
}

static void test_random_mappings_are_watched_as_the_pages_say(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    uint32_t stack_of[WINDOW_PAGES] = { 0 };
    for (uint32_t round = 1; round <= 3000; round++) {
        uint64_t r = builder_random(&seed);
        uint64_t from = r % (WINDOW_PAGES - 64), count = 1 + (r >> 20) % 64;
        mt_touch_forget(page_at(from), count * PAGE);
        bool watched = (r >> 40) % 2 == 0 && mt_touch_watch(page_at(from), count * PAGE, round);
        for (uint64_t page = from; page < from + count; page++) {
            stack_of[page] = watched ? round : 0;
        }
        for (uint64_t page = 0; page < WINDOW_PAGES; page++) {
            assert_int_equal(mt_touch_stack(page_at(page)), stack_of[page]);
        }
    }
}

static void test_what_does_not_fit_is_not_watched(void **state)
{
    (void)state;
    assert_false(mt_touch_watch(WINDOW, ((uint64_t)1 << 40) + PAGE, 1));
    for (uint64_t i = 0; i < WATCHES_MAX; i++) {
        assert_true(mt_touch_watch(page_at(2 * i), PAGE, 1));
    }
    assert_false(mt_touch_watch(page_at(2 * WATCHES_MAX), PAGE, 1));
    mt_touch_forget(page_at(0), PAGE);
    assert_true(mt_touch_watch(page_at(2 * WATCHES_MAX), PAGE, 1));
}

#define TOUCH_TEST(function) cmocka_unit_test_teardown(function, stop)
static const struct CMUnitTest tests[] = {
    TOUCH_TEST(test_nothing_is_watched_at_first),
    TOUCH_TEST(test_a_hole_leaves_two_parts_with_their_stack),
    TOUCH_TEST(test_random_mappings_are_watched_as_the_pages_say),
    TOUCH_TEST(test_what_does_not_fit_is_not_watched),
};
MT_TEST_MAIN(tests)
