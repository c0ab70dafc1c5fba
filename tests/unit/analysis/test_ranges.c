/* test_ranges.c: the range table against one owner a cell, with enough pieces to split and drop leaves. */
#include "harness.h"

#include "analysis/ranges.h"
#include "model/builder.h"

enum { CELLS = 20000, MOST = 60000 };

struct world {
    struct mt_ranges ranges;
    int owner[CELLS];      /* mapping number + 1, by construction */
    uint64_t left[MOST];   /* bytes of each mapping that remain */
    uint64_t gone_bytes;   /* reported by the callback of one call */
    uint64_t gone_mappings;
};

static void gone(void *context, const struct mt_mapping *m, uint64_t lost)
{
    struct world *w = context;
    assert_true(m->mapped + lost <= m->bytes);
    w->gone_bytes += lost;
    w->gone_mappings += m->mapped == 0;
    assert_int_equal(m->mapped, w->left[m->site]); /* the test numbers mappings in site; left is already lowered */
}

/* Lowers the naive side first, cell by cell, then compares what the table reports. Whole-range calls may hit a mapping
 * in several pieces, so `left` cannot be compared inside; hence one call a piece of one owner. */
static void unmap(struct world *w, uint64_t from, uint64_t cells)
{
    for (uint64_t at = from; at < from + cells;) {
        uint64_t end = at + 1;
        while (end < from + cells && w->owner[end] == w->owner[at]) {
            end++;
        }
        uint64_t ended = 0, bytes = 0;
        if (w->owner[at] != 0) {
            bytes = end - at;
            w->left[w->owner[at] - 1] -= bytes;
            ended = w->left[w->owner[at] - 1] == 0;
        }
        w->gone_bytes = w->gone_mappings = 0;
        assert_int_equal(mt_ranges_unmap(&w->ranges, at, end - at, gone, w), bytes);
        assert_int_equal(w->gone_bytes, bytes);
        assert_int_equal(w->gone_mappings, ended);
        for (; at < end; at++) {
            w->owner[at] = 0;
        }
    }
}

static void sum(void *context, const struct mt_mapping *m)
{
    uint64_t *total = context;
    *total += m->mapped;
}

static void count_gone(void *context, const struct mt_mapping *m, uint64_t lost)
{
    uint64_t *bytes = context;
    (void)m;
    *bytes += lost;
}

static void test_random_maps_and_unmaps_equal_the_cells(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    struct world *w = calloc(1, sizeof *w);
    uint32_t mappings = 0;
    for (int round = 0; round < MOST; round++) {
        uint64_t r = builder_random(&seed);
        uint64_t from = r % (CELLS - 64), cells = 1 + (r >> 40) % (r >> 60 == 0 ? 60 : 4);
        unmap(w, from, cells);
        if ((r >> 50) % 3 != 0) {
            assert_true(mt_ranges_map(&w->ranges, from, cells, (struct mt_mapping){ .site = mappings }));
            w->left[mappings++] = cells;
            for (uint64_t at = from; at < from + cells; at++) {
                w->owner[at] = (int)mappings;
            }
        }
    }
    uint64_t mapped = 0, want = 0, bytes = 0;
    mt_ranges_each(&w->ranges, sum, &mapped);
    for (size_t i = 0; i < CELLS; i++) {
        want += w->owner[i] != 0;
    }
    assert_true(w->ranges.leaf_count > 20);
    assert_int_equal(mapped, want);
    assert_int_equal(mt_ranges_unmap(&w->ranges, 0, UINT64_MAX, count_gone, &bytes), want);
    assert_int_equal(bytes, want);
    assert_int_equal(w->ranges.leaf_count, 0);
    mt_ranges_fini(&w->ranges);
    free(w);
}

/* The same world, where pieces also have states, and those that are closed change hands. */
struct marked_world {
    struct mt_ranges ranges;
    int owner[CELLS];
    unsigned state[CELLS];
    uint64_t left[MOST];
    uint64_t lost;
};

static bool is_closed(const void *context, const struct mt_mapping *m, unsigned state)
{
    (void)context;
    (void)m;
    return (state & MT_PIECE_CLOSED) != 0;
}

static void lose(void *context, const struct mt_mapping *m, uint64_t lost)
{
    struct marked_world *w = context;
    w->left[m->site] -= lost;
    w->lost += lost;
    assert_int_equal(m->mapped, w->left[m->site]);
}

static void map_marked(struct marked_world *w, uint64_t from, uint64_t cells, uint32_t number)
{
    (void)mt_ranges_unmap(&w->ranges, from, cells, lose, w);
    assert_true(mt_ranges_map(&w->ranges, from, cells, (struct mt_mapping){ .site = number }));
    w->left[number] = cells;
    for (uint64_t at = from; at < from + cells; at++) {
        w->owner[at] = (int)number + 1;
        w->state[at] = 0;
    }
}

static void mark(struct marked_world *w, uint64_t from, uint64_t cells, unsigned clear, unsigned set)
{
    mt_ranges_mark(&w->ranges, from, cells, clear, set);
    for (uint64_t at = from; at < from + cells; at++) {
        w->state[at] = w->owner[at] == 0 ? 0 : (w->state[at] & ~clear) | set;
    }
}

/* Returns whether a mapping of that number was made. */
static bool give_closed(struct marked_world *w, uint64_t from, uint64_t cells, uint32_t number)
{
    static const struct mt_piece_choice closed = { is_closed, NULL };
    uint64_t want = 0;
    for (uint64_t at = from; at < from + cells; at++) {
        if ((w->state[at] & MT_PIECE_CLOSED) != 0) {
            w->owner[at] = (int)number + 1;
            want++;
        }
    }
    assert_int_equal(mt_ranges_chosen(&w->ranges, from, cells, closed), want);
    w->left[number] = want;
    w->lost = 0;
    mt_ranges_give(&w->ranges, from, cells, closed, (struct mt_mapping){ .site = number }, lose, w);
    assert_int_equal(w->lost, want);
    return want > 0;
}

static void check_left(void *context, const struct mt_mapping *m)
{
    struct marked_world *w = context;
    assert_int_equal(m->mapped, w->left[m->site]);
}

static void test_random_parts_change_hands_as_the_cells_do(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    struct marked_world *w = calloc(1, sizeof *w);
    uint32_t number = 0;
    for (int round = 0; round < MOST; round++) {
        uint64_t r = builder_random(&seed);
        uint64_t from = r % (CELLS - 64), cells = 1 + (r >> 40) % (r >> 60 == 0 ? 60 : 6);
        switch ((r >> 50) % 4) {
        case 0:
            map_marked(w, from, cells, number++);
            break;
        case 1:
            mark(w, from, cells, MT_PIECE_BOTH, 0);
            break;
        case 2:
            mark(w, from, cells, 0, 1u << (r >> 58) % 2);
            break;
        default:
            number += give_closed(w, from, cells, number);
            break;
        }
    }
    mt_ranges_each(&w->ranges, check_left, w);
    uint64_t want = 0, bytes = 0;
    for (size_t i = 0; i < CELLS; i++) {
        want += w->owner[i] != 0;
    }
    assert_int_equal(mt_ranges_unmap(&w->ranges, 0, UINT64_MAX, count_gone, &bytes), want);
    mt_ranges_fini(&w->ranges);
    free(w);
}

static void test_a_hole_in_the_middle_leaves_two_pieces_of_one_mapping(void **state)
{
    (void)state;
    struct mt_ranges r = { 0 };
    uint64_t bytes = 0;
    assert_true(mt_ranges_map(&r, 1000, 100, (struct mt_mapping){ .site = 7 }));
    assert_int_equal(mt_ranges_unmap(&r, 1040, 20, count_gone, &bytes), 20);
    assert_int_equal(mt_ranges_unmap(&r, 1040, 20, count_gone, &bytes), 0);
    assert_int_equal(mt_ranges_unmap(&r, 0, 1040, count_gone, &bytes), 40);
    assert_int_equal(r.mappings[0].mapped, 40);
    assert_int_equal(mt_ranges_unmap(&r, 1099, 1, count_gone, &bytes), 1);
    assert_int_equal(mt_ranges_unmap(&r, 0, 5000, count_gone, &bytes), 39);
    assert_int_equal(bytes, 100);
    mt_ranges_fini(&r);
}

static void test_the_ends_of_the_address_space(void **state)
{
    (void)state;
    struct mt_ranges r = { 0 };
    uint64_t bytes = 0;
    assert_false(mt_ranges_map(&r, 5, 0, (struct mt_mapping){ 0 }));
    assert_false(mt_ranges_map(&r, UINT64_MAX - 5, 100, (struct mt_mapping){ 0 }));
    assert_true(mt_ranges_map(&r, UINT64_MAX - 100, 100, (struct mt_mapping){ 0 }));
    assert_int_equal(mt_ranges_unmap(&r, UINT64_MAX - 50, UINT64_MAX, count_gone, &bytes), 50);
    assert_int_equal(mt_ranges_unmap(&r, 0, 0, count_gone, &bytes), 0);
    mt_ranges_fini(&r);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_random_maps_and_unmaps_equal_the_cells),
    cmocka_unit_test(test_random_parts_change_hands_as_the_cells_do),
    cmocka_unit_test(test_a_hole_in_the_middle_leaves_two_pieces_of_one_mapping),
    cmocka_unit_test(test_the_ends_of_the_address_space),
};
MT_TEST_MAIN(tests)
