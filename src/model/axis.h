/* axis.h: one axis of time for the processes of a run.
 *
 * Decides: time 0 is the start of the earliest process, and a process holds nothing before its start and after its end.
 * Headers give starts and ends as CLOCK_MONOTONIC, which all processes of a boot share. Where the wall clock says that
 * two traces are of different boots (their clocks are more than MT_SAME_BOOT_NS apart), the later one is placed by the wall
 * clock. A process that was killed ends when the tool found it dead (header, end_within_ns), or else with the last thing
 * known of it; a process that still records ends with the axis. Rejected: the wall clock for all, which is set now and then, so that a child would begin before its parent.
 * Context: [tool].
 */
#ifndef MT_MODEL_AXIS_H
#define MT_MODEL_AXIS_H

#include "model/ticks.h"
#include "model/trace.h"

/* The life of one process on the axis. */
struct mt_span {
    uint64_t start_ns, end_ns;
    uint64_t start_clock; /* the trace's clock at start_ns */
    bool live;            /* still recording: the end is not the end */
    struct mt_ticks *ticks; /* what makes times of clocks that were counted; NULL: they are times. The trace's */
};

struct mt_axis {
    struct mt_span *spans; /* of each trace of the set */
    size_t count;
    uint64_t duration_ns;       /* to the latest end */
    uint64_t origin_realtime_ns; /* wall clock at time 0; 0 for an empty set */
};

void mt_axis_make(const struct mt_trace_set *set, struct mt_axis *ret);
void mt_axis_fini(struct mt_axis *axis);

/* The last clock of a trace that is not after time_ns; 0, before every event, when it began later. */
uint64_t mt_span_clock(const struct mt_span *span, uint64_t time_ns);

/* The time on the axis up to which what was freed is missing from some trace of the set (kept below a size); 0: from none. */
uint64_t mt_axis_horizon(const struct mt_axis *axis, const struct mt_trace_set *set);

/* Clock of a trace to time on the axis; clocks before the start, which a coarse clock makes, are at the start. */
MT_INLINE uint64_t mt_span_time(const struct mt_span *span, uint64_t clock)
{
    if (MT_UNLIKELY(span->ticks != NULL)) {
        clock = mt_ticks_time(span->ticks, clock);
    }
    return clock > span->start_clock ? span->start_ns + (clock - span->start_clock) : span->start_ns;
}

#endif
