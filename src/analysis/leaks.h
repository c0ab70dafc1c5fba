/* leaks.h: what is alive at the end, ranked by how much it looks like a leak.
 *
 * Decides: the score of a row: 1 - (frees + 1) / (allocations + 2), Laplace's rule of succession for "the next one will not
 * be freed either"; a realloc is no free. And which rows are suspects (docs/decisions/0052): of what is not an import at least a
 * twentieth; many blocks, or few that were made larger again and again; hardly one freed; and held on average since its first
 * allocation less than four fifths of what is alive at the end, so that most of it came over time and what is filled once does not count. What a row is, the grouping says: a place over all processes, or a stack as it is shown. Growth is the
 * least-squares slope of live bytes over the run. Sorted by bytes, largest first; rows add up to what is alive.
 * Context: [tool], pure.
 */
#ifndef MT_ANALYSIS_LEAKS_H
#define MT_ANALYSIS_LEAKS_H

#include "analysis/analysis.h"
#include "analysis/grouping.h"
#include "analysis/rowstacks.h"

/* So many reallocs are growth of a block, not a change of mind. */
enum { MT_LEAK_STEPS = 16 };

struct mt_leak {
    uint32_t trace_idx; /* with stack: the heaviest stack of the row */
    uint32_t stack;
    uint32_t stream;    /* by thread: the thread (of trace_idx) */
    uint32_t label;     /* by label and task: of one of its stacks */
    uint8_t allocator;  /* by type: enum mt_allocator */
    bool import;        /* the row is an import */
    uint32_t group;     /* its number in the grouping; 0 where each stack is a row */
    uint32_t frame;     /* that stands for the row; UINT32_MAX where each stack is a row */
    const char *name;   /* of a module, or of what allocated; owned by the list; else NULL */
    struct mt_row_stacks stacks;
    struct mt_amount live;
    struct mt_amount total;
    bool timed;                /* age and growth are known: not those of an aggregate trace */
    double age_s;              /* of the oldest one alive, at the end of its process */
    uint64_t oldest_ns;        /* when the oldest one was allocated, on the run's axis; UINT64_MAX: not known */
    double score;              /* 0 … 1 */
    double growth_bytes_per_s;
    uint64_t freed;            /* allocations that ended and did not go on by a realloc */
    uint64_t moved;            /* that went on by a realloc, at whatever line */
    bool suspect;              /* exact traces */
};

struct mt_leaks {
    struct mt_leak *rows;
    size_t count;
    struct mt_amount sum; /* live */
    struct mt_rowstacks stacks;
    char *text; /* private: names */
};

/* grouping: what is a row; NULL: each stack of each process. Each process's ages are as of its end. min_age_s: rows whose oldest allocation is younger are left
 * out; 0: all. thread_tid: 0 all. */
mt_status mt_leaks_make(const struct mt_trace_set *set, const struct mt_analysis *analysis, struct mt_grouping *grouping,
                        double min_age_s, uint64_t thread_tid, struct mt_leaks *ret) MT_CHECKED;
void mt_leaks_fini(struct mt_leaks *leaks);

#endif
