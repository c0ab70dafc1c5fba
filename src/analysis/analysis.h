/* analysis.h: one pass over a trace that answers every question about amounts.
 *
 * Decides: what is counted as what. A site is (stack, thread, label, allocator); every site gets five measures at once: what
 * it holds at the peak, alive when its program ended (model/moment.h), in total, temporarily, and in a window. Peak by lazy rebase: the number of
 * the current peak goes up on the first decrease after a new maximum; a site that changes remembers its amount under
 * the number it was last changed at, so a pass needs no copy of the world and no second pass (analysis/pass.h).
 *
 * Several traces are the processes of one run, on one axis of time (model/axis.h): the peak is the largest sum at one
 * moment (analysis/merge.h), and a process holds nothing before its start and after its end.
 *
 * What "heap" means (peak_bytes, leaked_bytes, totals): the malloc family, Python allocator domains, anonymous mmap and
 * brk made by the program. Not counted, but kept as sites of another storage: file-backed maps (page cache, shared),
 * thread stacks (reserved, not used), interpreter arenas when their objects are recorded one by one, what the
 * program's malloc maps for itself, and reservations. What mprotect or a fixed map makes usable of a reservation is heap,
 * allocated there and then; made unusable again and given back, it is reserved.
 * An allocation of zero bytes counts as an allocation of 0 bytes.
 *
 * Sample mode: amounts are Horvitz-Thompson estimates (analysis/estimate.h) with their variance; exact traces have
 * variance 0. Context: [tool]; no globals, no I/O except reading the trace through a cursor.
 */
#ifndef MT_ANALYSIS_ANALYSIS_H
#define MT_ANALYSIS_ANALYSIS_H

#include "analysis/edges.h"
#include "base/status.h"
#include "model/axis.h"
#include "model/cursor.h"
#include "model/moment.h"
#include "model/own_stacks.h"
#include "model/run_marks.h"
#include "model/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mt_measure {
    MT_MEASURE_PEAK,      /* alive when all processes together held most (first time, if equal) */
    MT_MEASURE_LIVE,      /* alive at a moment of its process (options' live_at): leaks; with stop_ns: alive at that time */
    MT_MEASURE_TOTAL,     /* everything ever allocated up to the end */
    MT_MEASURE_TEMPORARY, /* freed after at most temporary_max further allocations of the allocating thread */
    MT_MEASURE_WINDOW,    /* allocated in the window and alive, as LIVE */
    MT_MEASURE__COUNT
};

enum mt_storage {
    MT_STORAGE_HEAP,   /* counted in the heap */
    MT_STORAGE_FILE,   /* file-backed map */
    MT_STORAGE_STACK,  /* thread stack */
    MT_STORAGE_ARENA,  /* what an allocator maps for blocks that are recorded: an interpreter's, or malloc's own */
    MT_STORAGE_RESERVED, /* address space that is kept and cannot be used yet, or no more */
    MT_STORAGE__COUNT
};
const char *mt_storage_name(enum mt_storage storage);

/* An amount; variances are 0 for exact values. ci95 half width: mt_estimate_ci95 (estimate.h). */
struct mt_amount {
    uint64_t bytes;
    uint64_t count;
    double bytes_variance;
    double count_variance;
};

/* What one place did. */
struct mt_site {
    uint32_t trace_idx; /* in the set */
    uint32_t stack;     /* stack number of that trace */
    uint32_t stream;    /* thread; 0 in aggregate traces */
    uint32_t label;     /* mt_trace_label(); 0 none */
    uint8_t allocator;  /* enum mt_allocator; maps: MMAP or SBRK */
    uint8_t storage;    /* enum mt_storage */
    bool own;           /* of own_stacks, told apart where stacks are not */
    struct mt_amount amount[MT_MEASURE__COUNT];
    uint64_t oldest_ns; /* time of the oldest allocation of LIVE; UINT64_MAX none, or not known (aggregate) */
    double growth_bytes_per_s; /* least-squares slope of live bytes over the whole run; 0 in aggregate traces */
    double lifetime_s;  /* mean lifetime of its allocations, alive ones up to the end; by count */
    uint64_t moved_count; /* allocations that ended because a realloc made another of them; exact traces */
    uint64_t first_ns;    /* time of its first allocation; UINT64_MAX: not known (aggregate, old summaries) */
    double held_byte_s;   /* integral of its live bytes from first_ns to the moment of LIVE */
};

enum { MT_HISTOGRAM_BUCKETS = 65 };
/* size_histogram[0]: size 0; [b]: 2^(b-1) <= size < 2^b. Heap storage only. */

struct mt_thread_totals {
    uint32_t trace_idx;
    uint32_t stream;
    struct mt_amount amount[MT_MEASURE__COUNT]; /* heap storage */
    uint64_t deallocations; /* records, made by this thread */
};

struct mt_timeline_point {
    uint64_t time_ns;        /* end of the interval */
    uint64_t heap_bytes;     /* at the end of it */
    uint64_t heap_max_bytes; /* largest inside it */
    uint64_t allocations;    /* alive at the end of it */
};

/* Everything about the whole, all processes together. */
struct mt_totals {
    struct mt_amount heap[MT_MEASURE__COUNT];
    struct mt_amount storage[MT_STORAGE__COUNT][MT_MEASURE__COUNT]; /* by storage; [HEAP] equals heap */
    struct mt_amount allocator[MT_ALLOCATOR__COUNT][MT_MEASURE__COUNT]; /* heap storage by allocator */
    struct mt_amount size_histogram[MT_HISTOGRAM_BUCKETS]; /* totals */
    uint64_t lifetime_histogram[MT_HISTOGRAM_BUCKETS]; /* freed (sampled) ones by lifetime: [b] 2^(b-1) <= ns < 2^b */
    uint64_t deallocations;       /* ends of heap allocations (estimated number in sample mode) */
    uint64_t unknown_frees;       /* frees of addresses not known to be allocated (allocated before the recording) */
    uint64_t double_allocations;  /* an address allocated while alive: the older one is taken as freed */
    uint64_t events;              /* events read */
    uint64_t peak_time_ns;
    uint64_t duration_ns;         /* of the run, from the first start to the last end, or to the time asked for */
    struct mt_cursor_losses losses;
};

struct mt_analysis_options {
    uint64_t stop_ns;         /* end here (inclusive), on the run's axis; UINT64_MAX: the end of each process */
    enum mt_moment live_at;   /* of each process, for LIVE and WINDOW; with stop_ns: nothing */
    uint64_t window_start_ns; /* for MT_MEASURE_WINDOW */
    bool window_from_moment;  /* the window begins behind window_from of each process instead */
    enum mt_moment window_from;
    uint8_t *const *own_stacks; /* of each trace (model/own_stacks.h): LIVE leaves them out; NULL: none */
    /* Asked of each place that holds something at live_at: is it left out as well? NULL: no. With totals_only, never. */
    bool (*suppressed)(void *context, uint32_t trace_idx, uint32_t stack, const struct mt_amount *live);
    void *suppress_context;
    uint32_t temporary_max;   /* N of "temporary"; default 1, 0: freed before its thread allocated anything else */
    size_t timeline_points;   /* 0: no timeline */
    const uint64_t *edges_ns; /* moments to keep the heap between (edges.h), ascending; edge_count <= MT_EDGES_MAX, 0: none */
    size_t edge_count;
    bool totals_only;         /* nobody looks at stacks: exact amounts are not told apart by them, which takes half the time */
    uint64_t only_tid;        /* what this thread allocates is all there is, whoever frees it; 0: all threads */
    /* Called now and then; returning false ends the pass with MT_E_INTERRUPTED. May be NULL. */
    bool (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes);
    void *context;
};
#define MT_ANALYSIS_DEFAULTS ((struct mt_analysis_options){ .stop_ns = UINT64_MAX, .temporary_max = 1 })

/* The moment of a process that LIVE is of. */
struct mt_live_at {
    uint64_t time_ns;
    enum mt_moment moment; /* EXIT where it has no other */
};

/* What the processes of the run held together at a mark. */
struct mt_mark_held {
    uint64_t bytes, count; /* of the heap; estimates when sampled */
    bool known;            /* false: what was looked at ends before, or an aggregate is among it */
};

struct mt_analysis {
    struct mt_site *sites; /* unordered; sites with the same (trace, stack, stream, label, allocator, storage) appear once; stack is 0
                              where totals_only was asked for */
    size_t site_count;
    struct mt_thread_totals *threads; /* by (trace_idx, stream) */
    size_t thread_count;
    uint64_t horizon_ns; /* what was freed by then is not in some trace: peak, totals and timeline are of what came later; 0: all is */
    struct mt_timeline_point *timeline; /* of all processes together */
    size_t timeline_count;
    struct mt_edge_cell *cells; /* of the options' edges (edges.h): site is a number of sites */
    size_t cell_count, cell_capacity;
    unsigned cell_scale_bits; /* cells are in units of 2^-scale_bits */
    struct mt_axis axis; /* of all times here; ends are those of what was looked at */
    struct mt_live_at *live_at; /* of each trace */
    struct mt_run_marks marks;
    struct mt_mark_held *held; /* of each of the marks */
    struct mt_amount own_live, suppressed_live; /* alive in the heap and left out of LIVE */
    uint32_t temporary_max; /* the options', which TEMPORARY is of */
    bool sampled;  /* some amounts are estimates */
    bool aggregate; /* some trace is an aggregate: no temporaries, no window, no histogram, no ages of it */
    bool peak_is_bound; /* the peak is at most what is said: an aggregate process lived beside others */
    struct mt_totals totals;
};

/* Reads every trace of the set once. options NULL: MT_ANALYSIS_DEFAULTS. ret must be given to mt_analysis_fini, also
 * zeroed and unused. MT_E_NOMEM, MT_E_IO, MT_E_INTERRUPTED. */
mt_status mt_analyze(const struct mt_trace_set *set, const struct mt_analysis_options *options,
                     struct mt_analysis *ret) MT_CHECKED;
void mt_analysis_fini(struct mt_analysis *a);
/* The last clock before the END of a trace (model/moment.h); UINT64_MAX: its last event. */
uint64_t mt_analysis_end_clock(struct mt_trace *trace);

#endif
