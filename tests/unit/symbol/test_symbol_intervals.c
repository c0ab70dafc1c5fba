/* Segments against the definition: for each address the interval that starts last, of those the highest rank, then the
 * shortest, then the highest value. Small random sets, all addresses. */
#include "harness.h"

#include "symbol/intervals.h"

#include <stdbool.h>

enum { SPACE = 64, SETS = 3000, INTERVALS_MAX = 24 };

static uint64_t g_state;

static uint32_t draw(uint32_t below)
{
    g_state = g_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(g_state >> 33) % below;
}

static bool owns_before(const struct mt_interval *a, const struct mt_interval *b)
{
    if (a->low != b->low) {
        return a->low > b->low;
    }
    if (a->rank != b->rank) {
        return a->rank > b->rank;
    }
    return a->high != b->high ? a->high < b->high : a->value > b->value;
}

static uint32_t by_definition(const struct mt_intervals *list, uint64_t address)
{
    const struct mt_interval *owner = NULL;
    for (size_t i = 0; i < list->count; i++) {
        const struct mt_interval *item = &list->items[i];
        if (address >= item->low && address < item->high && (owner == NULL || owns_before(item, owner))) {
            owner = item;
        }
    }
    return owner != NULL ? owner->value : MT_SEGMENT_NONE;
}

static void test_every_address_has_the_owner_the_definition_names(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SETS; seed++) {
        struct mt_intervals list = {0};
        struct mt_segments segments;
        g_state = seed;
        uint32_t count = 1 + draw(INTERVALS_MAX);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t low = draw(SPACE), high = draw(4) == 0 ? draw(SPACE) : low + draw(SPACE / 4);
            struct mt_interval item = {.low = low, .high = high, .value = i, .rank = draw(3)};
            assert_int_equal(mt_intervals_add(&list, item), MT_OK);
        }
        assert_int_equal(mt_segments_build(&list, &segments), MT_OK);
        for (uint64_t address = 0; address < 2 * SPACE; address++) {
            if (mt_segments_find(&segments, address) != by_definition(&list, address)) {
                print_error("seed %llu address %llu\n", (unsigned long long)seed, (unsigned long long)address);
            }
            assert_int_equal(mt_segments_find(&segments, address), by_definition(&list, address));
        }
        mt_segments_fini(&segments);
        mt_intervals_fini(&list);
    }
}

static void test_empty_list_knows_nothing(void **state)
{
    (void)state;
    struct mt_intervals list = {0};
    struct mt_segments segments;
    assert_int_equal(mt_segments_build(&list, &segments), MT_OK);
    assert_int_equal(mt_segments_find(&segments, 0), MT_SEGMENT_NONE);
    assert_int_equal(mt_segments_find(&segments, UINT64_MAX), MT_SEGMENT_NONE);
    mt_segments_fini(&segments);
}

static void test_last_address_of_the_space_is_covered(void **state)
{
    (void)state;
    struct mt_intervals list = {0};
    struct mt_segments segments;
    assert_int_equal(mt_intervals_add(&list, (struct mt_interval){.low = 5, .high = UINT64_MAX, .value = 7}), MT_OK);
    assert_int_equal(mt_segments_build(&list, &segments), MT_OK);
    assert_int_equal(mt_segments_find(&segments, UINT64_MAX - 1), 7);
    assert_int_equal(mt_segments_find(&segments, UINT64_MAX), MT_SEGMENT_NONE);
    assert_int_equal(mt_segments_find(&segments, 4), MT_SEGMENT_NONE);
    mt_segments_fini(&segments);
    mt_intervals_fini(&list);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_every_address_has_the_owner_the_definition_names),
    cmocka_unit_test(test_empty_list_knows_nothing),
    cmocka_unit_test(test_last_address_of_the_space_is_covered),
};

MT_TEST_MAIN(tests)
