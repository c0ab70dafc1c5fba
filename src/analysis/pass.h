/* pass.h: the state of one pass over one trace. Private to analysis/.
 *
 * Passes of one run share a heap: what all processes hold together. Times are ns on the run's axis (model/axis.h).
 *
 * Invariants: the heap's `current` is the sum of live over sites of storage HEAP of the processes that have not ended; a
 * site's amount at the peak is `peak` when its peak_number is the heap's, and otherwise `live` (it has not changed
 * since) or, when its process has ended, nothing. Nothing has to be finished before a pass is looked at: what it counted can
 * be collected between any two events, as often as one likes. Amounts are integers in units of
 * 2^-scale_bits (0 for exact traces, 10 for sampled ones), so that what a free subtracts is exactly what its allocation
 * added and sums do not drift; a count weight of 1.58 must not become 2. Context: [tool].
 */
#ifndef MT_ANALYSIS_PASS_H
#define MT_ANALYSIS_PASS_H

#include "analysis/alive.h"
#include "analysis/analysis.h"
#include "analysis/edges.h"
#include "analysis/estimate.h"
#include "analysis/ranges.h"
#include "model/axis.h"
#include "model/index.h"

enum { MT_WEIGHT_CACHE = 1024, MT_RATES_MAX = 256 };

/* An amount in scaled units. */
struct mt_units {
    uint64_t bytes;
    uint64_t count;
};

struct mt_variances {
    double bytes;
    double count;
};

/* What an event changes: two cache lines next to each other, in the order they are touched. */
struct mt_pass_site {
    uint32_t stack, label;
    uint8_t allocator, storage;
    uint16_t rate; /* in the pass's rates */
    uint32_t thread; /* in the pass's threads */
    uint64_t peak_number;
    /* Not pairs: an event writes bytes and counts one by one, and a 16-byte copy right after that would stall. */
    uint64_t live_bytes, peak_bytes, live_count, peak_count;
    double area;     /* sum of bytes * (freed - allocated), s; allocations alive counted as freed at 0 */
    double moment;   /* sum of bytes * (freed^2 - allocated^2) / 2 */
    double lifetime; /* sum of count * (freed - allocated) */
    struct mt_units total, temporary, window;
};
static_assert(sizeof(struct mt_pass_site) == 128, "two cache lines");

/* The rest of a site: sampled traces and the end of the pass only. */
struct mt_pass_rest {
    uint64_t oldest_ns;
    uint64_t first_ns;
    uint64_t moved; /* freed because a realloc made another block of it; what is not sampled */
    double held_area; /* of a place that is collected: area up to the moment of LIVE */
    struct mt_variances live, peak, total, temporary, window;
};

/* What a site held at a moment, see pass_moment.c. */
struct mt_held {
    struct mt_units live, window;
    struct mt_variances live_variances, window_variances;
    uint64_t oldest_ns;
    double area; /* up to then */
};

struct mt_pass_thread {
    uint32_t stream;
    uint32_t ordinal; /* allocations so far, modulo 2^32 */
    uint8_t moved_storage; /* of what its last UNMAP of kind MREMAP removed; HEAP after anything else */
    bool grows;            /* its last event ended a block that goes on with its next ALLOC of a realloc */
    uint64_t deallocations;
    struct mt_units grown_units; /* what that block stood for */
    struct mt_variances grown_variance;
};

/* Weight of one (size, rate), in units. */
struct mt_unit_weight {
    uint64_t size, rate_bytes;
    struct mt_units units;
    struct mt_variances variance;
};

/* What the processes of a run hold together, moment by moment. Amounts in units. */
struct mt_run_heap {
    unsigned scale_bits;
    bool alone; /* one process has it */
    uint64_t current, peak, peak_number; /* bytes */
    uint64_t current_count;
    uint64_t rise_ns, peak_ns;

    struct mt_timeline_point *timeline; /* borrowed */
    size_t timeline_count;
    size_t timeline_at;
    uint64_t timeline_step_ns;
    uint64_t timeline_due_ns; /* the end of the present interval */
    uint64_t timeline_max;
    bool timeline_grows; /* when it is full, intervals are joined two by two; their number is even */

    const struct mt_run_marks *marks; /* borrowed; NULL: none */
    struct mt_mark_held *held;        /* of each mark */
    size_t mark_at;                   /* the next one */
    uint64_t due_ns; /* something is noted when an event is later than this: an interval or a mark */
};

struct mt_pass {
    const struct mt_trace *trace;
    const struct mt_analysis_options *options;
    struct mt_run_heap *heap;
    struct mt_span span;      /* the process's life */
    unsigned scale_bits;      /* the heap's */
    uint64_t window_start_ns; /* what is born then or later is in the window; 0: everything is */
    uint64_t horizon_ns;      /* what was freed by then is not in the trace; 0: all is */
    uint64_t base_clock;      /* events before it repeat what sites of before the horizon say (before.c); 0: none do, or any more */
    bool ended;               /* mt_pass_end was called */
    bool arenas_counted;      /* ARENA maps are heap: their objects are not recorded */

    struct mt_alive alive; /* growth is set for sampled traces alone */
    struct mt_liveset resized; /* sampled blocks whose size changed, with the size they were sampled with; made by need */
    struct mt_ranges ranges;
    struct mt_pass_site *sites; /* aligned to 128 bytes */
    struct mt_pass_rest *rest;  /* of each site */
    size_t site_count, site_capacity;
    struct mt_index site_index;
    struct mt_pass_thread *threads;
    size_t thread_count, thread_capacity;
    struct mt_index thread_index;
    uint32_t last_stream, last_thread; /* of the previous event */
    uint32_t last_site;                /* the one found last; often the next one too */
    uint64_t *rates;
    size_t rate_count, rate_capacity;
    struct mt_unit_weight *weights; /* of sampled sizes, direct mapped */
    uint32_t stack_count;           /* stack numbers from here on are unknown */
    const uint8_t *own_stacks;      /* these are told apart where stacks are not: as number 1; NULL: none */
    uint32_t own_count;

    struct mt_edges *edges; /* what changed between them; NULL: nobody asks */

    struct mt_held *held; /* of each site there was at held_ns; NULL: what is alive at the end counts */
    size_t held_count;
    uint64_t held_ns;

    uint8_t gone_storage; /* of the piece of a mapping that went last */

    uint64_t now_ns; /* of the event being applied */
    struct mt_units histogram[MT_HISTOGRAM_BUCKETS];
    struct mt_variances histogram_variance[MT_HISTOGRAM_BUCKETS];
    uint64_t lifetimes[MT_HISTOGRAM_BUCKETS];
    uint64_t deallocations; /* units of count */
    uint64_t events;
};

/* Are amounts of this trace estimates, from the start or since the mode was changed? */
bool mt_pass_is_sampled(const struct mt_trace *trace);
/* heap and options must outlive the pass. */
void mt_pass_init(struct mt_pass *p, const struct mt_trace *trace, const struct mt_analysis_options *options,
                  struct mt_run_heap *heap, const struct mt_span *span);
void mt_pass_fini(struct mt_pass *p);
/* Applies events in order; of all passes that share a heap, in the order of the run. */
void mt_pass_apply(struct mt_pass *p, const struct mt_event *events, size_t count);
/* After the last event: the process ended at end_ns. It gives its part of the heap and its tables back; sites, threads and
 * sums are left. */
void mt_pass_end(struct mt_pass *p, uint64_t end_ns);

/* pass.c: when the oldest of what is alive at each site began, into oldest_ns[0..site_count); UINT64_MAX: nothing is. */
void mt_pass_ages(const struct mt_pass *p, uint64_t *oldest_ns);
/* pass_sites.c. The heap that blocks of s hold changed now; born_ns: of the blocks. */
/* Behind each change of units at an edge: how sure it is. */
void mt_pass_vary_edges(struct mt_pass *p, const struct mt_pass_site *s, uint64_t born_ns, double bytes_variance);
MT_NOINLINE void mt_pass_change_edges(struct mt_pass *p, const struct mt_pass_site *s, uint64_t born_ns, int64_t bytes, int64_t count);
/* pass_moment.c. Everything up to the moment has been applied, and nothing later: LIVE and WINDOW are of now. time_ns: of it. */
void mt_pass_hold(struct mt_pass *p, uint64_t time_ns);
/* All has been applied: forgets that again when the process still holds what it allocated since. Before the end. */
void mt_pass_hold_unless_it_went_on(struct mt_pass *p);
/* What counts as held by a site, which is at oldest_ns in age. */
struct mt_held mt_pass_held(const struct mt_pass *p, size_t site, uint64_t oldest_ns);

/* pass_sites.c */
struct mt_pass_site *mt_pass_site(struct mt_pass *p, const struct mt_event *event, uint8_t allocator, uint8_t storage,
                                  uint64_t rate_bytes);
uint32_t mt_pass_thread(struct mt_pass *p, uint32_t stream);
/* rate_bytes is not 0. Valid until the next call. */
const struct mt_unit_weight *mt_pass_weight(struct mt_pass *p, uint64_t size, uint64_t rate_bytes);
/* pass_resize.c. A block has another size where it is; was: before that. */
void mt_pass_resize(struct mt_pass *p, const struct mt_live *was, const struct mt_live *entry);
/* The weight of a sampled block in *ret: it stands for as many blocks as when it was sampled, all of the size it has now.
 * over: its size need not be remembered any more. Returns ret. */
const struct mt_unit_weight *mt_pass_resized_weight(struct mt_pass *p, const struct mt_live *entry, bool over,
                                                    struct mt_unit_weight *ret);

/* What a block of weight w had in the variances of site s, and has no more. */
MT_NOINLINE void mt_pass_shrink_variances(struct mt_pass *p, struct mt_pass_site *s, const struct mt_unit_weight *w,
                                          bool temporary, uint64_t born_ns);
/* before.c: what a trace with a horizon says of the time before it. begin: in a new pass. repeated: all events so far repeat what
 * was alive at the horizon, which the sites of before have in their totals. */
void mt_pass_begin_before(struct mt_pass *p);
void mt_pass_forget_repeated(struct mt_pass *p);
/* pass_growth.c; the other two for traces with growth alone, and events of a realloc. The block of e, which stood for w, changes its
 * size: nothing was freed. */
void mt_pass_change_size(struct mt_pass *p, const struct mt_event *e, const struct mt_live *entry, const struct mt_unit_weight *w);
/* e has begun a life at site s, of weight w: of that, only what the block grew by has been allocated. */
void mt_pass_count_growth(struct mt_pass *p, const struct mt_event *e, struct mt_pass_site *s, const struct mt_unit_weight *w);

/* run_heap.c. A new heap whose timeline (count may be 0) has intervals of step_ns. */
void mt_run_heap_init(struct mt_run_heap *h, unsigned scale_bits, struct mt_timeline_point *timeline, size_t count,
                      uint64_t step_ns);
/* Timeline: closes intervals that end before now_ns. */
void mt_run_heap_pass_time(struct mt_run_heap *h, uint64_t now_ns);
/* Two intervals that follow each other as one. */
struct mt_timeline_point mt_run_heap_join(const struct mt_timeline_point *first, const struct mt_timeline_point *second);
/* Notes what is held at each mark; those that time has passed already are left as they are. */
void mt_run_heap_watch(struct mt_run_heap *h, const struct mt_run_marks *marks, struct mt_mark_held *held);
/* What a process holds all its life, where no more is known of it. */
void mt_run_heap_rise(struct mt_run_heap *h, uint64_t bytes, uint64_t now_ns);
/* What a process held to its end. */
void mt_run_heap_fall(struct mt_run_heap *h, uint64_t bytes, uint64_t count, uint64_t now_ns);
/* Ends the last rise and the timeline; marks up to stop_ns have what is held now. */
void mt_run_heap_finish(struct mt_run_heap *h, uint64_t end_ns, uint64_t stop_ns);

/* Is what is held now more than ever before? Then that is the peak, though nobody has noted it yet. */
MT_INLINE bool mt_run_heap_at_peak(const struct mt_run_heap *h)
{
    return h->current > h->peak;
}

/* When most was held, up to now. */
MT_INLINE uint64_t mt_run_heap_peak_ns(const struct mt_run_heap *h)
{
    return mt_run_heap_at_peak(h) ? h->rise_ns : h->peak_ns;
}

/* Before anything goes away, a rise has ended: if it went higher than ever, that was a new peak. */
MT_INLINE void mt_run_heap_before_fall(struct mt_run_heap *h)
{
    if (mt_run_heap_at_peak(h)) {
        h->peak = h->current;
        h->peak_ns = h->rise_ns;
        h->peak_number++;
    }
}

/* The bucket of a value: 0 for 0, else 1 + floor(log2). */
MT_INLINE unsigned mt_bucket(uint64_t value)
{
    return value == 0 ? 0 : 64 - (unsigned)__builtin_clzll(value);
}

/* aggregate.c: reads the table of an aggregate trace into the analysis. at_peak: it belongs to the peak of the run. */
/* The largest heap that the process of an aggregate trace had, bytes. */
uint64_t mt_aggregate_peak(const struct mt_trace *trace);
mt_status mt_analyze_aggregate(const struct mt_trace *trace, uint32_t trace_idx, bool at_peak, struct mt_analysis *a,
                               size_t *site_capacity) MT_CHECKED;
/* collect.c: what a pass has counted so far, as sites, threads and totals of an analysis. The pass stays as it is. */
struct mt_collect_as {
    uint32_t trace_idx;
    uint64_t end_ns; /* the process ended then, or is looked at: integrals go up to it */
    uint64_t run_ns; /* length of what was looked at, for growth */
    bool gone;       /* the process had ended before the moment asked for: nothing of it is alive */
};
void mt_pass_collect(const struct mt_pass *p, const struct mt_collect_as *as, struct mt_analysis *a,
                     size_t *site_capacity, size_t *thread_capacity);
void mt_amount_add(struct mt_amount *to, const struct mt_amount *amount);
/* Adds what sites (from first on) say to thread, storage, allocator and heap totals. */
void mt_analysis_sum_sites(struct mt_analysis *a, size_t first);

#endif
