/* Unit tests of heap/hashtab: growth keeps every key, readers beside a writer never see a wrong value. */
#include "harness.h"

#include "base/atomic.h"
#include "base/hash.h"
#include "base/os.h"
#include "heap/hashtab.h"

#include <pthread.h>

static void test_growth_keeps_every_key(void **state)
{
    (void)state;
    struct mt_hashtab t = { .locked = false };
    for (uint32_t i = 1; i <= 100000; i++) {
        assert_true(mt_hashtab_put(&t, mt_hash_u64(i) | 1, i));
    }
    for (uint32_t i = 1; i <= 100000; i++) {
        uint32_t value = 0;
        assert_true(mt_hashtab_get(&t, mt_hash_u64(i) | 1, &value));
        assert_int_equal(value, i);
    }
    uint32_t value = 7;
    assert_false(mt_hashtab_get(&t, mt_hash_u64(100001) | 1, &value));
    assert_int_equal(value, 7);
    mt_hashtab_clear(&t);
    assert_false(mt_hashtab_get(&t, mt_hash_u64(1) | 1, &value));
}

/* 12 bytes a place, load 4/5 before a growth by a quarter; units of 2 MiB where tables are large. */
static void check_memory(bool locked)
{
    enum { COUNT = 1000000, STEP = 10000, BYTES_A_KEY = 19, UNIT_BYTES = 2 * 1024 * 1024 };
    struct mt_hashtab t = { .locked = locked };
    uint64_t before = mt_os_own_resident_bytes();
    for (uint32_t i = 1; i <= COUNT; i++) {
        assert_true(mt_hashtab_put(&t, mt_hash_u64(i) | 1, i));
        if (i % STEP == 0) {
            assert_in_range(mt_os_own_resident_bytes() - before, 12 * (uint64_t)i, BYTES_A_KEY * (uint64_t)i + UNIT_BYTES);
        }
    }
    for (uint32_t i = 1; i <= COUNT; i++) {
        uint32_t value = 0;
        assert_true(mt_hashtab_get(&t, mt_hash_u64(i) | 1, &value));
        assert_int_equal(value, i);
    }
    mt_hashtab_clear(&t);
    assert_true(mt_os_own_resident_bytes() == before);
}

static void test_a_table_takes_at_most_19_bytes_a_key(void **state)
{
    (void)state;
    check_memory(true);
    check_memory(false);
}

/* Keys whose search begins at the last place go on at the first one. */
static void test_keys_beyond_the_end_are_at_the_beginning(void **state)
{
    (void)state;
    struct mt_hashtab t = { .locked = true };
    for (uint32_t i = 1; i <= 3000; i++) {
        assert_true(mt_hashtab_put(&t, UINT64_MAX - i, i));
    }
    for (uint32_t i = 1; i <= 3000; i++) {
        uint32_t value = 0;
        assert_true(mt_hashtab_get(&t, UINT64_MAX - i, &value));
        assert_int_equal(value, i);
    }
    uint32_t value = 7;
    assert_false(mt_hashtab_get(&t, UINT64_MAX, &value));
    assert_int_equal(value, 7);
    mt_hashtab_clear(&t);
}

static struct mt_hashtab g_shared;
static pthread_mutex_t g_owner = PTHREAD_MUTEX_INITIALIZER;

/* As mt_intern_stack does. */
static bool find(uint64_t key, uint32_t *ret_value)
{
    if (mt_hashtab_get(&g_shared, key, ret_value)) {
        return true;
    }
    pthread_mutex_lock(&g_owner);
    bool found = mt_hashtab_get(&g_shared, key, ret_value);
    pthread_mutex_unlock(&g_owner);
    return found;
}

static uint32_t g_written;

static void *read_all(void *argument)
{
    uintptr_t wrong = 0;
    uint32_t seen = 0;
    while (seen < 50000) {
        seen = mt_load_acquire(&g_written);
        for (uint32_t i = seen > 100 ? seen - 100 : 1; i <= seen; i++) {
            uint32_t value = 0;
            wrong += !find(mt_hash_u64(i) | 1, &value) || value != i;
        }
    }
    (void)argument;
    return (void *)wrong;
}

static void test_readers_beside_a_growing_table_find_what_was_put(void **state)
{
    (void)state;
    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, read_all, NULL), 0);
    for (uint32_t i = 1; i <= 50000; i++) {
        pthread_mutex_lock(&g_owner);
        assert_true(mt_hashtab_put(&g_shared, mt_hash_u64(i) | 1, i));
        pthread_mutex_unlock(&g_owner);
        mt_store_release(&g_written, i);
    }
    void *wrong = NULL;
    pthread_join(reader, &wrong);
    assert_null(wrong);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_growth_keeps_every_key),
    cmocka_unit_test(test_a_table_takes_at_most_19_bytes_a_key),
    cmocka_unit_test(test_keys_beyond_the_end_are_at_the_beginning),
    cmocka_unit_test(test_readers_beside_a_growing_table_find_what_was_put),
};
MT_TEST_MAIN(tests)
