/* analyze.c: everything about a set of traces in one pass. Context: [tool]. */
#include "analysis/analyze.h"
#include "analysis/before.h"
#include "analysis/merge.h"
#include "analysis/summary.h"
#include "util/memory.h"

#include <stdlib.h>

const char *mt_storage_name(enum mt_storage storage)
{
    static const char *const names[] = { "heap", "file", "stack", "arena", "reserved" };
    return (unsigned)storage < MT_COUNTOF(names) ? names[storage] : "unknown";
}

/* Sites and threads grow while lanes are collected. */
struct collection {
    struct mt_merge merge;
    struct mt_analysis *analysis;
    size_t site_capacity, thread_capacity;
};

/* whole / part, rounded up. */
static uint64_t parts_of(uint64_t whole, uint64_t part)
{
    return whole / part + (whole % part != 0);
}

/* Intervals of whole nanoseconds, so a very short run has fewer than asked for. */
static void prepare_timeline(struct collection *c)
{
    struct mt_analysis *a = c->analysis;
    uint64_t points = c->merge.options->timeline_points;
    if (points == 0 || c->merge.lane_count == 0) {
        return;
    }
    uint64_t length = a->axis.duration_ns > 0 ? a->axis.duration_ns : 1;
    uint64_t step = parts_of(length, points);
    a->timeline_count = (size_t)parts_of(length, step);
    a->timeline = mt_alloc_zero(a->timeline_count, sizeof *a->timeline);
    for (size_t i = 0; i < a->timeline_count; i++) {
        a->timeline[i].time_ns = i + 1 == a->timeline_count ? length : step * (i + 1);
    }
    mt_run_heap_init(&c->merge.heap, c->merge.heap.scale_bits, a->timeline, a->timeline_count, step);
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

/* An aggregate process held most when the heap's last peak fell into its life. */
static bool lived_at_peak(const struct mt_lane *lane, const struct mt_run_heap *heap)
{
    return lane->born_number < heap->peak_number && heap->peak_number <= lane->died_number;
}

static mt_status collect_lane(struct collection *c, uint32_t trace_idx)
{
    struct mt_lane *lane = &c->merge.lanes[trace_idx];
    struct mt_analysis *a = c->analysis;
    a->live_at[trace_idx] = lane->live_at;
    if (lane->aggregate) {
        return mt_analyze_aggregate(lane->trace, trace_idx, lived_at_peak(lane, &c->merge.heap), a, &c->site_capacity);
    }
    if (lane->opened) {
        struct mt_collect_as as = { .trace_idx = trace_idx,
                                    .end_ns = lane->end_ns,
                                    .run_ns = a->totals.duration_ns,
                                    .gone = c->merge.options->stop_ns != UINT64_MAX &&
                                            lane->end_ns < a->totals.duration_ns };
        a->axis.spans[trace_idx].end_ns = lane->end_ns;
        mt_pass_collect(&lane->pass, &as, a, &c->site_capacity, &c->thread_capacity);
        add_losses(&a->totals.losses, mt_cursor_losses(lane->cursor));
    }
    return MT_OK;
}

static bool overlap(const struct mt_span *a, const struct mt_span *b)
{
    return a->start_ns <= b->end_ns && b->start_ns <= a->end_ns;
}

/* Did an aggregate process live beside another one? Then nobody knows what they held at one moment. */
static bool is_bound(const struct mt_merge *m)
{
    for (size_t i = 0; i < m->lane_count; i++) {
        for (size_t j = 0; m->lanes[i].aggregate && j < m->lane_count; j++) {
            if (j != i && overlap(&m->lanes[i].span, &m->lanes[j].span)) {
                return true;
            }
        }
    }
    return false;
}

static mt_status collect(struct collection *c)
{
    struct mt_analysis *a = c->analysis;
    const struct mt_merge *m = &c->merge;
    uint64_t stop_ns = m->options->stop_ns;
    mt_status status = MT_OK;
    a->totals.duration_ns = stop_ns < a->axis.duration_ns ? stop_ns : m->end_ns;
    a->totals.peak_time_ns = mt_run_heap_peak_ns(&m->heap);
    a->sampled = m->heap.scale_bits != 0;
    a->peak_is_bound = is_bound(m);
    for (size_t i = 0; i < m->lane_count && status == MT_OK; i++) {
        status = collect_lane(c, (uint32_t)i);
    }
    return status;
}

static mt_status read_events(const struct mt_trace_set *set, const struct mt_analysis_options *options,
                             struct mt_analysis *a)
{
    struct collection c = { .analysis = a };
    mt_merge_init(&c.merge, set, &a->axis, options);
    prepare_timeline(&c);
    mt_run_heap_watch(&c.merge.heap, &a->marks, a->held);
    mt_status status = mt_merge_run(&c.merge);
    if (status == MT_OK) {
        status = collect(&c);
    }
    mt_merge_fini(&c.merge);
    return status;
}

static void move_live(struct mt_site *site, struct mt_amount *to)
{
    mt_amount_add(to, &site->amount[MT_MEASURE_LIVE]);
    site->amount[MT_MEASURE_LIVE] = site->amount[MT_MEASURE_WINDOW] = (struct mt_amount){ 0 };
    site->oldest_ns = UINT64_MAX;
}

/* An aggregate has what it held at its peak alone, a trace with a horizon what was held since. */
static void forget_held(struct mt_analysis *a)
{
    for (size_t i = 0; i < a->marks.count; i++) {
        bool known = !a->aggregate && a->marks.items[i].time_ns >= a->horizon_ns;
        a->held[i].known = a->held[i].known && known;
    }
}

static bool is_own(const struct mt_trace_set *set, const struct mt_analysis_options *options, const struct mt_site *site)
{
    const uint8_t *own = options->own_stacks != NULL ? options->own_stacks[site->trace_idx] : NULL;
    size_t stacks = mt_trace_stack_count(set->traces[site->trace_idx]);
    return site->own || (own != NULL && site->stack < stacks && mt_own_stacks_has(own, site->stack));
}

/* What nobody looks for is not LIVE. */
static void leave_out(const struct mt_trace_set *set, const struct mt_analysis_options *options, struct mt_analysis *a)
{
    for (size_t i = 0; i < a->site_count; i++) {
        struct mt_site *site = &a->sites[i];
        const struct mt_amount *live = &site->amount[MT_MEASURE_LIVE];
        if (site->storage != MT_STORAGE_HEAP || live->count == 0) {
            continue;
        }
        if (is_own(set, options, site)) {
            move_live(site, &a->own_live);
        } else if (options->suppressed != NULL &&
                   options->suppressed(options->suppress_context, site->trace_idx, site->stack, live)) {
            move_live(site, &a->suppressed_live);
        }
    }
}

void mt_analysis_begin(const struct mt_trace_set *set, struct mt_analysis *a)
{
    *a = (struct mt_analysis){ 0 };
    mt_axis_make(set, &a->axis);
    a->horizon_ns = mt_axis_horizon(&a->axis, set);
    a->live_at = mt_alloc_zero(set->count + 1, sizeof *a->live_at);
    mt_run_marks_find(set, &a->axis, &a->marks);
    a->held = mt_alloc_zero(a->marks.count + 1, sizeof *a->held);
}

void mt_analysis_complete(const struct mt_trace_set *set, const struct mt_analysis_options *options, struct mt_analysis *a)
{
    a->temporary_max = options->temporary_max;
    forget_held(a);
    mt_timeline_before(set, a);
    leave_out(set, options, a);
    mt_analysis_sum_sites(a, 0);
}

mt_status mt_analyze(const struct mt_trace_set *set, const struct mt_analysis_options *options,
                     struct mt_analysis *ret)
{
    struct mt_analysis_options used = options != NULL ? *options : MT_ANALYSIS_DEFAULTS;
    uint64_t total_bytes = 0;
    mt_status status = MT_OK;
    mt_analysis_begin(set, ret);
    for (size_t i = 0; i < set->count; i++) {
        total_bytes += mt_trace_info(set->traces[i])->event_bytes;
    }
    bool may_be_known = set->count == 1 && used.only_tid == 0 && ret->marks.count == 0;
    if (!may_be_known || !mt_summary_read(set->traces[0], &used, ret)) {
        status = read_events(set, &used, ret);
    }
    mt_analysis_complete(set, &used, ret);
    if (status == MT_OK && used.progress != NULL && !used.progress(used.context, total_bytes, total_bytes)) {
        status = MT_E_INTERRUPTED;
    }
    return status;
}

void mt_analysis_fini(struct mt_analysis *a)
{
    free(a->sites);
    free(a->threads);
    free(a->timeline);
    free(a->cells);
    free(a->live_at);
    free(a->held);
    mt_run_marks_fini(&a->marks);
    mt_axis_fini(&a->axis);
    *a = (struct mt_analysis){ 0 };
}

/* Only where Python may have been ended by a program that went on, what that one did has to be read. */
uint64_t mt_analysis_end_clock(struct mt_trace *trace)
{
    struct mt_moment_mark end = mt_moment_find(trace, MT_MOMENT_END);
    if (end.certain) {
        return end.clock;
    }
    struct mt_analysis analysis;
    struct mt_trace_set set = { &trace, 1 };
    bool ended = mt_analyze(&set, NULL, &analysis) == MT_OK && analysis.live_at[0].moment == MT_MOMENT_END;
    mt_analysis_fini(&analysis);
    return ended ? end.clock : UINT64_MAX;
}
