/* pass.h: the state of one pass over one trace. Private to analysis/.
 *
 * Invariants: `current` is the sum of live over sites of storage HEAP; a site's amount at the peak is `peak` when its
 * peak_number is the pass's, and `live` otherwise (it has not changed since). Amounts are integers in units of
 * 2^-scale_bits (0 for exact traces, 10 for sampled ones), so that what a free subtracts is exactly what its allocation
 * added and sums do not drift; a count weight of 1.58 must not become 2. Context: [tool].
 */
#ifndef MT_ANALYSIS_PASS_H
#define MT_ANALYSIS_PASS_H

#include "analysis/analysis.h"
#include "analysis/estimate.h"
#include "analysis/liveset.h"
#include "analysis/ranges.h"
#include "model/index.h"

enum { MT_WEIGHT_CACHE = 1024, MT_SAMPLE_SCALE_BITS = 10, MT_RATES_MAX = 256 };

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
    uint32_t stack, stream;
    uint8_t allocator, storage;
    uint16_t rate; /* in the pass's rates */
    uint32_t thread;
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
    uint64_t oldest_clock;
    struct mt_variances live, peak, total, temporary, window;
};

struct mt_pass_thread {
    uint32_t stream;
    uint32_t ordinal; /* allocations so far, modulo 2^32 */
    uint64_t deallocations;
};

/* Weight of one (size, rate), in units. */
struct mt_unit_weight {
    uint64_t size, rate_bytes;
    struct mt_units units;
    struct mt_variances variance;
};

struct mt_pass {
    const struct mt_trace *trace;
    const struct mt_analysis_options *options;
    unsigned scale_bits;
    bool windowed;            /* else the window is everything: what is alive at the end */
    bool arenas_counted;      /* ARENA maps are heap: their objects are not recorded */
    uint64_t window_clock;
    uint64_t start_clock;

    struct mt_liveset live;
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

    uint64_t current, peak, peak_number; /* bytes in units */
    uint64_t current_count;
    uint64_t rise_clock, peak_clock;
    uint8_t moved_storage; /* of what the last UNMAP of kind MREMAP removed */

    uint64_t clock; /* of the event being applied */
    struct mt_units histogram[MT_HISTOGRAM_BUCKETS];
    struct mt_variances histogram_variance[MT_HISTOGRAM_BUCKETS];
    uint64_t lifetimes[MT_HISTOGRAM_BUCKETS];
    uint64_t deallocations; /* units of count */
    uint64_t unknown_frees, double_allocations, events;

    struct mt_timeline_point *timeline; /* borrowed; amounts are added to what is there */
    size_t timeline_count;
    size_t timeline_at;
    uint64_t timeline_step_ns, timeline_shift_ns; /* common time = time + shift */
    uint64_t timeline_due_clock;                  /* flush when an event is later than this */
    uint64_t timeline_max;
};

void mt_pass_init(struct mt_pass *p, const struct mt_trace *trace, const struct mt_analysis_options *options);
void mt_pass_fini(struct mt_pass *p);
/* Applies events in order. */
void mt_pass_apply(struct mt_pass *p, const struct mt_event *events, size_t count);
/* After the last event: end_clock closes integrals, ages and the timeline. */
void mt_pass_finish(struct mt_pass *p, uint64_t end_clock);

/* pass_sites.c */
struct mt_pass_site *mt_pass_site(struct mt_pass *p, const struct mt_event *event, uint8_t allocator, uint8_t storage,
                                  uint64_t rate_bytes);
uint32_t mt_pass_thread(struct mt_pass *p, uint32_t stream);
/* rate_bytes is not 0. Valid until the next call. */
const struct mt_unit_weight *mt_pass_weight(struct mt_pass *p, uint64_t size, uint64_t rate_bytes);
/* Timeline: closes intervals that end before clock. */
void mt_pass_timeline(struct mt_pass *p, uint64_t clock);

/* The bucket of a value: 0 for 0, else 1 + floor(log2). */
MT_INLINE unsigned mt_bucket(uint64_t value)
{
    return value == 0 ? 0 : 64 - (unsigned)__builtin_clzll(value);
}

/* aggregate.c: reads the table of an aggregate trace into the analysis. */
mt_status mt_analyze_aggregate(const struct mt_trace *trace, uint32_t trace_idx, struct mt_analysis *a,
                               size_t *site_capacity) MT_CHECKED;
/* collect.c: turns a finished pass into sites, threads and totals of an analysis. */
void mt_pass_collect(const struct mt_pass *p, uint32_t trace_idx, uint64_t end_clock, struct mt_analysis *a,
                     size_t *site_capacity, size_t *thread_capacity);
void mt_amount_add(struct mt_amount *to, const struct mt_amount *amount);
/* Adds what sites (from first on) say to thread, storage, allocator and heap totals. */
void mt_analysis_sum_sites(struct mt_analysis *a, size_t first);

#endif
