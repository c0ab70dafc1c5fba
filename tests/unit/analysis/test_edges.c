/* test_edges.c: windows made of cells against windows counted block by block, for every pair of edges of random lives. */
#include "analysis/edges.h"

#include "harness.h"

#include <stdbool.h>
#include <string.h>

enum { EDGES = 9, STEP = 10, BLOCKS = 400, SITES = 3, NEVER = 1000, LAST = EDGES * STEP };

struct block {
    uint32_t site;
    uint64_t born, died, resized; /* resized: when it gained a byte; NEVER: not */
    int64_t bytes;
};

static uint64_t g_times[EDGES];
static struct block g_blocks[BLOCKS];

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Times on the edges, before the first and behind the last among them. */
static void make_blocks(uint64_t seed)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        struct block *b = &g_blocks[i];
        b->site = (uint32_t)(next(&seed) % SITES);
        b->born = next(&seed) % (LAST + STEP);
        b->died = next(&seed) % 4 == 0 ? NEVER : b->born + next(&seed) % (LAST / 2);
        b->resized = next(&seed) % 3 == 0 && b->died > b->born + 1 ? b->born + next(&seed) % (b->died - b->born) : NEVER;
        b->bytes = (int64_t)(1 + next(&seed) % 100);
    }
    for (size_t i = 0; i < EDGES; i++) {
        g_times[i] = (i + 1) * STEP;
    }
}

static void play_moment(struct mt_edges *e, uint64_t now)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        const struct block *b = &g_blocks[i];
        if (b->born == now) {
            mt_edges_change(e, b->site, b->born, now, b->bytes, 1);
        }
        if (b->resized == now) {
            mt_edges_change(e, b->site, b->born, now, 1, 0);
        }
        if (b->died == now) {
            mt_edges_change(e, b->site, b->born, now, -(b->bytes + (b->resized <= now)), -1);
        }
    }
}

static void from_cells(const struct mt_edges *e, uint32_t site, unsigned first, unsigned last, int64_t ret[2])
{
    ret[0] = ret[1] = 0;
    for (size_t i = 0; i < e->cell_count; i++) {
        const struct mt_edge_cell *cell = &e->cells[i];
        if (cell->site == site && cell->born >= first && cell->at <= last) {
            ret[0] += cell->bytes;
            ret[1] += cell->count;
        }
    }
}

/* gone: the process ended at end. */
static void from_blocks(uint32_t site, unsigned first, unsigned last, uint64_t end, int64_t ret[2])
{
    uint64_t start = first == 0 ? 0 : g_times[first - 1] + 1, stop = g_times[last];
    ret[0] = ret[1] = 0;
    for (size_t i = 0; i < BLOCKS && end >= stop; i++) {
        const struct block *b = &g_blocks[i];
        if (b->site == site && b->born >= start && b->born <= stop && b->died > stop) {
            ret[0] += b->bytes + (b->resized <= stop);
            ret[1]++;
        }
    }
}

static void check(uint64_t seed, uint64_t end)
{
    struct mt_edges *e = mt_edges_new(g_times, EDGES);
    make_blocks(seed);
    for (uint64_t now = 0; now <= end; now++) {
        play_moment(e, now);
    }
    mt_edges_end(e, end);
    for (uint32_t site = 0; site < SITES; site++) {
        for (unsigned first = 0; first < EDGES; first++) {
            for (unsigned last = first; last < EDGES; last++) {
                int64_t cells[2], blocks[2];
                from_cells(e, site, first, last, cells);
                from_blocks(site, first, last, end, blocks);
                assert_memory_equal(cells, blocks, sizeof cells);
            }
        }
    }
    mt_edges_free(e);
}

static void test_every_window_is_the_sum_of_its_cells(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        check(seed, LAST + STEP);
    }
}

static void test_what_a_process_held_is_gone_behind_its_end(void **state)
{
    (void)state;
    for (uint64_t end = 0; end <= LAST; end++) {
        check(end, end);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_every_window_is_the_sum_of_its_cells),
    cmocka_unit_test(test_what_a_process_held_is_gone_behind_its_end),
};

MT_TEST_MAIN(tests)
