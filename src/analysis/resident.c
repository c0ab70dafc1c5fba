/* resident.c: see resident.h. Context: [tool]. */
#include "analysis/resident.h"

#include "analysis/analyze.h"
#include "analysis/pass.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

enum { INTERVALS = 16384 };
static const uint64_t FIRST_INTERVAL_NS = 1 << 16;

struct mt_resident {
    struct mt_trace *trace;
    struct mt_analysis_options options;
    uint64_t flags; /* of the trace, when it began */
    struct mt_run_heap heap;
    struct mt_timeline_point *timeline;
    struct mt_run_marks marks;
    struct mt_mark_held *held;
    size_t held_capacity;
    struct mt_pass pass;
};

static unsigned scale_of(const struct mt_trace *trace)
{
    return mt_pass_is_sampled(trace) ? MT_WEIGHT_SCALE_BITS : 0;
}

struct mt_resident *mt_resident_new(struct mt_trace *trace)
{
    struct mt_resident *r = mt_alloc_zero(1, sizeof *r);
    struct mt_trace_set set = { &trace, 1 };
    struct mt_axis axis;
    mt_axis_make(&set, &axis);
    r->trace = trace;
    r->options = MT_ANALYSIS_DEFAULTS;
    r->flags = mt_trace_info(trace)->flags;
    r->timeline = mt_alloc(INTERVALS * sizeof *r->timeline);
    mt_run_heap_init(&r->heap, scale_of(trace), r->timeline, INTERVALS, FIRST_INTERVAL_NS);
    r->heap.timeline_grows = true;
    r->heap.alone = true;
    mt_pass_init(&r->pass, trace, &r->options, &r->heap, &axis.spans[0]);
    mt_axis_fini(&axis);
    return r;
}

void mt_resident_free(struct mt_resident *r)
{
    if (r != NULL) {
        mt_pass_fini(&r->pass);
        mt_run_marks_fini(&r->marks);
        free(r->held);
        free(r->timeline);
        free(r);
    }
}

/* The marks so far, and behind everything counted those that are new? */
static bool goes_on(const struct mt_resident *r, const struct mt_run_marks *marks)
{
    for (size_t i = 0; i < r->marks.count; i++) {
        if (i >= marks->count || marks->items[i].time_ns != r->marks.items[i].time_ns) {
            return false;
        }
    }
    return marks->count == r->marks.count || r->pass.events == 0 || marks->items[r->marks.count].time_ns >= r->pass.now_ns;
}

static bool refresh_marks(struct mt_resident *r)
{
    struct mt_run_marks marks;
    struct mt_trace_set set = { &r->trace, 1 };
    struct mt_axis axis = { .spans = &r->pass.span, .count = 1 };
    mt_run_marks_find(&set, &axis, &marks);
    bool good = goes_on(r, &marks);
    mt_run_marks_fini(&r->marks);
    r->marks = marks;
    r->held = mt_alloc_grow(r->held, &r->held_capacity, marks.count + 1, sizeof *r->held);
    mt_run_heap_watch(&r->heap, &r->marks, r->held);
    return good;
}

bool mt_resident_refresh(struct mt_resident *r)
{
    bool ended = mt_moment_find(r->trace, MT_MOMENT_END).clock != UINT64_MAX;
    r->pass.stack_count = (uint32_t)mt_trace_stack_count(r->trace);
    return refresh_marks(r) && !ended && mt_trace_info(r->trace)->flags == r->flags && scale_of(r->trace) == r->heap.scale_bits;
}

void mt_resident_add(struct mt_resident *r, const struct mt_event *events, size_t count)
{
    mt_pass_apply(&r->pass, events, count);
}

/* ---- looking ---------------------------------------------------------------------------------------------------- */

bool mt_resident_answers(const struct mt_analysis_options *options)
{
    const struct mt_analysis_options counted = MT_ANALYSIS_DEFAULTS;
    return options->stop_ns == counted.stop_ns && options->live_at == MT_MOMENT_END && options->window_start_ns == 0 &&
           !options->window_from_moment && options->temporary_max == counted.temporary_max && options->only_tid == 0;
}

/* So many intervals as one, at most `most` of them, up to end_ns. */
static void join_intervals(struct mt_analysis *a, size_t most, uint64_t step_ns, uint64_t end_ns)
{
    size_t parts = (a->timeline_count + most - 1) / most, count = 0;
    for (size_t from = 0; from < a->timeline_count; from += parts) {
        size_t to = from + parts < a->timeline_count ? from + parts : a->timeline_count;
        struct mt_timeline_point point = a->timeline[from];
        for (size_t i = from + 1; i < to; i++) {
            point = mt_run_heap_join(&point, &a->timeline[i]);
        }
        point.time_ns = to == a->timeline_count ? end_ns : step_ns * to;
        a->timeline[count++] = point;
    }
    a->timeline_count = count;
}

/* The rest of the timeline and the marks, as if the process ended now. */
static void look_at_heap(const struct mt_resident *r, const struct mt_analysis_options *options, uint64_t end_ns, struct mt_analysis *a)
{
    struct mt_run_heap heap = r->heap;
    a->timeline = mt_alloc(INTERVALS * sizeof *a->timeline);
    memcpy(a->timeline, r->timeline, r->heap.timeline_at * sizeof *a->timeline);
    memcpy(a->held, r->held, r->marks.count * sizeof *a->held);
    heap.timeline = a->timeline;
    mt_run_heap_watch(&heap, &a->marks, a->held);
    mt_run_heap_finish(&heap, end_ns, UINT64_MAX);
    a->timeline_count = options->timeline_points > 0 ? heap.timeline_count : 0;
    if (a->timeline_count > 0) {
        join_intervals(a, options->timeline_points, heap.timeline_step_ns, end_ns);
    }
}

void mt_resident_view(const struct mt_resident *r, const struct mt_trace_set *set, const struct mt_analysis_options *options,
                      const struct mt_cursor_losses *losses, struct mt_analysis *ret)
{
    size_t sites = 0, threads = 0;
    mt_analysis_begin(set, ret);
    struct mt_span *span = &ret->axis.spans[0];
    uint64_t end_ns = r->pass.now_ns > span->end_ns ? r->pass.now_ns : span->end_ns;
    span->end_ns = end_ns;
    ret->live_at[0] = (struct mt_live_at){ end_ns, MT_MOMENT_EXIT };
    ret->totals.duration_ns = end_ns;
    ret->totals.peak_time_ns = mt_run_heap_peak_ns(&r->heap);
    ret->totals.losses = *losses;
    look_at_heap(r, options, end_ns, ret);
    mt_pass_collect(&r->pass, &(struct mt_collect_as){ .end_ns = end_ns, .run_ns = end_ns }, ret, &sites, &threads);
    mt_analysis_complete(set, options, ret);
}
