/* followed.h: one trace, read once while it is written to, for everybody who counts its events.
 *
 * Decides: who counts. Samples (sampleset.h) and the analysis of reports (analysis/resident.h) are made when they are first asked for, and
 * from then on see each event once, whoever's question reads it. All is read from the beginning when somebody begins to count
 * who did not, when other samples are counted or more freed ones kept than before, and when the follow began anew
 * (model/follow.h).
 * Names are kept between readings: numbers in a trace only ever grow. They are made anew when an earlier reading had
 * damaged metadata and this one has not, because module numbers may then mean other modules; texts handed out before stay good.
 * The cut of a snapshot: a live trace is read up to the moment the snapshot was asked for, by the clock of its events. Everything the
 * asking thread did before is older; so is everything other threads had written down. Their later records are left for the next
 * question, except those of the few ms that the recorder's clock lags behind (analysis/alive.h says why these do no harm).
 * A trace whose process is gone, or of another machine or boot, whose clock is another, is read to the END of its program
 * (model/moment.h). Context: [tool], one thread at a time.
 */
#ifndef MT_READER_FOLLOWED_H
#define MT_READER_FOLLOWED_H

#include "analysis/resident.h"
#include "memtap/profile.h"
#include "model/follow.h"
#include "model/frames.h"
#include "model/trace.h"
#include "reader/sampleset.h"
#include "util/error.h"

/* Which frames of Python stacks, how much folded (model/frames.h). */
enum mt_frames_shown { MT_FRAMES_NATIVE = 1, MT_FRAMES_ALL = 2, MT_FRAMES_ADDRESSES = 4, MT_FRAMES__COUNT }; /* the last one stands alone */

/* What must be alike for numbers to mean the same in two readings of a file. */
struct mt_followed_identity {
    uint64_t pid, start_clock;
    bool metadata_broken;
    uint64_t broken_offset;
};

struct mt_followed {
    char *path;
    size_t place;
    struct mt_follow *follow;
    struct mt_trace *trace;     /* the follow's; NULL after a failure */
    struct mt_trace_set set;    /* traces points at `trace` */
    struct mt_followed_identity identity; /* of the last reading */
    uint64_t generation;        /* whose events were counted; 0: none were */
    uint64_t events;            /* of it, delivered so far */
    uint64_t events_before;     /* of these, before the present question */
    uint64_t events_read;       /* in all, those that were read again included */
    bool has_samples;
    struct mt_sampleset samples;
    struct mt_resident *resident; /* NULL: nobody asked */
    struct mt_frames *frames[MT_FRAMES__COUNT]; /* NULL until needed */
    uint32_t frame_set[MT_FRAMES__COUNT];       /* number of each */
    uint32_t *sets_made;                       /* the recording's */
    struct mt_frames **retired;
    size_t retired_count, retired_capacity;
};

/* sets_made: counts the resolvers that were made, so that each has a number of its own; outlives it. */
struct mt_followed *mt_followed_new(const char *path, size_t place, uint32_t *sets_made);
void mt_followed_free(struct mt_followed *f); /* NULL is fine */

/* The trace as it is now. Errors with a sentence. */
mt_status mt_followed_poll(struct mt_followed *f, struct mt_error *err) MT_CHECKED;
/* Nothing more is read before the next poll: no descriptor is held. */
void mt_followed_rest(struct mt_followed *f);

/* Asked now and then while events are read; true ends that with MT_E_INTERRUPTED. */
struct mt_interruption {
    bool (*asked)(void *context); /* may be NULL */
    void *context;
};
/* Polls, and reads what is new up to and including the cut of a snapshot into the samples; *ret_cut: that clock. */
mt_status mt_followed_read_samples(struct mt_followed *f, const struct mt_snapshot_options *options, uint64_t *ret_cut,
                                   struct mt_error *err) MT_CHECKED;
/* After a poll: reads all that is new into the analysis. MT_E_UNSUPPORTED: this trace has to be read as a whole. Without a sentence. */
mt_status mt_followed_read_analysis(struct mt_followed *f, struct mt_interruption interruption) MT_CHECKED;

/* The resolver over `set`, made at first use. names: sum of enum mt_frames_shown. */
mt_status mt_followed_frames(struct mt_followed *f, unsigned names, struct mt_frames **ret) MT_CHECKED;

#endif
