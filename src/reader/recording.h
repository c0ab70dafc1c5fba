/* recording.h: traces opened together, for as many reports as are wanted.
 *
 * Decides: what stays open between questions: the traces, the names already looked up, and of a trace that is still being
 * written to what was counted of it (followed.h). One process that is alone in its file is followed: a report that the analysis kept of it answers
 * (analysis/resident.h) costs what is new, any other reads the whole file once. Several processes that still run are opened anew for each
 * report: more of them may have come. Commands and the library's struct mt_recording are this. Several threads may ask one: what
 * is public waits for its turn, because each question may resolve names and read on. Rejected: a lock inside model/frames alone, as the
 * trace, whose columns move when it is polled, is read all the time. Context: [tool].
 */
#ifndef MT_READER_RECORDING_H
#define MT_READER_RECORDING_H

#include "memtap/profile.h"
#include "model/frames.h"
#include "model/trace.h"
#include "reader/followed.h"
#include "reader/selection.h"
#include "sql/sql.h"
#include "util/error.h"
#include "util/strlist.h"

#include <pthread.h>

struct mt_recording {
    struct mt_strlist paths; /* files */
    struct mt_trace_set set; /* what reports read: the recording's own, or `live`'s */
    bool set_is_live;
    struct mt_frames *frames[4]; /* over set, by what is shown (enum mt_frames_shown); NULL until needed; live has its own */
    struct mt_followed *live;    /* its only trace, as long as that grows; NULL: others, or nobody asked yet */
    struct mt_followed **followed; /* live, and those of snapshots */
    size_t followed_count, followed_capacity;
    uint32_t sets_made; /* resolvers of these, so far */
    struct mt_memo memo;         /* of set, once a report has read it */
    struct mt_sql *sql;          /* over set; NULL until a query */
    bool sql_runs;               /* a query is under way */
    uint32_t forgotten; /* how often all of the above was given up, for want of memory */
    pthread_mutex_t turn; /* of a public call: one at a time */
};

/* operands: files and folders. MT_E_NOENT … with a sentence. */
mt_status mt_recording_make(char *const *operands, size_t count, struct mt_recording **ret,
                            struct mt_error *err) MT_CHECKED;
void mt_recording_free(struct mt_recording *recording); /* NULL is fine */
/* Traces as they are now. whole: all of them can be read from the beginning; without it `set` may be live's, whose events are
 * those of mt_followed_read_analysis alone. */
mt_status mt_recording_refresh(struct mt_recording *recording, bool whole, struct mt_error *err) MT_CHECKED;
/* One of its traces, to be read while it grows; the recording's. MT_E_INVAL: there is none with that number. */
mt_status mt_recording_followed(struct mt_recording *recording, size_t trace, struct mt_followed **ret, struct mt_error *err) MT_CHECKED;
mt_status mt_recording_no_such_trace(const struct mt_recording *recording, size_t trace, struct mt_error *err);
/* mt_failure_guard for a call on this handle; after it no descriptor of what is followed is held. One that runs out of memory makes the
 * handle forget all that was read; the next one reads it again. */
int mt_recording_call(struct mt_recording *recording, mt_status (*body)(void *context, struct mt_error *err), void *context,
                      struct mt_profile_failure *failure);
/* For what is public and cannot fail: waits for the turn. False: this thread has it, in a callback. */
bool mt_recording_enter(const struct mt_recording *recording);
void mt_recording_leave(const struct mt_recording *recording);
/* The resolver with or without native frames in Python stacks, folded or with all frames (model/frames.h); the recording's,
 * good until refresh. */
mt_status mt_recording_frames(struct mt_recording *recording, bool native, bool all_frames, struct mt_frames **ret,
                              struct mt_error *err) MT_CHECKED;

#endif
