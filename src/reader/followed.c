/* followed.c: see followed.h. Context: [tool]. */
#include "reader/followed.h"

#include "analysis/analysis.h"
#include "reader/failure.h"
#include "util/memory.h"

#include <stdlib.h>

enum { ANEW_TRIES = 3, BATCH_EVENTS = 4096, ASK_BATCHES = 16 };

/* ---- life ------------------------------------------------------------------------------------------------------- */

static void drop_counts(struct mt_followed *f)
{
    if (f->has_samples) {
        mt_sampleset_fini(&f->samples);
    }
    mt_resident_free(f->resident);
    f->has_samples = false;
    f->resident = NULL;
    f->generation = 0;
    f->events = 0;
}

struct mt_followed *mt_followed_new(const char *path, size_t place, uint32_t *sets_made)
{
    struct mt_followed *f = mt_alloc_zero(1, sizeof *f);
    f->path = mt_strdup(path);
    f->place = place;
    f->sets_made = sets_made;
    f->follow = mt_follow_new(path, place);
    f->set = (struct mt_trace_set){ .traces = &f->trace, .count = 1 };
    return f;
}

void mt_followed_free(struct mt_followed *f)
{
    if (f == NULL) {
        return;
    }
    for (size_t i = 0; i < f->retired_count; i++) {
        mt_frames_free(f->retired[i]);
    }
    for (size_t i = 0; i < MT_FRAMES__COUNT; i++) {
        mt_frames_free(f->frames[i]);
    }
    drop_counts(f);
    mt_follow_free(f->follow);
    free(f->retired);
    free(f->path);
    free(f);
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static void retire_names(struct mt_followed *f)
{
    for (size_t i = 0; i < MT_FRAMES__COUNT; i++) {
        if (f->frames[i] != NULL) {
            f->retired = mt_alloc_grow(f->retired, &f->retired_capacity, f->retired_count + 1, sizeof(struct mt_frames *));
            f->retired[f->retired_count++] = f->frames[i];
            f->frames[i] = NULL;
        }
    }
}

mt_status mt_followed_frames(struct mt_followed *f, unsigned names, struct mt_frames **ret)
{
    bool addresses = names == MT_FRAMES_ADDRESSES;
    bool native = addresses || (names & MT_FRAMES_NATIVE) != 0;
    if (f->frames[names] == NULL) {
        struct mt_frames_options options = { .interpreter = native,
                                             .python_only = !native,
                                             .no_symbols = addresses,
                                             .all_frames = addresses || (names & MT_FRAMES_ALL) != 0 };
        mt_status status = mt_frames_new(&f->set, &options, &f->frames[names]);
        if (status != MT_OK) {
            return status;
        }
        f->frame_set[names] = ++*f->sets_made;
    }
    *ret = f->frames[names];
    return MT_OK;
}

/* ---- the trace -------------------------------------------------------------------------------------------------- */

static struct mt_followed_identity identity_of(const struct mt_trace *trace)
{
    const struct mt_trace_completeness *c = mt_trace_completeness(trace);
    return (struct mt_followed_identity){ .pid = mt_trace_info(trace)->pid,
                                          .start_clock = mt_trace_info(trace)->start_clock,
                                          .metadata_broken = c->metadata_broken,
                                          .broken_offset = c->metadata_broken ? c->metadata_error.offset : 0 };
}

static bool numbered_alike(const struct mt_followed_identity *a, const struct mt_followed_identity *b)
{
    return a->metadata_broken == b->metadata_broken && a->broken_offset == b->broken_offset && a->pid == b->pid &&
           a->start_clock == b->start_clock;
}

mt_status mt_followed_poll(struct mt_followed *f, struct mt_error *err)
{
    struct mt_wire_error wire = { 0 };
    mt_status status = mt_follow_poll(f->follow, &wire);
    f->trace = mt_follow_trace(f->follow);
    if (status != MT_OK) {
        return mt_failure_explain_open(status, f->path, &wire, err);
    }
    struct mt_followed_identity identity = identity_of(f->trace);
    if (!numbered_alike(&f->identity, &identity)) {
        retire_names(f);
    }
    f->identity = identity;
    return MT_OK;
}

void mt_followed_rest(struct mt_followed *f)
{
    mt_follow_rest(f->follow);
}

/* ---- counting --------------------------------------------------------------------------------------------------- */

/* What a question needs to have been counted. */
struct wanted {
    bool analysis;
    bool samples;
    uint64_t since_clock;
    size_t freed_limit;
};

static bool is_counted(const struct mt_followed *f, const struct wanted *w)
{
    bool samples = f->has_samples && f->samples.since_clock == w->since_clock && f->samples.freed_limit >= w->freed_limit;
    return (!w->analysis || f->resident != NULL) && (!w->samples || samples);
}

static void begin_samples(struct mt_followed *f, uint64_t since_clock, size_t freed_limit)
{
    bool growth = (mt_trace_info(f->trace)->flags & MT_TRACE_GROWTH) != 0;
    if (f->has_samples) {
        mt_sampleset_fini(&f->samples);
        f->has_samples = false;
    }
    mt_sampleset_init(&f->samples, since_clock, freed_limit, mt_trace_stack_count(f->trace), growth);
    f->has_samples = true;
}

static void begin_analysis(struct mt_followed *f)
{
    mt_resident_free(f->resident);
    f->resident = NULL;
    f->resident = mt_resident_new(f->trace);
}

/* Everybody who counted begins with the first event of the present generation, and who is wanted too. */
static void begin_counting(struct mt_followed *f, const struct wanted *w)
{
    if (w->samples && !is_counted(f, &(struct wanted){ .samples = true, .since_clock = w->since_clock, .freed_limit = w->freed_limit })) {
        begin_samples(f, w->since_clock, w->freed_limit);
    } else if (f->has_samples) {
        begin_samples(f, f->samples.since_clock, f->samples.freed_limit);
    }
    if (w->analysis || f->resident != NULL) {
        begin_analysis(f);
    }
    f->generation = mt_follow_generation(f->follow);
    f->events = f->events_before = 0;
}

/* What is new in the trace's dictionaries, to everybody who counts; false: the analysis has to begin anew. */
static bool refresh_counts(struct mt_followed *f)
{
    if (f->has_samples) {
        mt_sampleset_grow(&f->samples, mt_trace_stack_count(f->trace));
    }
    return f->resident == NULL || mt_resident_refresh(f->resident);
}

/* After a poll: all that is wanted is counted of the events delivered so far. */
static mt_status ready(struct mt_followed *f, const struct wanted *w, struct mt_error *err)
{
    mt_status status = MT_OK;
    bool present = f->generation != 0 && f->generation == mt_follow_generation(f->follow);
    if (present && is_counted(f, w) && refresh_counts(f)) {
        f->events_before = f->events;
        return MT_OK;
    }
    if (present && f->events > 0) {
        mt_follow_restart(f->follow);
        status = mt_followed_poll(f, err);
    }
    if (status == MT_OK) {
        begin_counting(f, w);
    }
    if (status == MT_OK && !refresh_counts(f)) { /* no analysis of this trace */
        mt_resident_free(f->resident);
        f->resident = NULL;
        status = w->analysis ? MT_E_UNSUPPORTED : MT_OK;
    }
    return status;
}

static void count_events(struct mt_followed *f, const struct mt_event *events, size_t count)
{
    if (f->has_samples) {
        mt_sampleset_apply(&f->samples, events, count);
    }
    if (f->resident != NULL) {
        mt_resident_add(f->resident, events, count);
    }
    f->events += count;
    f->events_read += count;
}

static mt_status read_events(struct mt_followed *f, uint64_t cut_clock, struct mt_interruption interruption)
{
    mt_status status = mt_follow_begin(f->follow, cut_clock);
    struct mt_event *batch = mt_alloc(BATCH_EVENTS * sizeof *batch);
    size_t count = status == MT_OK;
    for (unsigned batches = 1; status == MT_OK && count > 0; batches++) {
        status = mt_follow_next(f->follow, batch, BATCH_EVENTS, &count);
        if (status == MT_OK) {
            count_events(f, batch, count);
        }
        if (batches % ASK_BATCHES == 0 && interruption.asked != NULL && interruption.asked(interruption.context)) {
            status = MT_E_INTERRUPTED;
        }
    }
    free(batch);
    return status;
}

static mt_status refuse_aggregate(const struct mt_followed *f, struct mt_error *err)
{
    return (mt_trace_info(f->trace)->flags & MT_TRACE_AGGREGATE) == 0
               ? MT_OK
               : mt_error_set(err, MT_E_UNSUPPORTED, "%s was recorded with --aggregate: it holds sums, no single allocations; "
                              "use the reports, or record without --aggregate", f->path);
}

static mt_status read_samples_once(struct mt_followed *f, const struct mt_snapshot_options *options, uint64_t *ret_cut, struct mt_error *err)
{
    struct wanted wanted = { .samples = true, .since_clock = options->since_ns, .freed_limit = options->freed_limit };
    struct mt_tsc_moment asked = mt_trace_moment();
    mt_status status = mt_followed_poll(f, err);
    status = status == MT_OK ? refuse_aggregate(f, err) : status;
    status = status == MT_OK ? ready(f, &wanted, err) : status;
    if (status != MT_OK) {
        return status;
    }
    const struct mt_trace_info *info = mt_trace_info(f->trace);
    *ret_cut = mt_trace_is_live(info, asked.ns) ? mt_trace_clock_at(info, &asked) : mt_analysis_end_clock(f->trace);
    status = read_events(f, *ret_cut, (struct mt_interruption){ options->interrupted, options->context });
    return status == MT_OK ? status : mt_error_set(err, status, "cannot read %s: %s", f->path, mt_status_text(status));
}

/* What has to be read anew (model/follow.h) is; while it is, the trace may be packed, which happens once in its life. */
mt_status mt_followed_read_samples(struct mt_followed *f, const struct mt_snapshot_options *options, uint64_t *ret_cut,
                                   struct mt_error *err)
{
    mt_status status = read_samples_once(f, options, ret_cut, err);
    for (unsigned tries = 0; status == MT_E_BUSY && tries < ANEW_TRIES; tries++) {
        *err = (struct mt_error){ 0 };
        status = read_samples_once(f, options, ret_cut, err);
    }
    return status;
}

mt_status mt_followed_read_analysis(struct mt_followed *f, struct mt_interruption interruption)
{
    struct wanted wanted = { .analysis = true };
    struct mt_error ignored = { 0 };
    mt_status status = MT_E_BUSY;
    for (unsigned tries = 0; status == MT_E_BUSY && tries <= ANEW_TRIES; tries++) {
        status = tries > 0 ? mt_followed_poll(f, &ignored) : MT_OK;
        status = status == MT_OK ? ready(f, &wanted, &ignored) : status;
        status = status == MT_OK ? read_events(f, UINT64_MAX, interruption) : status;
    }
    return status;
}
