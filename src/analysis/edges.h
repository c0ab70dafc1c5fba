/* edges.h: what the heap held between any two of a few hundred moments, from one pass. Private to analysis/, but for the cells.
 *
 * Decides: the edges cut the run into intervals, each with its end and without its beginning: interval i is up to edge i, 0 with
 * everything before. A cell says how much the blocks of a site that were born in one interval changed in another one: grew (born then,
 * or bigger) or shrank (freed, or smaller). So what was allocated from interval a on and is alive at edge b is the sum of the cells
 * that were born in a or later and changed up to b, to the unit (MT_MEASURE_WINDOW of the same times). Blocks that begin and end in
 * one interval leave nothing. Heap only. Context: [tool].
 */
#ifndef MT_ANALYSIS_EDGES_H
#define MT_ANALYSIS_EDGES_H

#include "base/compiler.h"
#include "model/index.h"

#include <stddef.h>
#include <stdint.h>

enum { MT_EDGES_MAX = 4096 };

/* Amounts are in units of 2^-scale_bits (pass.h). */
struct mt_edge_cell {
    uint32_t site;
    uint16_t born, at; /* intervals; those behind the last edge are not kept */
    int64_t bytes, count;
    double bytes_variance; /* of sampled blocks; not in units */
};

/* What blocks of a site that were born in the present interval of the site changed in it. */
struct mt_edges_open {
    uint32_t interval;
    int64_t bytes, count;
    double bytes_variance;
};

struct mt_edges {
    const uint64_t *times_ns; /* ascending; borrowed */
    size_t count;
    uint32_t now; /* the interval of now_ns */
    struct mt_edges_open *open; /* of each site */
    size_t open_count;
    struct mt_edge_cell *cells;
    size_t cell_count, cell_capacity;
    struct mt_index index; /* of cells that changed behind the interval they were born in */
};

struct mt_edges *mt_edges_new(const uint64_t *times_ns, size_t count);
void mt_edges_free(struct mt_edges *e); /* NULL is fine */
/* Blocks of a site that were born at born_ns changed by so many units at now_ns, which never goes back. */
void mt_edges_change(struct mt_edges *e, uint32_t site, uint64_t born_ns, uint64_t now_ns, int64_t bytes, int64_t count);
/* The same change of the variance, right behind that of the units. */
void mt_edges_vary(struct mt_edges *e, uint32_t site, uint64_t born_ns, double bytes_variance);
/* The process is gone after end_ns: what it held then is gone at later edges. After this, nothing changes. */
void mt_edges_end(struct mt_edges *e, uint64_t end_ns);

#endif
