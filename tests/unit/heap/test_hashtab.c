/* Unit tests of heap/hashtab: growth keeps every key, readers beside a writer never see a wrong value. */
#include "harness.h"

#include "base/atomic.h"
#include "base/hash.h"
#include "heap/hashtab.h"

#include <pthread.h>

static void test_growth_keeps_every_key(void **state)
{
    (void)state;
    struct mt_hashtab t = { NULL, 0 };
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

static struct mt_hashtab g_shared;
static uint32_t g_written;

static void *read_all(void *argument)
{
    uintptr_t wrong = 0;
    uint32_t seen = 0;
    while (seen < 50000) {
        seen = mt_load_acquire(&g_written);
        for (uint32_t i = seen > 100 ? seen - 100 : 1; i <= seen; i++) {
            uint32_t value = 0;
            wrong += !mt_hashtab_get(&g_shared, mt_hash_u64(i) | 1, &value) || value != i;
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
        assert_true(mt_hashtab_put(&g_shared, mt_hash_u64(i) | 1, i));
        mt_store_release(&g_written, i);
    }
    void *wrong = NULL;
    pthread_join(reader, &wrong);
    assert_null(wrong);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_growth_keeps_every_key),
    cmocka_unit_test(test_readers_beside_a_growing_table_find_what_was_put),
};
MT_TEST_MAIN(tests)
