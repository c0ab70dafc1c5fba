/* axis.c: see axis.h. Context: [tool]. */
#include "model/axis.h"

#include "model/trace_private.h"
#include "util/memory.h"

#include <stdlib.h>

static const struct mt_trace_info *earliest(const struct mt_trace_set *set)
{
    const struct mt_trace_info *first = mt_trace_info(set->traces[0]);
    for (size_t i = 1; i < set->count; i++) {
        const struct mt_trace_info *info = mt_trace_info(set->traces[i]);
        first = info->start_realtime_ns < first->start_realtime_ns ? info : first;
    }
    return first;
}

/* Where a trace begins, from where `first` does: by the common clock, else by the wall clock. May be negative. */
static int64_t start_after(const struct mt_trace_info *first, const struct mt_trace_info *info)
{
    int64_t by_clock = (int64_t)(info->start_clock - first->start_clock);
    int64_t by_wall = (int64_t)(info->start_realtime_ns - first->start_realtime_ns);
    uint64_t apart = (uint64_t)by_clock - (uint64_t)by_wall + MT_SAME_BOOT_NS;
    return apart <= 2 * MT_SAME_BOOT_NS ? by_clock : by_wall;
}

static uint64_t end_of(uint64_t start_ns, uint64_t duration_ns)
{
    return duration_ns > UINT64_MAX - start_ns ? UINT64_MAX : start_ns + duration_ns;
}

/* A process that records goes on until now, whatever the last thing is that it wrote down. */
static uint64_t duration_until(const struct mt_trace_info *info, const struct mt_tsc_moment *now)
{
    uint64_t clock = mt_trace_clock_at(info, now);
    uint64_t until_now = clock > info->start_clock ? clock - info->start_clock : 0;
    return until_now > info->duration_ns ? until_now : info->duration_ns;
}

static void place(struct mt_axis *axis, size_t at, const struct mt_trace *trace, int64_t start, int64_t lowest)
{
    const struct mt_trace_info *info = mt_trace_info(trace);
    uint64_t start_ns = (uint64_t)start - (uint64_t)lowest;
    struct mt_tsc_moment now = mt_trace_moment();
    bool live = mt_trace_is_live(info, now.ns);
    axis->spans[at] = (struct mt_span){ .start_ns = start_ns,
                                        .end_ns = end_of(start_ns, live ? duration_until(info, &now) : info->duration_ns),
                                        .start_clock = info->start_clock,
                                        .live = live,
                                        .ticks = live ? NULL : mt_trace_ticks(trace) };
    axis->duration_ns = axis->spans[at].end_ns > axis->duration_ns ? axis->spans[at].end_ns : axis->duration_ns;
}

void mt_axis_make(const struct mt_trace_set *set, struct mt_axis *ret)
{
    int64_t lowest = 0;
    *ret = (struct mt_axis){ .spans = mt_alloc_zero(set->count + 1, sizeof *ret->spans), .count = set->count };
    if (set->count == 0) {
        return;
    }
    const struct mt_trace_info *first = earliest(set);
    for (size_t i = 0; i < set->count; i++) {
        int64_t start = start_after(first, mt_trace_info(set->traces[i]));
        lowest = start < lowest ? start : lowest;
    }
    for (size_t i = 0; i < set->count; i++) {
        place(ret, i, set->traces[i], start_after(first, mt_trace_info(set->traces[i])), lowest);
    }
    for (size_t i = 0; i < set->count; i++) {
        ret->spans[i].end_ns = ret->spans[i].live ? ret->duration_ns : ret->spans[i].end_ns;
    }
    ret->origin_realtime_ns = first->start_realtime_ns + (uint64_t)lowest;
}

void mt_axis_fini(struct mt_axis *axis)
{
    free(axis->spans);
    *axis = (struct mt_axis){ 0 };
}

uint64_t mt_span_clock(const struct mt_span *span, uint64_t time_ns)
{
    if (time_ns < span->start_ns) {
        return 0;
    }
    uint64_t after = time_ns - span->start_ns;
    uint64_t clock = after > UINT64_MAX - span->start_clock ? UINT64_MAX : span->start_clock + after;
    return span->ticks != NULL && clock != UINT64_MAX ? mt_ticks_clock(span->ticks, clock) : clock;
}

uint64_t mt_axis_horizon(const struct mt_axis *axis, const struct mt_trace_set *set)
{
    uint64_t horizon = 0;
    for (size_t i = 0; i < set->count; i++) {
        uint64_t clock = mt_trace_info(set->traces[i])->horizon_clock;
        uint64_t time = clock != 0 ? mt_span_time(&axis->spans[i], clock) : 0;
        horizon = time > horizon ? time : horizon;
    }
    return horizon;
}
