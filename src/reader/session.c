/* session.c: one trace, read again and again while it is written to.
 *
 * The cut: a live trace is read up to the moment the snapshot was asked for, by the clock of its events. Everything the asking thread
 * did before is older; so is everything other threads had written down. Their later records are left for the next
 * snapshot, except those of the few ms that the recorder's clock lags behind (analysis/alive.h says why these do no harm).
 * A trace whose process is gone, or of another machine or boot, whose clock is another, is read to the END of its program
 * (model/moment.h).
 * What was read is kept between readings. All is read again when the follow began anew (model/follow.h), and when other samples are
 * counted or more freed ones kept than before.
 * Names are kept between readings: numbers in a trace only ever grow. They are made anew when an earlier reading had
 * damaged metadata and this one has not, because module numbers may then mean other modules. Context: [tool].
 */
#include "reader/session.h"

#include "analysis/analysis.h"
#include "base/os.h"
#include "reader/failure.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

enum { ANEW_TRIES = 3 };

static void drop_samples(struct mt_session *s)
{
    if (s->generation != 0) {
        mt_sampleset_fini(&s->samples);
        s->generation = 0;
    }
}

static void session_fini(struct mt_session *s)
{
    for (size_t i = 0; i < s->retired_count; i++) {
        mt_frames_free(s->retired[i]);
    }
    mt_frames_free(s->names.frames[0]);
    mt_frames_free(s->names.frames[1]);
    drop_samples(s);
    mt_follow_free(s->follow);
    free(s->retired);
    free(s->path);
    free(s);
}

static void retire_names(struct mt_session *s)
{
    for (size_t i = 0; i < MT_COUNTOF(s->names.frames); i++) {
        if (s->names.frames[i] != NULL) {
            s->retired = mt_alloc_grow(s->retired, &s->retired_capacity, s->retired_count + 1, sizeof(struct mt_frames *));
            s->retired[s->retired_count++] = s->names.frames[i];
            s->names.frames[i] = NULL;
        }
    }
}

static struct mt_session_identity identity_of(const struct mt_trace *trace)
{
    const struct mt_trace_completeness *c = mt_trace_completeness(trace);
    return (struct mt_session_identity){ .pid = mt_trace_info(trace)->pid,
                                         .start_clock = mt_trace_info(trace)->start_clock,
                                         .metadata_broken = c->metadata_broken,
                                         .broken_offset = c->metadata_broken ? c->metadata_error.offset : 0 };
}

static bool numbered_alike(const struct mt_session_identity *a, const struct mt_session_identity *b)
{
    return a->metadata_broken == b->metadata_broken && a->broken_offset == b->broken_offset && a->pid == b->pid &&
           a->start_clock == b->start_clock;
}

/* The trace as it is now. */
static mt_status poll_trace(struct mt_session *s, struct mt_error *err)
{
    struct mt_wire_error wire = { 0 };
    mt_status status = mt_follow_poll(s->follow, &wire);
    s->trace = mt_follow_trace(s->follow);
    if (status != MT_OK) {
        return mt_failure_explain_open(status, s->path, &wire, err);
    }
    if ((mt_trace_info(s->trace)->flags & MT_TRACE_AGGREGATE) != 0) {
        return mt_error_set(err, MT_E_UNSUPPORTED, "%s was recorded with --aggregate: it holds sums, no single allocations; "
                            "use the reports, or record without --aggregate", s->path);
    }
    struct mt_session_identity identity = identity_of(s->trace);
    if (!numbered_alike(&s->identity, &identity)) {
        retire_names(s);
    }
    s->identity = identity;
    return MT_OK;
}

/* Can what is asked for be seen in the samples there are? */
static bool samples_serve(const struct mt_session *s, const struct mt_snapshot_options *options)
{
    return s->samples.since_clock == options->since_ns && s->samples.freed_limit >= options->freed_limit;
}

/* Samples that are of the events delivered so far, and serve. */
static mt_status ready_samples(struct mt_session *s, const struct mt_snapshot_options *options, struct mt_error *err)
{
    mt_status status = MT_OK;
    bool present = s->generation != 0 && s->generation == mt_follow_generation(s->follow);
    if (present && !samples_serve(s, options)) {
        mt_follow_restart(s->follow);
        status = poll_trace(s, err);
        present = false;
    }
    if (status == MT_OK && !present) {
        drop_samples(s);
        bool growth = (mt_trace_info(s->trace)->flags & MT_TRACE_GROWTH) != 0;
        mt_sampleset_init(&s->samples, options->since_ns, options->freed_limit, mt_trace_stack_count(s->trace), growth);
        s->generation = mt_follow_generation(s->follow);
    }
    if (status == MT_OK) {
        mt_sampleset_grow(&s->samples, mt_trace_stack_count(s->trace));
        s->events_before = s->samples.events;
    }
    return status;
}

mt_status mt_session_names(struct mt_session *s, bool addresses_only, struct mt_snapshot *snapshot,
                           struct mt_frames **ret)
{
    size_t which = addresses_only ? 1 : 0;
    if (s->names.frames[which] == NULL) {
        struct mt_frames_options options = { .interpreter = true, .no_symbols = addresses_only, .all_frames = true };
        mt_status status = mt_frames_new(&s->set, &options, &s->names.frames[which]);
        if (status != MT_OK) {
            return status;
        }
        s->names.number[which] = ++s->sets_made;
    }
    *ret = s->names.frames[which];
    snapshot->frames = s->names.frames[which];
    snapshot->frame_set = s->names.number[which];
    return MT_OK;
}

struct opening {
    const char *path;
    size_t place;
    struct mt_session *session;
};

static mt_status open_body(void *context, struct mt_error *err)
{
    struct opening *o = context;
    o->session = mt_alloc_zero(1, sizeof *o->session);
    o->session->path = mt_strdup(o->path);
    o->session->follow = mt_follow_new(o->path, o->place);
    o->session->set = (struct mt_trace_set){ .traces = &o->session->trace, .count = 1 };
    mt_status status = poll_trace(o->session, err); /* to fail now rather than at the first snapshot */
    mt_follow_rest(o->session->follow);
    return status;
}

int mt_session_open_place(const char *path, size_t place, struct mt_session **ret, struct mt_profile_failure *failure)
{
    struct opening opening = { .path = path, .place = place };
    int code = mt_failure_guard(open_body, &opening, NULL, failure);
    if (code == MT_PROFILE_OK) {
        *ret = opening.session;
    } else if (opening.session != NULL && code != MT_PROFILE_NO_MEMORY) {
        session_fini(opening.session);
    }
    return code;
}

int mt_session_open(const char *path, struct mt_session **ret, struct mt_profile_failure *failure)
{
    return mt_session_open_place(path, 0, ret, failure);
}

void mt_session_close(struct mt_session *session)
{
    if (session != NULL && !session->dead) { /* what ran out of memory half-way is not touched again */
        session_fini(session);
    }
}

struct taking {
    struct mt_session *session;
    struct mt_snapshot_options options;
    struct mt_snapshot *snapshot;
};

static mt_status take_once(struct taking *t, struct mt_error *err)
{
    struct mt_session *s = t->session;
    struct mt_tsc_moment asked = mt_trace_moment();
    mt_status status = poll_trace(s, err);
    if (status == MT_OK) {
        status = ready_samples(s, &t->options, err);
    }
    if (status != MT_OK) {
        return status;
    }
    const struct mt_trace_info *info = mt_trace_info(s->trace);
    uint64_t cut_clock = mt_trace_is_live(info, asked.ns) ? mt_trace_clock_at(info, &asked) : mt_analysis_end_clock(s->trace);
    t->snapshot = mt_alloc_zero(1, sizeof *t->snapshot);
    return mt_snapshot_take(s, &t->options, cut_clock, t->snapshot, err);
}

/* What has to be read anew (model/follow.h) is; while it is, the trace may be packed, which happens once in its life. */
static mt_status snapshot_body(void *context, struct mt_error *err)
{
    struct taking *t = context;
    mt_status status = take_once(t, err);
    for (unsigned tries = 0; status == MT_E_BUSY && tries < ANEW_TRIES; tries++) {
        mt_snapshot_free(t->snapshot);
        t->snapshot = NULL;
        *err = (struct mt_error){ 0 };
        status = take_once(t, err);
    }
    mt_follow_rest(t->session->follow);
    return status;
}

int mt_session_snapshot(struct mt_session *session, const struct mt_snapshot_options *options,
                        struct mt_snapshot **ret, struct mt_profile_failure *failure)
{
    struct taking taking = { .session = session };
    if (options != NULL) { /* a caller built with an older header knows fewer fields */
        size_t known = options->struct_bytes;
        memcpy(&taking.options, options, known < sizeof taking.options ? known : sizeof taking.options);
    }
    int code = mt_failure_guard(snapshot_body, &taking, &session->dead, failure);
    if (code == MT_PROFILE_OK) {
        *ret = taking.snapshot;
    } else if (code != MT_PROFILE_NO_MEMORY) {
        mt_snapshot_free(taking.snapshot);
    }
    return code;
}
