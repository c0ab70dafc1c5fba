/* merge.h: the events of all processes of a run in the order of the run. Private to analysis/.
 *
 * Decides: a lane for each trace; lanes are merged by time on the run's axis (ties: the order of the set), so that one
 * shared heap (pass.h) sees every moment of the run and its peak is the largest sum at one moment. A lane opens when its
 * process starts and gives back its live table when it ends, so memory follows what is alive at once. A lane of an
 * aggregate trace has no events: it holds its own peak all its life, which makes the run's peak an upper bound.
 * Context: [tool].
 */
#ifndef MT_ANALYSIS_MERGE_H
#define MT_ANALYSIS_MERGE_H

#include "analysis/pass.h"
#include "model/cursor.h"

enum mt_lane_state { MT_LANE_WAITING, MT_LANE_READING, MT_LANE_ENDING };

struct mt_lane {
    const struct mt_trace *trace;
    struct mt_span span;
    struct mt_pass pass;
    struct mt_cursor *cursor;
    struct mt_event *batch; /* while there are events */
    size_t at, count;       /* in the batch */
    uint64_t due_ns;        /* the next event, or the end */
    uint64_t end_ns;        /* last thing known of the process */
    enum mt_lane_state state;
    struct mt_moment_mark moment; /* to be held when events come behind it; clock UINT64_MAX: not, or done */
    struct mt_live_at live_at;
    bool opened;            /* the pass is in use */
    bool aggregate;
    uint64_t born_number, died_number; /* aggregate: peaks of the heap before its life, and at its end */
};

struct mt_merge {
    const struct mt_analysis_options *options;
    struct mt_run_heap heap;
    struct mt_lane *lanes; /* of each trace of the set */
    size_t lane_count;
    struct mt_lane **order; /* binary heap by due_ns */
    size_t order_count;
    struct mt_lane **ending; /* ended at ending_ns; they hold what they hold until time goes on */
    size_t ending_count;
    uint64_t ending_ns;
    uint64_t end_ns; /* the last thing known of the run */
    size_t batch_events;
    uint64_t done_bytes, total_bytes;
};

/* The axis is borrowed. */
void mt_merge_init(struct mt_merge *m, const struct mt_trace_set *set, const struct mt_axis *axis,
                   const struct mt_analysis_options *options);
/* Reads everything. MT_E_NOMEM, MT_E_IO, MT_E_INTERRUPTED. */
mt_status mt_merge_run(struct mt_merge *m) MT_CHECKED;
void mt_merge_fini(struct mt_merge *m);

#endif
