/* analyze.c: runs a pass over every trace of a set and adds them up. Context: [tool]. */
#include "analysis/pass.h"
#include "analysis/summary.h"
#include "util/memory.h"

#include <stdlib.h>

enum { BATCH_EVENTS = 1024, PROGRESS_BATCHES = 64 };

struct run {
    const struct mt_trace_set *set;
    struct mt_analysis_options options;
    struct mt_analysis *analysis;
    size_t site_capacity, thread_capacity;
    uint64_t done_bytes, total_bytes; /* of all traces */
    uint64_t largest_peak;
    uint64_t timeline_step_ns; /* an interval of the common axis */
    struct mt_event *batch;
};

const char *mt_storage_name(enum mt_storage storage)
{
    static const char *const names[] = { "heap", "file", "stack", "arena", "reserved" };
    return (unsigned)storage < MT_COUNTOF(names) ? names[storage] : "unknown";
}

static uint64_t clock_after(const struct mt_trace_info *info, uint64_t time_ns)
{
    return time_ns > UINT64_MAX - info->start_clock ? UINT64_MAX : info->start_clock + time_ns;
}

static bool report_progress(const struct run *r, uint64_t done)
{
    return r->options.progress == NULL || r->options.progress(r->options.context, done, r->total_bytes);
}

/* whole / part, rounded up. */
static uint64_t parts_of(uint64_t whole, uint64_t part)
{
    return whole / part + (whole % part != 0);
}

/* The common time axis of all traces: intervals of whole nanoseconds, so a very short run has fewer than asked for. */
static void prepare_timeline(struct run *r)
{
    struct mt_analysis *a = r->analysis;
    uint64_t first = UINT64_MAX, last = 0;
    for (size_t i = 0; i < r->set->count; i++) {
        const struct mt_trace_info *info = mt_trace_info(r->set->traces[i]);
        uint64_t start = info->start_realtime_ns;
        uint64_t end = info->duration_ns > UINT64_MAX - start ? UINT64_MAX : start + info->duration_ns;
        first = start < first ? start : first;
        last = end > last ? end : last;
    }
    a->origin_realtime_ns = r->set->count > 0 ? first : 0;
    if (r->options.timeline_points == 0 || r->set->count == 0) {
        return;
    }
    uint64_t length = last > first ? last - first : 1;
    r->timeline_step_ns = parts_of(length, r->options.timeline_points);
    a->timeline_count = (size_t)parts_of(length, r->timeline_step_ns);
    a->timeline = mt_alloc_zero(a->timeline_count, sizeof *a->timeline);
    for (size_t i = 0; i < a->timeline_count; i++) {
        a->timeline[i].time_ns = i + 1 == a->timeline_count ? length : r->timeline_step_ns * (i + 1);
    }
}

/* The intervals of the axis in which this trace lived. */
static void attach_timeline(const struct run *r, struct mt_pass *p, const struct mt_trace_info *info)
{
    struct mt_analysis *a = r->analysis;
    if (a->timeline_count == 0) {
        return;
    }
    uint64_t step = r->timeline_step_ns;
    uint64_t shift = info->start_realtime_ns - a->origin_realtime_ns;
    uint64_t end = shift + info->duration_ns;
    size_t from = (size_t)(shift / step);
    size_t to = (size_t)(end / step) + 1;
    from = from < a->timeline_count ? from : a->timeline_count - 1;
    to = to < a->timeline_count ? to : a->timeline_count;
    p->timeline = a->timeline + from;
    p->timeline_count = to - from;
    p->timeline_step_ns = step;
    p->timeline_due_clock = clock_after(info, (from + 1) * step - shift);
}

static void add_losses(struct mt_cursor_losses *to, const struct mt_cursor_losses *from)
{
    to->bad_blocks += from->bad_blocks;
    to->cut_records += from->cut_records;
    to->dropped_events += from->dropped_events;
    to->unfinished_reallocs += from->unfinished_reallocs;
    if (to->first_error.text == NULL) {
        to->first_error = from->first_error;
    }
}

static mt_status read_events(struct run *r, struct mt_pass *p, struct mt_cursor *cursor)
{
    size_t count;
    for (unsigned batches = 1; (count = mt_cursor_next(cursor, r->batch, BATCH_EVENTS)) > 0; batches++) {
        mt_pass_apply(p, r->batch, count);
        if (batches % PROGRESS_BATCHES == 0 && !report_progress(r, r->done_bytes + mt_cursor_done_bytes(cursor))) {
            return MT_E_INTERRUPTED;
        }
    }
    return mt_cursor_status(cursor);
}

/* The end of what was looked at: the requested stop, or the last thing known to have happened. */
static uint64_t end_of_pass(const struct mt_trace_info *info, const struct mt_pass *p, uint64_t stop_clock)
{
    uint64_t end = clock_after(info, info->duration_ns);
    end = p->clock > end ? p->clock : end;
    return end < stop_clock ? end : stop_clock;
}

/* Reads the events of a trace. */
static mt_status run_pass(struct run *r, uint32_t trace_idx)
{
    const struct mt_trace *trace = r->set->traces[trace_idx];
    const struct mt_trace_info *info = mt_trace_info(trace);
    struct mt_totals *totals = &r->analysis->totals;
    struct mt_pass pass;
    struct mt_cursor *cursor;
    uint64_t stop_clock = clock_after(info, r->options.stop_ns);
    mt_status status = mt_cursor_new(trace, stop_clock, &cursor);
    if (status != MT_OK) {
        return status;
    }
    mt_pass_init(&pass, trace, &r->options);
    attach_timeline(r, &pass, info);
    status = read_events(r, &pass, cursor);
    if (status == MT_OK) {
        uint64_t end_clock = end_of_pass(info, &pass, stop_clock);
        mt_pass_finish(&pass, end_clock);
        mt_pass_collect(&pass, trace_idx, end_clock, r->analysis, &r->site_capacity, &r->thread_capacity);
        if (pass.peak >> pass.scale_bits >= r->largest_peak && pass.peak > 0) {
            r->largest_peak = pass.peak >> pass.scale_bits;
            totals->peak_time_ns = mt_trace_time(trace, pass.peak_clock);
        }
    }
    add_losses(&totals->losses, mt_cursor_losses(cursor));
    r->done_bytes += info->event_bytes;
    mt_pass_fini(&pass);
    mt_cursor_free(cursor);
    return status;
}

static mt_status run_trace(struct run *r, uint32_t trace_idx)
{
    const struct mt_trace *trace = r->set->traces[trace_idx];
    const struct mt_trace_info *info = mt_trace_info(trace);
    struct mt_totals *totals = &r->analysis->totals;
    if (info->flags & MT_TRACE_AGGREGATE) {
        if (info->counters[MT_COUNTER_PEAK_BYTES] >= r->largest_peak) {
            r->largest_peak = info->counters[MT_COUNTER_PEAK_BYTES];
            totals->peak_time_ns = mt_trace_time(trace, info->counters[MT_COUNTER_PEAK_CLOCK]);
        }
        return mt_analyze_aggregate(trace, trace_idx, r->analysis, &r->site_capacity);
    }
    if (mt_summary_read(trace, trace_idx, &r->options, r->analysis, &r->site_capacity, &r->thread_capacity,
                        &r->largest_peak)) {
        r->done_bytes += info->event_bytes;
        return MT_OK;
    }
    return run_pass(r, trace_idx);
}
mt_status mt_analyze(const struct mt_trace_set *set, const struct mt_analysis_options *options,
                     struct mt_analysis *ret)
{
    struct run r = { .set = set, .options = options != NULL ? *options : MT_ANALYSIS_DEFAULTS, .analysis = ret };
    *ret = (struct mt_analysis){ 0 };
    prepare_timeline(&r);
    for (size_t i = 0; i < set->count; i++) {
        r.total_bytes += mt_trace_info(set->traces[i])->event_bytes;
    }
    r.batch = mt_alloc(BATCH_EVENTS * sizeof *r.batch);
    mt_status status = MT_OK;
    for (size_t i = 0; i < set->count && status == MT_OK; i++) {
        status = run_trace(&r, (uint32_t)i);
    }
    free(r.batch);
    mt_analysis_sum_sites(ret, 0);
    if (status == MT_OK && !report_progress(&r, r.total_bytes)) {
        status = MT_E_INTERRUPTED;
    }
    return status;
}

void mt_analysis_fini(struct mt_analysis *a)
{
    free(a->sites);
    free(a->threads);
    free(a->timeline);
    *a = (struct mt_analysis){ 0 };
}
