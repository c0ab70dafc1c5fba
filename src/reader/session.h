/* session.h: the state of a session and of a snapshot. Private to reader/session.c and snapshot.c.
 *
 * session.c follows the trace (model/follow.h) and keeps what is alive in it and the resolvers, so that an event is read once and
 * a name is looked up once. What snapshot.c hands out is its own copy, except the texts of frames. Context: [tool], one
 * thread at a time.
 */
#ifndef MT_READER_SESSION_H
#define MT_READER_SESSION_H

#include "memtap/profile.h"
#include "model/follow.h"
#include "model/frames.h"
#include "model/pool.h"
#include "model/trace.h"
#include "reader/sampleset.h"
#include "util/error.h"

struct mt_session_names {
    struct mt_frames *frames[2]; /* with symbols, addresses only; NULL until needed */
    uint32_t number[2];          /* what mt_snapshot_frame_set says of each */
};

/* What must be alike for numbers to mean the same in two readings of a file. */
struct mt_session_identity {
    uint64_t pid, start_clock;
    bool metadata_broken;
    uint64_t broken_offset;
};

struct mt_session {
    char *path;
    struct mt_follow *follow;
    struct mt_trace *trace;     /* the follow's; NULL after a failure */
    struct mt_session_identity identity; /* of the last reading */
    struct mt_sampleset samples; /* of all events delivered in `generation` */
    uint64_t generation;        /* 0: there are no samples yet */
    uint64_t events_before;     /* of samples, when the snapshot under way was asked for */
    struct mt_trace_set set;    /* traces points at `trace` */
    struct mt_session_names names;
    struct mt_frames **retired; /* of readings that numbered modules otherwise; texts must stay good */
    size_t retired_count, retired_capacity;
    uint32_t sets_made;
    bool dead;
};

struct mt_snapshot {
    struct mt_snapshot_totals totals;
    struct mt_snapshot_sample *live, *freed;
    size_t live_count, freed_count;
    struct mt_snapshot_stack *stacks;
    size_t stack_count;
    struct mt_pool lists; /* frames of the stacks */
    const struct mt_frames *frames; /* the session's; NULL without stacks */
    uint32_t frame_set;
};

/* snapshot.c: reads what is new up to and including cut_clock into session->samples, and fills a zeroed snapshot from these. */
mt_status mt_snapshot_take(struct mt_session *session, const struct mt_snapshot_options *options, uint64_t cut_clock,
                           struct mt_snapshot *snapshot, struct mt_error *err) MT_CHECKED;

/* snapshot.c: a frame as the library shows it. */
struct mt_snapshot_frame mt_snapshot_frame_of(const struct mt_frames *frames, uint32_t spot);

/* session.c: the resolver that options ask for, made at first use. */
mt_status mt_session_names(struct mt_session *session, bool addresses_only, struct mt_snapshot *snapshot,
                           struct mt_frames **ret) MT_CHECKED;

#endif
