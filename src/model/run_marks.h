/* run_marks.h: what happened once in the processes of a run, in the order of time.
 *
 * Decides: which marks people ask about by name: snapshots, phases, memory that ran short and the first allocation that failed.
 * "oom" is the first failure of the run, "mark:N" its N-th snapshot; what several processes leave for one request (the mark's
 * value) is one snapshot, at the time of the first of them. Context: [tool], pure.
 */
#ifndef MT_MODEL_RUN_MARKS_H
#define MT_MODEL_RUN_MARKS_H

#include "model/axis.h"
#include "model/trace.h"

struct mt_run_mark {
    uint32_t trace_idx;
    const struct mt_trace_mark *mark; /* the trace's */
    uint64_t time_ns;                 /* on the axis: events up to it lie before the mark */
    uint32_t number;                  /* of a snapshot, from 1; 0: it is none */
};

struct mt_run_marks {
    struct mt_run_mark *items; /* by time */
    size_t count;
};

void mt_run_marks_find(const struct mt_trace_set *set, const struct mt_axis *axis, struct mt_run_marks *ret);
void mt_run_marks_fini(struct mt_run_marks *marks);

/* The first allocation that failed; NULL: none did. */
const struct mt_run_mark *mt_run_marks_oom(const struct mt_run_marks *marks);
/* Snapshot N, 0: the last one; NULL: there is none. */
const struct mt_run_mark *mt_run_marks_snapshot(const struct mt_run_marks *marks, uint64_t number);
/* How many snapshots there are. */
uint32_t mt_run_marks_snapshots(const struct mt_run_marks *marks);
/* "snapshot", "out-of-memory" … of enum mt_mark_kind; NULL: not known. */
const char *mt_mark_word(uint32_t kind);

#endif
