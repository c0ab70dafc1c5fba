/* test_live.c: the live blocks of a shard against a plain array that knows the truth. */
#include "making.h"
#include "base/hash.h"
#include "tracker/live.h"

#include <stdlib.h>

enum { ADDRESSES = 5000, OPERATIONS = 400000 };

struct truth {
    bool alive[ADDRESSES];
    uint64_t size[ADDRESSES];
};

static uint64_t g_state;

static uint32_t below(uint32_t bound)
{
    return (uint32_t)(next_random(&g_state) >> 32) % bound;
}

static uint64_t address_of(uint32_t i)
{
    return i % 3 == 0 ? i : i % 3 == 1 ? (uint64_t)i * 64 : ~((uint64_t)i << 40); /* dense, strided, sparse */
}

static void put(struct mt_live_index *live, struct truth *truth, uint32_t i, uint64_t size)
{
    uint64_t hash = mt_hash_u64(address_of(i));
    uint32_t slot = 0;
    assert_null(mt_live_find(live, address_of(i), hash, &slot));
    struct mt_live_block *block = mt_live_insert(live, address_of(i), hash, slot);
    assert_non_null(block);
    block->size = size;
    block->time_ns = size + 1;
    block->kind_stack = mt_live_pack((uint32_t)size % 1024, (uint32_t)size % 100000);
    truth->alive[i] = true;
    truth->size[i] = size;
}

static void check(const struct mt_live_index *live, const struct truth *truth, uint32_t i)
{
    uint32_t slot = 0;
    const struct mt_live_block *block = mt_live_find(live, address_of(i), mt_hash_u64(address_of(i)), &slot);
    assert_int_equal(block != NULL, truth->alive[i]);
    if (block != NULL) {
        assert_int_equal(block->address, address_of(i));
        assert_int_equal(block->size, truth->size[i]);
        assert_int_equal(mt_live_kind(block), truth->size[i] % 1024);
        assert_int_equal(mt_live_stack(block), truth->size[i] % 100000);
    }
}

static void take(struct mt_live_index *live, struct truth *truth, uint32_t i)
{
    uint32_t slot = 0;
    assert_non_null(mt_live_find(live, address_of(i), mt_hash_u64(address_of(i)), &slot));
    mt_live_remove(live, slot);
    truth->alive[i] = false;
}

/* given random inserts and removals, when all addresses are looked up, then exactly the live ones are found */
static void test_live_blocks_are_those_of_the_truth(void **state)
{
    (void)state;
    static struct truth truth;
    struct mt_live_index live;
    g_state = 88172645463325252u;
    print_message("seed %llu\n", (unsigned long long)g_state);
    mt_live_init(&live);
    for (uint32_t step = 0; step < OPERATIONS; step++) {
        uint32_t span = 50 + step / 40 % ADDRESSES; /* the table grows, and lives at every load */
        uint32_t i = below(span < ADDRESSES ? span : ADDRESSES);
        if (truth.alive[i]) {
            check(&live, &truth, i);
            take(&live, &truth, i);
        } else {
            put(&live, &truth, i, below(1u << 31));
        }
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < ADDRESSES; i++) {
        check(&live, &truth, i);
        count += truth.alive[i];
    }
    assert_int_equal(live.count, count);
    mt_live_fini(&live);
}

/* given as many removals as inserts for ever, then neither slots nor records grow */
static void test_a_steady_table_does_not_grow(void **state)
{
    (void)state;
    static struct truth truth;
    struct mt_live_index live;
    mt_live_init(&live);
    for (uint32_t i = 0; i < 300; i++) {
        put(&live, &truth, i, i);
    }
    for (uint32_t round = 0; round < 100000; round++) {
        uint32_t out = round % ADDRESSES;
        uint32_t in = (round + 300) % ADDRESSES;
        take(&live, &truth, out);
        put(&live, &truth, in, round);
    }
    assert_int_equal(live.count, 300);
    assert_int_equal(live.blocks.count, 300);
    assert_int_equal(live.mask, 1023);
    mt_live_fini(&live);
}

/* given a walk over all records, then the used ones are the live ones */
static void test_records_can_be_walked(void **state)
{
    (void)state;
    static struct truth truth;
    struct mt_live_index live;
    uint64_t sum = 0;
    mt_live_init(&live);
    for (uint32_t i = 0; i < 2000; i++) {
        put(&live, &truth, i, i);
    }
    for (uint32_t i = 0; i < 2000; i += 2) {
        take(&live, &truth, i);
    }
    for (uint32_t record = 0; record < live.blocks.count; record++) {
        const struct mt_live_block *block = mt_segvec_at(&live.blocks, record);
        sum += mt_live_is_used(block) ? block->size : 0;
    }
    assert_int_equal(sum, 1000 * 1000);
    mt_live_fini(&live);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_live_blocks_are_those_of_the_truth),
    cmocka_unit_test(test_a_steady_table_does_not_grow),
    cmocka_unit_test(test_records_can_be_walked),
};
MT_TEST_MAIN(tests)
