/* test_alloc.c: the allocator hooks over a real function that can be told to fail, in front of the fake engine's books.
 * Link: memtap_hooks
 */
#include "harness.h"

#include "fakes/engine.h"
#include "hook/originals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool g_fail;
static uint64_t g_live_seen_by_free; /* blocks on the books when the real free ran */
static uint64_t g_live_seen_by_malloc;
static int g_real_calls;

static void *real_malloc(size_t size)
{
    g_real_calls++;
    g_live_seen_by_malloc = mt_g_fake.live;
    errno = g_fail ? ENOMEM : 77;
    return g_fail ? NULL : malloc(size);
}

static void *real_calloc(size_t count, size_t size)
{
    g_real_calls++;
    return calloc(count, size);
}

static void *real_realloc(void *old, size_t size)
{
    g_real_calls++;
    errno = g_fail ? ENOMEM : errno;
    return g_fail ? NULL : realloc(old, size);
}

static void real_free(void *ptr)
{
    g_real_calls++;
    g_live_seen_by_free = mt_g_fake.live;
    free(ptr);
}

static int real_posix_memalign(void **ret_ptr, size_t alignment, size_t size)
{
    g_real_calls++;
    return g_fail ? EINVAL : posix_memalign(ret_ptr, alignment, size);
}

static int start(void **state)
{
    (void)state;
    mt_g_originals[0].malloc = real_malloc;
    mt_g_originals[0].calloc = real_calloc;
    mt_g_originals[0].realloc = real_realloc;
    mt_g_originals[0].free = real_free;
    mt_g_originals[0].posix_memalign = real_posix_memalign;
    memset(&mt_g_fake, 0, sizeof mt_g_fake);
    g_fail = false;
    g_real_calls = 0;
    fake_engine_start(0);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    assert_int_equal(t_mt.depth, 0);
    assert_int_equal(mt_g_fake.unbalanced, 0);
    assert_int_equal(mt_g_fake.counted_twice, 0);
    fake_engine_stop();
    return 0;
}

static void test_malloc_is_recorded_after_and_free_before_the_real_call(void **state)
{
    (void)state;
    void *ptr = mt_bank0_malloc(100);
    assert_int_equal(g_live_seen_by_malloc, 0);
    assert_int_equal(mt_g_fake.live, 1);
    assert_int_equal(mt_g_fake.bytes[MT_ALLOCATOR_MALLOC], 100);
    mt_bank0_free(ptr);
    assert_int_equal(g_live_seen_by_free, 0);
    assert_int_equal(g_real_calls, 2);
}

static void test_the_caller_recorded_is_the_caller_of_malloc(void **state)
{
    (void)state;
    free(mt_bank0_malloc(1));
    uint64_t here = (uint64_t)(uintptr_t)test_the_caller_recorded_is_the_caller_of_malloc;
    assert_in_range(mt_g_fake.last_pc, here, here + 200);
}

static void test_a_failed_malloc_records_nothing_and_keeps_errno(void **state)
{
    (void)state;
    g_fail = true;
    errno = 0;
    assert_null(mt_bank0_malloc((size_t)1 << 62));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(mt_g_fake.allocations[MT_ALLOCATOR_MALLOC], 0);
    assert_int_equal(mt_g_fake.failed[MT_ALLOCATOR_MALLOC], 1);
}

static void test_errno_is_what_the_real_function_left(void **state)
{
    (void)state;
    errno = 0;
    void *ptr = mt_bank0_malloc(8);
    assert_int_equal(errno, 77);
    errno = 55;
    mt_bank0_free(ptr);
    assert_int_equal(errno, 55);
}

static void test_malloc_of_nothing_is_a_block(void **state)
{
    (void)state;
    void *ptr = mt_bank0_malloc(0);
    assert_int_equal(mt_g_fake.allocations[MT_ALLOCATOR_MALLOC], 1);
    mt_bank0_free(ptr);
    assert_int_equal(mt_g_fake.live, 0);
}

static void test_calloc_counts_the_product(void **state)
{
    (void)state;
    void *ptr = mt_bank0_calloc(7, 11);
    assert_int_equal(mt_g_fake.bytes[MT_ALLOCATOR_CALLOC], 77);
    mt_bank0_free(ptr);
}

static void test_an_overflowing_calloc_fails_in_the_real_one(void **state)
{
    (void)state;
    volatile size_t half = SIZE_MAX / 2;
    assert_null(mt_bank0_calloc(half, 3));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(g_real_calls, 1);
    assert_int_equal(mt_g_fake.allocations[MT_ALLOCATOR_CALLOC], 0);
}

static void test_realloc_moves_the_books(void **state)
{
    (void)state;
    void *ptr = mt_bank0_malloc(10);
    ptr = mt_bank0_realloc(ptr, 100000);
    assert_int_equal(mt_g_fake.live, 1);
    assert_int_equal(mt_g_fake.live_bytes, 100000);
    mt_bank0_free(ptr);
    assert_int_equal(mt_g_fake.live, 0);
    assert_int_equal(mt_g_fake.unknown_frees, 0);
}

static void test_realloc_of_null_is_an_allocation(void **state)
{
    (void)state;
    void *ptr = mt_bank0_realloc(NULL, 42);
    assert_int_equal(mt_g_fake.bytes[MT_ALLOCATOR_REALLOC], 42);
    mt_bank0_free(ptr);
    assert_int_equal(mt_g_fake.unknown_frees, 0);
}

static void test_realloc_to_nothing_is_a_free(void **state)
{
    (void)state;
    void *ptr = mt_bank0_malloc(42);
    assert_null(mt_bank0_realloc(ptr, 0));
    assert_int_equal(mt_g_fake.live, 0);
    assert_int_equal(mt_g_fake.frees, 1);
}

static void test_a_failed_realloc_keeps_the_old_block(void **state)
{
    (void)state;
    void *ptr = mt_bank0_malloc(42);
    g_fail = true;
    assert_null(mt_bank0_realloc(ptr, 100));
    assert_int_equal(mt_g_fake.live, 1);
    mt_bank0_free(ptr);
    assert_int_equal(mt_g_fake.frees, 1);
    assert_int_equal(mt_g_fake.unknown_frees, 0);
}

static void test_reallocarray_counts_once(void **state)
{
    (void)state;
    void *ptr = mt_bank0_reallocarray(NULL, 6, 7);
    assert_int_equal(mt_g_fake.allocations[MT_ALLOCATOR_REALLOC], 1);
    assert_int_equal(mt_g_fake.live_bytes, 42);
    mt_bank0_free(ptr);
}

static void test_an_overflowing_reallocarray_fails_in_the_real_one(void **state)
{
    (void)state;
    volatile size_t half = SIZE_MAX / 2;
    void *ptr = mt_bank0_malloc(1);
    errno = 0;
    assert_null(mt_bank0_reallocarray(ptr, half, 3));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(mt_g_fake.live, 1);
    mt_bank0_free(ptr);
}

static void test_a_failed_posix_memalign_leaves_the_pointer_alone(void **state)
{
    (void)state;
    void *ptr = &g_fail;
    g_fail = true;
    assert_int_equal(mt_bank0_posix_memalign(&ptr, 3, 10), EINVAL);
    assert_ptr_equal(ptr, &g_fail);
    assert_int_equal(mt_g_fake.failed[MT_ALLOCATOR_POSIX_MEMALIGN], 0); /* an alignment that cannot be is no want of memory */
    g_fail = false;
    assert_int_equal(mt_bank0_posix_memalign(&ptr, 64, 10), 0);
    assert_int_equal(mt_g_fake.allocations[MT_ALLOCATOR_POSIX_MEMALIGN], 1);
    mt_bank0_free(ptr);
}

static void test_free_of_null_reaches_the_real_one_and_no_book(void **state)
{
    (void)state;
    mt_bank0_free(NULL);
    assert_int_equal(g_real_calls, 1);
    assert_int_equal(mt_g_fake.unknown_frees, 0);
}

static void test_no_block_begins_under_the_guard(void **state)
{
    (void)state;
    mt_engine_enter();
    void *ptr = mt_bank0_malloc(10);
    ptr = mt_bank0_realloc(ptr, 20);
    mt_bank0_free(ptr);
    mt_engine_leave();
    assert_int_equal(mt_g_fake.allocations[MT_ALLOCATOR_MALLOC], 0);
    assert_int_equal(mt_g_fake.frees, 0);
}

static void test_a_recorded_block_ends_under_any_guard(void **state)
{
    (void)state;
    void *freed = mt_bank0_malloc(10);
    void *moved = mt_bank0_malloc(20);
    void *ending = mt_bank0_malloc(30);
    mt_engine_enter();
    mt_bank0_free(freed);
    moved = mt_bank0_realloc(moved, 2000);
    mt_engine_leave();
    assert_int_equal(mt_g_fake.live, 1);
    mt_engine_free(ending);
    mt_engine_enter_end(ending, 0);
    mt_bank0_free(ending);
    mt_engine_leave_end();
    assert_int_equal(mt_g_fake.frees, 3);
    assert_int_equal(mt_g_fake.unknown_frees, 0);
    mt_engine_enter();
    mt_bank0_free(moved);
    mt_engine_leave();
}

static void test_the_fast_path_takes_the_size_off_the_countdown(void **state)
{
    (void)state;
    fake_engine_start(1000);
    t_mt.left = 1000;
    void *first = mt_bank0_malloc(600);
    assert_int_equal(mt_g_fake.allocations[MT_ALLOCATOR_MALLOC], 0);
    assert_int_equal(t_mt.left, 400);
    void *second = mt_bank0_malloc(400);
    assert_int_equal(mt_g_fake.allocations[MT_ALLOCATOR_MALLOC], 1);
    mt_bank0_free(first);
    mt_bank0_free(second);
}

#define HOOK_TEST(function) cmocka_unit_test_setup_teardown(function, start, stop)
static const struct CMUnitTest tests[] = {
    HOOK_TEST(test_malloc_is_recorded_after_and_free_before_the_real_call),
    HOOK_TEST(test_the_caller_recorded_is_the_caller_of_malloc),
    HOOK_TEST(test_a_failed_malloc_records_nothing_and_keeps_errno),
    HOOK_TEST(test_errno_is_what_the_real_function_left),
    HOOK_TEST(test_malloc_of_nothing_is_a_block),
    HOOK_TEST(test_calloc_counts_the_product),
    HOOK_TEST(test_an_overflowing_calloc_fails_in_the_real_one),
    HOOK_TEST(test_realloc_moves_the_books),
    HOOK_TEST(test_realloc_of_null_is_an_allocation),
    HOOK_TEST(test_realloc_to_nothing_is_a_free),
    HOOK_TEST(test_a_failed_realloc_keeps_the_old_block),
    HOOK_TEST(test_reallocarray_counts_once),
    HOOK_TEST(test_an_overflowing_reallocarray_fails_in_the_real_one),
    HOOK_TEST(test_a_failed_posix_memalign_leaves_the_pointer_alone),
    HOOK_TEST(test_free_of_null_reaches_the_real_one_and_no_book),
    HOOK_TEST(test_no_block_begins_under_the_guard),
    HOOK_TEST(test_a_recorded_block_ends_under_any_guard),
    HOOK_TEST(test_the_fast_path_takes_the_size_off_the_countdown),
};
MT_TEST_MAIN(tests)
