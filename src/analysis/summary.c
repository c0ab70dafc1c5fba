/* summary.c: see summary.h. Context: [tool]. */
#include "analysis/summary.h"

#include "analysis/pass.h"
#include "base/varint.h"
#include "model/payload.h"
#include "util/memory.h"
#include "wire/decode_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 5, VERSION_OF_COUNTED_TIMES = 4, VERSION_WITHOUT_GROWTH = 3, VERSION_WITHOUT_LABELS = 2, VERSION_OF_NIBBLES = 1, LEAST_EVENTS = 500000, EVENTS_A_SITE = 64, FLAG_ESTIMATES = 1, SITE_LEAST_BYTES = 20 };

/* The measures that are kept; the window of a whole run is what is alive when the program ended. */
static const enum mt_measure KEPT[] = { MT_MEASURE_PEAK, MT_MEASURE_LIVE, MT_MEASURE_TOTAL, MT_MEASURE_TEMPORARY };

/* ---- writing ----------------------------------------------------------------------------------------------------- */

struct out {
    uint8_t *data;
    size_t bytes, capacity;
    bool estimates;
};

static void put(struct out *o, uint64_t value)
{
    o->data = mt_alloc_grow(o->data, &o->capacity, o->bytes + MT_VARINT_MAX, 1);
    o->bytes = (size_t)(mt_varint_put(o->data + o->bytes, value) - o->data);
}

static void put_raw(struct out *o, const void *data, size_t bytes)
{
    o->data = mt_alloc_grow(o->data, &o->capacity, o->bytes + bytes, 1);
    memcpy(o->data + o->bytes, data, bytes);
    o->bytes += bytes;
}

static void put_float(struct out *o, double value)
{
    float narrow = (float)value;
    put_raw(o, &narrow, sizeof narrow);
}

static void put_amount(struct out *o, const struct mt_amount *a)
{
    put(o, a->bytes);
    put(o, a->count);
    if (o->estimates) {
        put_raw(o, &a->bytes_variance, sizeof a->bytes_variance);
        put_raw(o, &a->count_variance, sizeof a->count_variance);
    }
}

static void put_head(struct out *o, const struct mt_totals *t, uint32_t temporary_max)
{
    const uint64_t values[] = { VERSION,
                                o->estimates ? FLAG_ESTIMATES : 0,
                                temporary_max,
                                t->duration_ns,
                                t->peak_time_ns,
                                t->events,
                                t->deallocations,
                                t->unknown_frees,
                                t->double_allocations,
                                t->losses.bad_blocks,
                                t->losses.cut_records,
                                t->losses.dropped_events,
                                t->losses.unfinished_reallocs };
    for (size_t i = 0; i < MT_COUNTOF(values); i++) {
        put(o, values[i]);
    }
    for (size_t b = 0; b < MT_HISTOGRAM_BUCKETS; b++) {
        put_amount(o, &t->size_histogram[b]);
    }
    for (size_t b = 0; b < MT_HISTOGRAM_BUCKETS; b++) {
        put(o, t->lifetime_histogram[b]);
    }
}

static int compare_stacks(const void *a, const void *b)
{
    const struct mt_site *x = *(const struct mt_site *const *)a, *y = *(const struct mt_site *const *)b;
    if (x->stack != y->stack) {
        return x->stack < y->stack ? -1 : 1;
    }
    if (x->stream != y->stream) {
        return x->stream < y->stream ? -1 : 1;
    }
    if (x->label != y->label) {
        return x->label < y->label ? -1 : 1;
    }
    return (x->allocator | x->storage << 8) - (y->allocator | y->storage << 8);
}

static void put_sites(struct out *o, const struct mt_analysis *a)
{
    const struct mt_site **order = mt_alloc(a->site_count * sizeof *order);
    uint32_t stack = 0;
    for (size_t i = 0; i < a->site_count; i++) {
        order[i] = &a->sites[i];
    }
    qsort(order, a->site_count, sizeof *order, compare_stacks);
    put(o, a->site_count);
    for (size_t i = 0; i < a->site_count; i++) {
        const struct mt_site *s = order[i];
        put(o, mt_zigzag((int64_t)s->stack - (int64_t)stack));
        put(o, s->stream);
        put(o, s->allocator);
        put(o, s->storage);
        put(o, s->label);
        for (size_t m = 0; m < MT_COUNTOF(KEPT); m++) {
            put_amount(o, &s->amount[KEPT[m]]);
        }
        put(o, s->oldest_ns + 1); /* UINT64_MAX, none, becomes 0 */
        put_float(o, s->growth_bytes_per_s);
        put_float(o, s->lifetime_s);
        put(o, s->moved_count);
        put(o, s->first_ns + 1);
        put_float(o, s->held_byte_s);
        stack = s->stack;
    }
    free(order);
}

void mt_summary_encode(const struct mt_analysis *analysis, uint32_t temporary_max, uint8_t **ret_data,
                       size_t *ret_bytes)
{
    struct out o = { .estimates = analysis->sampled };
    put_head(&o, &analysis->totals, temporary_max);
    put(&o, analysis->thread_count);
    for (size_t i = 0; i < analysis->thread_count; i++) {
        put(&o, analysis->threads[i].stream);
        put(&o, analysis->threads[i].deallocations);
    }
    put_sites(&o, analysis);
    put(&o, analysis->live_at[0].moment == MT_MOMENT_END ? analysis->live_at[0].time_ns + 1 : 0);
    *ret_data = o.data;
    *ret_bytes = o.bytes;
}

mt_status mt_summary_make(const char *path, uint64_t events, uint8_t **ret_data, size_t *ret_bytes)
{
    struct mt_trace *trace;
    struct mt_analysis analysis;
    *ret_data = NULL;
    *ret_bytes = 0;
    if (events < LEAST_EVENTS) {
        return MT_OK;
    }
    mt_status status = mt_trace_open(path, &trace, NULL);
    if (status != MT_OK) {
        return status;
    }
    struct mt_trace_set set = { &trace, 1 };
    status = mt_analyze(&set, NULL, &analysis);
    events = analysis.totals.events;
    bool settled = !analysis.aggregate && mt_moment_find(trace, MT_MOMENT_END).certain;
    bool worth = settled && events >= LEAST_EVENTS && events / EVENTS_A_SITE >= analysis.site_count;
    if (status == MT_OK && worth) {
        mt_summary_encode(&analysis, MT_ANALYSIS_DEFAULTS.temporary_max, ret_data, ret_bytes);
    }
    mt_analysis_fini(&analysis);
    mt_trace_close(trace);
    return status;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct in {
    struct mt_bytes b;
    uint64_t version;
    bool estimates;
};

static void get_raw(struct in *in, void *ret, size_t bytes)
{
    if (bytes > (size_t)(in->b.end - in->b.at)) {
        in->b.bad = true;
        in->b.at = in->b.end;
        memset(ret, 0, bytes);
        return;
    }
    memcpy(ret, in->b.at, bytes);
    in->b.at += bytes;
}

static double get_float(struct in *in)
{
    float value;
    get_raw(in, &value, sizeof value);
    return isfinite(value) ? (double)value : 0;
}

static double get_variance(struct in *in)
{
    double value;
    get_raw(in, &value, sizeof value);
    return isfinite(value) && value > 0 ? value : 0;
}

static struct mt_amount get_amount(struct in *in)
{
    struct mt_amount a = { .bytes = mt_bytes_u64(&in->b), .count = mt_bytes_u64(&in->b) };
    if (in->estimates) {
        a.bytes_variance = get_variance(in);
        a.count_variance = get_variance(in);
    }
    return a;
}

/* One summary, decoded, before anything is added to an analysis. */
struct summary {
    struct mt_totals totals;
    uint32_t temporary_max;
    struct mt_thread_totals *threads;
    size_t thread_count, thread_capacity;
    struct mt_site *sites;
    size_t site_count, site_capacity;
    uint64_t ended; /* 1 + the time when the program ended; 0: it is not said */
};

static void get_head(struct in *in, struct summary *s)
{
    struct mt_totals *t = &s->totals;
    in->version = mt_bytes_u64(&in->b);
    in->b.bad = in->b.bad || in->version < VERSION_OF_NIBBLES || in->version > VERSION;
    in->estimates = (mt_bytes_u64(&in->b) & FLAG_ESTIMATES) != 0;
    s->temporary_max = mt_bytes_u32(&in->b);
    uint64_t *const fields[] = { &t->duration_ns,
                                 &t->peak_time_ns,
                                 &t->events,
                                 &t->deallocations,
                                 &t->unknown_frees,
                                 &t->double_allocations,
                                 &t->losses.bad_blocks,
                                 &t->losses.cut_records,
                                 &t->losses.dropped_events,
                                 &t->losses.unfinished_reallocs };
    for (size_t i = 0; i < MT_COUNTOF(fields); i++) {
        *fields[i] = mt_bytes_u64(&in->b);
    }
    for (size_t b = 0; b < MT_HISTOGRAM_BUCKETS; b++) {
        t->size_histogram[b] = get_amount(in);
    }
    for (size_t b = 0; b < MT_HISTOGRAM_BUCKETS; b++) {
        t->lifetime_histogram[b] = mt_bytes_u64(&in->b);
    }
}

/* A count of records of at least that many bytes each; more than can be there is damage. */
static size_t get_count(struct in *in, size_t least_bytes)
{
    uint64_t count = mt_bytes_u64(&in->b);
    if (count > (uint64_t)(in->b.end - in->b.at) / least_bytes) {
        in->b.bad = true;
        return 0;
    }
    return (size_t)count;
}

static void get_threads(struct in *in, struct summary *s)
{
    size_t count = get_count(in, 2);
    s->threads = mt_alloc_grow(NULL, &s->thread_capacity, count, sizeof *s->threads);
    for (size_t i = 0; i < count && !in->b.bad; i++) {
        s->threads[s->thread_count++] = (struct mt_thread_totals){ .stream = mt_bytes_u32(&in->b),
                                                                   .deallocations = mt_bytes_u64(&in->b) };
    }
}

/* Version 1 has both in one field. */
static void get_kind(struct in *in, struct mt_site *s)
{
    uint64_t allocator = mt_bytes_u64(&in->b), storage = allocator >> 4;
    if (in->version == VERSION_OF_NIBBLES) {
        allocator &= MT_TAG_NIBBLE_MAX;
    } else {
        storage = mt_bytes_u64(&in->b);
    }
    in->b.bad = in->b.bad || storage >= MT_STORAGE__COUNT;
    s->allocator = allocator < MT_ALLOCATOR__COUNT ? (uint8_t)allocator : MT_ALLOCATOR_UNKNOWN;
    s->storage = (uint8_t)storage;
}

static struct mt_site get_site(struct in *in, int64_t *stack)
{
    struct mt_site s = { 0 };
    *stack += mt_bytes_s64(&in->b);
    in->b.bad = in->b.bad || *stack < 0 || *stack > UINT32_MAX;
    s.stack = (uint32_t)*stack;
    s.stream = mt_bytes_u32(&in->b);
    get_kind(in, &s);
    s.label = in->version > VERSION_WITHOUT_LABELS ? mt_bytes_u32(&in->b) : 0;
    for (size_t m = 0; m < MT_COUNTOF(KEPT); m++) {
        s.amount[KEPT[m]] = get_amount(in);
    }
    s.amount[MT_MEASURE_WINDOW] = s.amount[MT_MEASURE_LIVE];
    s.oldest_ns = mt_bytes_u64(&in->b) - 1;
    s.growth_bytes_per_s = get_float(in);
    s.lifetime_s = get_float(in);
    s.first_ns = UINT64_MAX;
    if (in->version > VERSION_WITHOUT_GROWTH) {
        s.moved_count = mt_bytes_u64(&in->b);
        s.first_ns = mt_bytes_u64(&in->b) - 1;
        s.held_byte_s = get_float(in);
    }
    return s;
}

static void get_sites(struct in *in, struct summary *s, const struct mt_trace *trace)
{
    size_t count = get_count(in, SITE_LEAST_BYTES);
    int64_t stack = 0;
    s->sites = mt_alloc_grow(NULL, &s->site_capacity, count, sizeof *s->sites);
    for (size_t i = 0; i < count && !in->b.bad; i++) {
        struct mt_site site = get_site(in, &stack);
        site.stack = site.stack < mt_trace_stack_count(trace) ? site.stack : 0;
        s->sites[s->site_count++] = site;
    }
}

static const struct mt_extent *find_block(const struct mt_trace *trace)
{
    size_t count;
    const struct mt_extent *extents = mt_reader_extents(mt_trace_reader(trace), &count);
    for (size_t i = count; i-- > 0;) {
        if (extents[i].type == MT_BLOCK_SUMMARY && !extents[i].cut) {
            return &extents[i];
        }
    }
    return NULL;
}

/* Of a trace whose moment is certain. */
static struct mt_live_at live_at(const struct mt_trace *trace, enum mt_moment moment, const struct mt_span *span, uint64_t ended)
{
    uint64_t clock = mt_moment_find(trace, moment).clock;
    if (clock == UINT64_MAX) {
        return (struct mt_live_at){ span->end_ns, MT_MOMENT_EXIT };
    }
    return (struct mt_live_at){ ended != 0 ? ended - 1 : mt_span_time(span, clock), moment };
}

/* Moves a good summary into the analysis. */
static void take_summary(struct summary *s, struct mt_analysis *a)
{
    s->totals.losses.first_error = a->totals.losses.first_error;
    a->totals = s->totals;
    a->sites = s->sites;
    a->site_count = s->site_count;
    a->threads = s->threads;
    a->thread_count = s->thread_count;
    s->sites = NULL;
    s->threads = NULL;
}

/* What is kept as alive is so at END. */
static bool options_match(const struct mt_trace *trace, const struct mt_analysis_options *o)
{
    struct mt_moment_mark end = mt_moment_find(trace, MT_MOMENT_END), wanted = mt_moment_find(trace, o->live_at);
    return end.certain && wanted.clock == end.clock && o->stop_ns == UINT64_MAX && o->window_start_ns == 0 && !o->window_from_moment && o->timeline_points == 0 &&
           o->edge_count == 0;
}

bool mt_summary_read(const struct mt_trace *trace, const struct mt_analysis_options *options, struct mt_analysis *a)
{
    const struct mt_extent *e = options_match(trace, options) ? find_block(trace) : NULL;
    struct mt_payload *p = mt_payload_new();
    if (e == NULL || mt_reader_load(mt_trace_reader(trace), e, p, NULL) != MT_OK) {
        mt_payload_free(p);
        return false;
    }
    struct in in = { .b = mt_bytes_of(p->data, p->bytes) };
    struct summary s = { 0 };
    get_head(&in, &s);
    get_threads(&in, &s);
    get_sites(&in, &s, trace);
    s.ended = in.version > VERSION_OF_COUNTED_TIMES ? mt_bytes_u64(&in.b) : 0;
    bool timed = in.version > VERSION_OF_COUNTED_TIMES || mt_trace_ticks(trace) == NULL;
    bool usable = timed && !in.b.bad && s.temporary_max == options->temporary_max;
    if (usable) {
        take_summary(&s, a);
        a->live_at[0] = live_at(trace, options->live_at, &a->axis.spans[0], s.ended);
        a->sampled = in.estimates;
    }
    free(s.threads);
    free(s.sites);
    mt_payload_free(p);
    return usable;
}
