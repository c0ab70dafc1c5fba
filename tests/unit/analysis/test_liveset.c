/* test_liveset.c: the live table against a flag an address, with colliding homes and many deletions. */
#include "harness.h"

#include "analysis/liveset.h"
#include "model/builder.h"

enum { ADDRESSES = 5000, STEPS = 400000 };

static void check_all(const struct mt_liveset *t, const uint64_t *size, const uint64_t *addr)
{
    size_t alive = 0;
    for (size_t i = 0; i < ADDRESSES; i++) {
        const struct mt_live *entry = mt_liveset_find(t, addr[i]);
        assert_int_equal(entry != NULL, size[i] != 0);
        assert_true(entry == NULL || (entry->addr == addr[i] && entry->size == size[i]));
        alive += size[i] != 0;
    }
    assert_int_equal(t->count, alive);
}

static void test_random_changes_equal_the_flags(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    uint64_t *size = calloc(ADDRESSES, sizeof *size), *addr = calloc(ADDRESSES, sizeof *addr);
    struct mt_liveset t;
    mt_liveset_init(&t);
    for (size_t i = 0; i < ADDRESSES; i++) { /* half consecutive, half anywhere */
        addr[i] = i % 2 ? 0x555500000000 + 16 * i : builder_random(&seed) | 1;
    }
    for (int step = 0; step < STEPS; step++) {
        uint64_t r = builder_random(&seed);
        size_t i = r % ADDRESSES;
        bool filling = step / 20000 % 2 == 0; /* waves: up to nearly all, down to nearly none */
        if (size[i] == 0 && (filling || r >> 60 == 0)) {
            struct mt_live *entry = mt_liveset_place(&t, addr[i]);
            assert_int_equal(entry->addr, 0);
            size[i] = r | 1;
            *entry = (struct mt_live){ .addr = addr[i], .size = size[i] };
        } else if (size[i] != 0 && (!filling || r >> 60 == 0)) {
            mt_liveset_remove(&t, mt_liveset_find(&t, addr[i]));
            size[i] = 0;
        } else if (size[i] != 0) {
            assert_int_equal(mt_liveset_place(&t, addr[i])->size, size[i]);
        }
        if (step % 20000 == 19999) {
            check_all(&t, size, addr);
        }
    }
    mt_liveset_fini(&t);
    free(size);
    free(addr);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_random_changes_equal_the_flags),
};
MT_TEST_MAIN(tests)
