/* leaks.h: what is alive at the end, ranked by how much it looks like a leak.
 *
 * Decides: the score of a place: 1 - (frees + 1) / (allocations + 2), Laplace's rule of succession for "the next one
 * will not be freed either". Sites of one stack are one row, and so are stacks that differ only in frames which are not
 * shown (what of CPython allocated a string is of no use to who reads a Python stack, and limits count by row). Growth is the least-squares slope of live bytes over the
 * run. Sorted by bytes, largest first. Context: [tool], pure.
 */
#ifndef MT_ANALYSIS_LEAKS_H
#define MT_ANALYSIS_LEAKS_H

#include "analysis/analysis.h"
#include "model/frames.h"

struct mt_leak {
    uint32_t trace_idx;
    uint32_t stack;
    struct mt_amount live;
    struct mt_amount total;
    bool timed;                /* age and growth are known: not those of an aggregate trace */
    double age_s;              /* of the oldest one alive, at the end of its process */
    double score;              /* 0 … 1 */
    double growth_bytes_per_s;
};

struct mt_leaks {
    struct mt_leak *rows;
    size_t count;
    struct mt_amount sum; /* live */
};

/* frames: what is shown of stacks; NULL: each stack is a row. min_age_s: rows whose oldest allocation is younger are left
 * out; 0: all. thread_tid: 0 all. */
mt_status mt_leaks_make(const struct mt_trace_set *set, const struct mt_analysis *analysis, struct mt_frames *frames,
                        double min_age_s, uint64_t thread_tid, struct mt_leaks *ret) MT_CHECKED;
void mt_leaks_fini(struct mt_leaks *leaks);

#endif
