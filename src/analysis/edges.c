/* edges.c: see edges.h. Nearly all changes are of blocks that are born and end in one interval: those are added up in one place a site,
 * without a search. Context: [tool]. */
#include "analysis/edges.h"

#include "base/hash.h"
#include "util/memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct mt_edges *mt_edges_new(const uint64_t *times_ns, size_t count)
{
    struct mt_edges *e = mt_alloc_zero(1, sizeof *e);
    e->times_ns = times_ns;
    e->count = count;
    return e;
}

void mt_edges_free(struct mt_edges *e)
{
    if (e != NULL) {
        mt_index_fini(&e->index);
        free(e->open);
        free(e->cells);
        free(e);
    }
}

/* The interval of a time: how many edges lie before it. */
static uint32_t interval_of(const struct mt_edges *e, uint64_t time_ns)
{
    size_t low = 0, high = e->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (e->times_ns[middle] < time_ns) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return (uint32_t)low;
}

static void add_cell(struct mt_edges *e, struct mt_edge_cell cell)
{
    e->cells = mt_alloc_grow(e->cells, &e->cell_capacity, e->cell_count + 1, sizeof *e->cells);
    e->cells[e->cell_count++] = cell;
}

static void close_open(struct mt_edges *e, uint32_t site)
{
    struct mt_edges_open *open = &e->open[site];
    if (open->bytes != 0 || open->count != 0) {
        uint16_t interval = (uint16_t)open->interval;
        add_cell(e, (struct mt_edge_cell){ site, interval, interval, open->bytes, open->count, open->bytes_variance });
    }
    *open = (struct mt_edges_open){ .interval = e->now };
}

static struct mt_edges_open *open_of(struct mt_edges *e, uint32_t site)
{
    if (site >= e->open_count) {
        size_t before = e->open_count;
        e->open = mt_alloc_grow(e->open, &e->open_count, (size_t)site + 1, sizeof *e->open);
        memset(e->open + before, 0, (e->open_count - before) * sizeof *e->open);
    }
    if (e->open[site].interval != e->now) {
        close_open(e, site);
    }
    return &e->open[site];
}

static uint64_t cell_hash(const struct mt_edge_cell *cell)
{
    return mt_hash_pair(cell->site, (uint32_t)cell->born << 16 | cell->at);
}

static struct mt_edge_cell *later_cell(struct mt_edges *e, struct mt_edge_cell key)
{
    uint64_t hash = cell_hash(&key);
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&e->index, hash, &probe)) != MT_INDEX_NONE) {
        const struct mt_edge_cell *cell = &e->cells[at];
        if (cell->site == key.site && cell->born == key.born && cell->at == key.at) {
            return &e->cells[at];
        }
    }
    add_cell(e, key);
    mt_index_add(&e->index, hash, (uint32_t)e->cell_count - 1);
    return &e->cells[e->cell_count - 1];
}

static bool is_born_now(const struct mt_edges *e, uint64_t born_ns)
{
    return e->now == 0 || born_ns > e->times_ns[e->now - 1];
}

static struct mt_edge_cell key_of(const struct mt_edges *e, uint32_t site, uint64_t born_ns)
{
    return (struct mt_edge_cell){ .site = site, .born = (uint16_t)interval_of(e, born_ns), .at = (uint16_t)e->now };
}

void mt_edges_change(struct mt_edges *e, uint32_t site, uint64_t born_ns, uint64_t now_ns, int64_t bytes, int64_t count)
{
    while (e->now < e->count && e->times_ns[e->now] < now_ns) {
        e->now++;
    }
    if (e->now == e->count) {
        return;
    }
    if (is_born_now(e, born_ns)) {
        struct mt_edges_open *open = open_of(e, site);
        open->bytes += bytes;
        open->count += count;
        return;
    }
    struct mt_edge_cell *cell = later_cell(e, key_of(e, site, born_ns));
    cell->bytes += bytes;
    cell->count += count;
}

void mt_edges_vary(struct mt_edges *e, uint32_t site, uint64_t born_ns, double bytes_variance)
{
    if (e->now == e->count) {
        return;
    }
    if (is_born_now(e, born_ns)) {
        open_of(e, site)->bytes_variance += bytes_variance;
    } else {
        later_cell(e, key_of(e, site, born_ns))->bytes_variance += bytes_variance;
    }
}

static int compare_cells(const void *a, const void *b)
{
    const struct mt_edge_cell *x = a, *y = b;
    if (x->site != y->site) {
        return x->site < y->site ? -1 : 1;
    }
    if (x->born != y->born) {
        return x->born < y->born ? -1 : 1;
    }
    return (x->at > y->at) - (x->at < y->at);
}

/* Takes away what is left of the cells from first on, all of one site and one birth. */
static void take_away(struct mt_edges *e, size_t first, size_t end, uint16_t at)
{
    struct mt_edge_cell left = { .site = e->cells[first].site, .born = e->cells[first].born, .at = at };
    for (size_t i = first; i < end; i++) {
        left.bytes -= e->cells[i].bytes;
        left.count -= e->cells[i].count;
        left.bytes_variance -= e->cells[i].bytes_variance;
    }
    if (left.bytes != 0 || left.count != 0) {
        add_cell(e, left);
    }
}

static void let_go(struct mt_edges *e, uint16_t at)
{
    size_t count = e->cell_count; /* more are added behind them */
    for (size_t first = 0, end; first < count; first = end) {
        end = first + 1;
        while (end < count && e->cells[end].site == e->cells[first].site && e->cells[end].born == e->cells[first].born) {
            end++;
        }
        take_away(e, first, end, at);
    }
}

void mt_edges_end(struct mt_edges *e, uint64_t end_ns)
{
    for (size_t i = 0; i < e->open_count; i++) {
        close_open(e, (uint32_t)i);
    }
    if (e->cell_count > 1) {
        qsort(e->cells, e->cell_count, sizeof *e->cells, compare_cells);
    }
    uint32_t gone = interval_of(e, end_ns + 1);
    if (gone < e->count) {
        let_go(e, (uint16_t)gone);
        qsort(e->cells, e->cell_count, sizeof *e->cells, compare_cells);
    }
}
