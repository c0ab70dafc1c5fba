/* Unit tests of the account of torch's CPU allocator: it is the sum of what was given out and not taken back, whatever else comes
 * back; and it is told only while nothing was missed. */
#include "heap/tensors.h"

#include "base/atomic.h"
#include "harness.h"
#include "heap/engine.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t bytes_now(void)
{
    uint64_t bytes, most;
    assert_true(mt_tensors_read(&bytes, &most));
    assert_true(most >= bytes);
    return bytes;
}

static void made(uint64_t address, uint64_t bytes)
{
    mt_engine_tensor_made((const void *)address, bytes);
}

static void gone(uint64_t address)
{
    mt_engine_tensor_gone((const void *)address);
}

static int begin(void **state)
{
    (void)state;
    mt_tensors_count(true);
    return 0;
}

static int end(void **state)
{
    (void)state;
    mt_tensors_count(false);
    return 0;
}

static void test_blocks_count_until_they_are_taken_back(void **state)
{
    (void)state;
    assert_int_equal(bytes_now(), 0);
    made(0x1000, 100);
    made(0x2000, 20);
    gone(0x1000);
    gone(0x1000);
    gone(0x5000); /* given out before */
    assert_int_equal(bytes_now(), 20);
    uint64_t bytes, most;
    assert_true(mt_tensors_read(&bytes, &most));
    assert_int_equal(most, 120);
    made(0, 7);
    gone(0);
    made(0x2000, 30); /* its end was not seen */
    assert_int_equal(bytes_now(), 30);
}

static void test_a_random_account_agrees_with_a_plain_one(void **state)
{
    (void)state;
    enum { BLOCKS = 20000, TURNS = 400000 };
    static uint32_t size[BLOCKS];
    uint64_t seed = 12345, sum = 0;
    for (int i = 0; i < TURNS; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t block = (seed >> 33) % BLOCKS;
        uint64_t address = 0x7f0000000040u + block * 64;
        if (size[block] == 0) {
            size[block] = 1 + (uint32_t)(seed >> 50);
            made(address, size[block]);
            sum += size[block];
        } else {
            gone(address);
            sum -= size[block];
            size[block] = 0;
        }
        if (i % 1000 == 0) {
            assert_int_equal(bytes_now(), sum);
        }
    }
    assert_int_equal(bytes_now(), sum);
}

static void test_nothing_is_told_that_was_not_counted(void **state)
{
    (void)state;
    uint64_t bytes, most;
    made(0x1000, 100);
    mt_tensors_forget();
    assert_int_equal(bytes_now(), 0);
    made(0x1000, 100);
    mt_tensors_count(true); /* on while on */
    assert_int_equal(bytes_now(), 100);
    mt_tensors_count(false);
    assert_false(mt_tensors_read(&bytes, &most));
    assert_false(mt_engine_counts_tensors());
    mt_tensors_count(true);
    assert_int_equal(bytes_now(), 0);
}

static void *make_and_forget(void *ended)
{
    while (!mt_load_acquire((bool *)ended)) {
        for (uint64_t i = 1; i <= 3000; i++) { /* the table grows on the way */
            made(i * 64, 1);
        }
        mt_tensors_forget();
    }
    return NULL;
}

static void use_in_child(void)
{
    uint64_t bytes, most;
    mt_tensors_after_fork();
    gone(64);
    made(64, 1);
    (void)mt_tensors_read(&bytes, &most);
    mt_tensors_forget();
    made(64, 1);
    _exit(mt_tensors_read(&bytes, &most) && bytes == 1 ? 0 : 1);
}

static void test_a_fork_at_any_moment_leaves_a_table_that_can_be_used(void **state)
{
    (void)state;
    enum { FORKS = 200 };
    bool ended = false;
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, make_and_forget, &ended), 0);
    int bad = 0;
    for (int i = 0; i < FORKS; i++) {
        int status = -1;
        pid_t child = fork();
        if (child == 0) {
            use_in_child();
        }
        bad += child < 0 || waitpid(child, &status, 0) != child || status != 0;
    }
    mt_store_release(&ended, true);
    pthread_join(other, NULL);
    assert_int_equal(bad, 0);
}

#define TENSOR_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

static const struct CMUnitTest tests[] = {
    TENSOR_TEST(test_blocks_count_until_they_are_taken_back),
    TENSOR_TEST(test_a_random_account_agrees_with_a_plain_one),
    TENSOR_TEST(test_nothing_is_told_that_was_not_counted),
    TENSOR_TEST(test_a_fork_at_any_moment_leaves_a_table_that_can_be_used),
};
MT_TEST_MAIN(tests)
