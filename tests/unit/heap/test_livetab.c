/* Unit tests of heap/livetab: the table against a naive set, and the filter against the rule "never a false no". */
#include "harness.h"

#include "base/status.h"
#include "heap/engine.h"
#include "heap/livetab.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static unsigned g_seed;

static int setup(void **state)
{
    (void)state;
    g_seed = (unsigned)time(NULL);
    print_message("seed %u\n", g_seed);
    assert_int_equal(mt_livetab_init(), MT_OK);
    mt_livetab_show(MT_FILTER_TABLE);
    return 0;
}

static const void *pointer(uint64_t i)
{
    return (const void *)(uintptr_t)(0x7f0000000000u + i * 48);
}

static bool insert(const void *ptr, uint64_t size)
{
    const struct mt_sample sample = { .size = size, .rate_bytes = size + 1 };
    return mt_livetab_insert(ptr, &sample);
}

static void test_every_inserted_pointer_may_be_tracked(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 60000; i++) {
        assert_true(insert(pointer(i), i));
    }
    assert_int_equal(mt_livetab_count(), 60000);
    for (uint64_t i = 0; i < 60000; i++) {
        assert_true(mt_engine_may_track(pointer(i)));
        assert_true(mt_livetab_contains(pointer(i)));
    }
}

/* Blocks of 16 to 1,024 bytes one after another, as a heap has them; every 20th is sampled. 100,000 others are asked:
 * at a load of at most 1/16 a share of at most 1 - exp(-1/16) = 6.06 % is let through, and 1 % more is 13 deviations. */
static void test_filter_passes_most_other_pointers(void **state)
{
    (void)state;
    srand48((long)g_seed);
    uint64_t at = 0x7f0000000000u;
    unsigned maybe = 0, asked = 0;
    for (uint64_t i = 0; i < 1000000; i++, at += 16 * (1 + (uint64_t)lrand48() % 64)) {
        if (i % 20 == 0) {
            assert_true(insert((const void *)(uintptr_t)at, i));
        }
    }
    srand48((long)g_seed);
    at = 0x7f0000000000u;
    for (uint64_t i = 0; i < 1000000; i++, at += 16 * (1 + (uint64_t)lrand48() % 64)) {
        if (i % 10 == 7) {
            maybe += mt_engine_may_track((const void *)(uintptr_t)at);
            asked++;
        }
    }
    assert_int_equal(asked, 100000);
    assert_in_range(maybe, 1, 7060);
}

static void test_filter_is_empty_again_after_all_are_removed(void **state)
{
    (void)state;
    enum { COUNT = 70000 }; /* more than any test before: the filter grows on the way */
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_true(insert(pointer(i), i));
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        struct mt_sample sample;
        assert_true(mt_livetab_find(pointer(i), &sample));
        assert_int_equal(sample.size, i);
        assert_int_equal(sample.rate_bytes, i + 1);
        assert_true(mt_livetab_remove(pointer(i), NULL));
        assert_false(mt_livetab_remove(pointer(i), NULL));
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_false(mt_engine_may_track(pointer(i)));
    }
}

static void test_a_block_that_took_the_place_of_a_sample_is_not_removed_for_it(void **state)
{
    (void)state;
    struct mt_sample first, second;
    assert_true(insert(pointer(1), 8));
    assert_true(mt_livetab_find(pointer(1), &first));
    assert_true(insert(pointer(1), 8));
    assert_false(mt_livetab_remove_found(pointer(1), &first));
    assert_true(mt_livetab_find(pointer(1), &second));
    assert_true(mt_livetab_remove_found(pointer(1), &second));
    assert_false(mt_livetab_contains(pointer(1)));
}

static void test_random_operations_agree_with_a_plain_array(void **state)
{
    (void)state;
    enum { SPACE = 5000 };
    static bool live[SPACE];
    memset(live, 0, sizeof live);
    unsigned seed = g_seed;
    for (int i = 0; i < 400000; i++) {
        uint64_t which = (uint64_t)rand_r(&seed) % SPACE;
        if (rand_r(&seed) % 2 == 0) {
            assert_true(insert(pointer(which), which));
            live[which] = true;
        } else {
            assert_int_equal(mt_livetab_remove(pointer(which), NULL), live[which]);
            live[which] = false;
        }
    }
    for (uint64_t i = 0; i < SPACE; i++) {
        assert_int_equal(mt_livetab_contains(pointer(i)), live[i]);
    }
}

static void *churn(void *argument)
{
    uint64_t base = (uint64_t)(uintptr_t)argument * 1000000;
    for (uint64_t round = 0; round < 40; round++) {
        for (uint64_t i = 0; i < 500; i++) {
            if (!insert(pointer(base + i), i)) {
                return (void *)1;
            }
        }
        for (uint64_t i = 0; i < 500; i++) {
            if (!mt_engine_may_track(pointer(base + i)) || !mt_livetab_remove(pointer(base + i), NULL)) {
                return (void *)1;
            }
        }
    }
    return NULL;
}

static void test_threads_never_lose_their_own_pointers(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (uintptr_t i = 0; i < MT_COUNTOF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
    }
    for (size_t i = 0; i < MT_COUNTOF(threads); i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(mt_livetab_count(), 0);
}

static void test_exact_mode_tracks_everything_and_off_nothing(void **state)
{
    (void)state;
    mt_livetab_show(MT_FILTER_ALL);
    for (uint64_t i = 0; i < 1000; i++) {
        assert_true(mt_engine_may_track(pointer(i * 977)));
    }
    mt_livetab_show(MT_FILTER_NONE);
    for (uint64_t i = 0; i < 1000; i++) {
        assert_false(mt_engine_may_track(pointer(i * 977)));
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(test_every_inserted_pointer_may_be_tracked, setup),
    cmocka_unit_test_setup(test_filter_passes_most_other_pointers, setup),
    cmocka_unit_test_setup(test_filter_is_empty_again_after_all_are_removed, setup),
    cmocka_unit_test_setup(test_a_block_that_took_the_place_of_a_sample_is_not_removed_for_it, setup),
    cmocka_unit_test_setup(test_random_operations_agree_with_a_plain_array, setup),
    cmocka_unit_test_setup(test_threads_never_lose_their_own_pointers, setup),
    cmocka_unit_test_setup(test_exact_mode_tracks_everything_and_off_nothing, setup),
};
MT_TEST_MAIN(tests)
