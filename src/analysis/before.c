/* before.c: what a trace with a horizon knows of the time before it.
 *
 * Its base has a row a site: what was allocated there in total, and what was alive there when most was (model/trace.h). They begin the
 * pass. What was still alive at the horizon comes once more as events, for its place and age: in the totals it is already, so these
 * begin anew when the horizon is passed. Meanwhile the heap rises to what was alive at the
 * horizon, which was no more than the peak. Context: [tool].
 */
#include "analysis/before.h"

#include "analysis/pass_life.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

static struct mt_variances variances_of(const struct mt_trace_sum *sum)
{
    return (struct mt_variances){ sum->bytes_variance, sum->count_variance };
}

static struct mt_pass_site *site_of(struct mt_pass *p, const struct mt_trace_site *from)
{
    const struct mt_event of = { .stack = from->stack, .stream = from->stream, .label = from->label };
    return mt_pass_site(p, &of, from->allocator, MT_STORAGE_HEAP, from->rate_bytes);
}

static void add_total(struct mt_pass *p, const struct mt_trace_site *from)
{
    struct mt_pass_site *s = site_of(p, from);
    const struct mt_variances variances = variances_of(&from->total);
    s->total.bytes += from->total.bytes;
    s->total.count += from->total.count;
    mt_pass_add_variance(&p->rest[s - p->sites].total, &variances, 1);
}

static void add_peak(struct mt_pass *p, const struct mt_trace_site *from)
{
    struct mt_pass_site *s = site_of(p, from);
    const struct mt_variances variances = variances_of(&from->peak);
    s->peak_bytes += from->peak.bytes;
    s->peak_count += from->peak.count;
    s->peak_number = p->heap->peak_number;
    mt_pass_add_variance(&p->rest[s - p->sites].peak, &variances, 1);
}

void mt_pass_begin_before(struct mt_pass *p)
{
    const struct mt_trace_before *before = mt_trace_before(p->trace);
    if (before == NULL || p->scale_bits != MT_WEIGHT_SCALE_BITS || p->options->only_tid != 0) {
        return;
    }
    p->base_clock = mt_trace_info(p->trace)->horizon_clock;
    if (p->heap->alone) {
        p->heap->peak = before->peak_units;
        p->heap->peak_ns = mt_span_time(&p->span, before->peak_clock);
        p->heap->peak_number++;
    }
    for (size_t i = 0; i < before->site_count; i++) {
        add_total(p, &before->sites[i]);
        if (p->heap->alone) {
            add_peak(p, &before->sites[i]);
        }
    }
}

void mt_pass_forget_repeated(struct mt_pass *p)
{
    const struct mt_trace_before *before = mt_trace_before(p->trace);
    for (size_t i = 0; i < p->site_count; i++) {
        if (p->sites[i].storage == MT_STORAGE_HEAP) { /* the base has rows of no others */
            p->sites[i].total = (struct mt_units){ 0 };
            p->rest[i].total = (struct mt_variances){ 0 };
        }
    }
    for (size_t i = 0; i < before->site_count; i++) {
        add_total(p, &before->sites[i]);
    }
}

/* ---- the timeline ------------------------------------------------------------------------------------------------------- */

static struct mt_timeline_point point_of(const struct mt_span *span, const struct mt_trace_point *from)
{
    return (struct mt_timeline_point){ .time_ns = mt_span_time(span, from->clock),
                                       .heap_bytes = from->held_bytes >> MT_WEIGHT_SCALE_BITS,
                                       .heap_max_bytes = from->most_bytes >> MT_WEIGHT_SCALE_BITS,
                                       .allocations = from->held_count >> MT_WEIGHT_SCALE_BITS };
}

/* The known intervals as at most `most`, which is not 0; returns how many. */
static size_t join_known(const struct mt_trace_before *before, const struct mt_span *span, size_t most, struct mt_timeline_point *to)
{
    size_t parts = (before->point_count + most - 1) / most, count = 0;
    for (size_t i = 0; i < before->point_count; i++) {
        struct mt_timeline_point point = point_of(span, &before->points[i]);
        bool joins = i % parts != 0;
        count -= joins;
        to[count] = joins ? mt_run_heap_join(&to[count], &point) : point;
        count++;
    }
    return count;
}

/* How many intervals end by the horizon, or begin before it. */
static size_t count_before(const struct mt_analysis *a, bool end)
{
    size_t count = 0;
    uint64_t begin = 0;
    while (count < a->timeline_count && (end ? a->timeline[count].time_ns : begin) < a->horizon_ns) {
        begin = a->timeline[count++].time_ns;
    }
    return count;
}

/* The first `gone` intervals become these `count`. */
static void replace(struct mt_analysis *a, size_t gone, const struct mt_timeline_point *points, size_t count)
{
    size_t left = a->timeline_count - gone;
    memmove(a->timeline + count, a->timeline + gone, left * sizeof *a->timeline);
    if (count > 0) {
        memcpy(a->timeline, points, count * sizeof *points);
    }
    a->timeline_count = count + left;
}

void mt_timeline_before(const struct mt_trace_set *set, struct mt_analysis *a)
{
    const struct mt_trace_before *before = set->count == 1 ? mt_trace_before(set->traces[0]) : NULL;
    if (a->timeline_count == 0 || a->horizon_ns == 0) {
        return;
    }
    size_t ended = count_before(a, true);
    if (before == NULL || before->point_count == 0 || ended == 0) {
        replace(a, count_before(a, false), NULL, 0);
        return;
    }
    struct mt_timeline_point *points = mt_alloc(before->point_count * sizeof *points);
    replace(a, ended, points, join_known(before, &a->axis.spans[0], ended, points));
    free(points);
}
