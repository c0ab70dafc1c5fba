/* recording.c: see recording.h, and the public half of it. Context: [tool]. */
#include "reader/recording.h"

#include "base/os.h"
#include "export/report.h"
#include "model/axis.h"
#include "reader/failure.h"
#include "util/memory.h"
#include "util/tracepath.h"

#include <stdlib.h>
#include <string.h>

static mt_status open_set(struct mt_recording *r, struct mt_error *err)
{
    struct mt_wire_error wire = { 0 };
    char *path = NULL;
    mt_status status = mt_trace_set_open((const char *const *)r->paths.items, r->paths.count, &r->set, &wire, &path);
    if (status != MT_OK) {
        (void)mt_failure_explain_open(status, path != NULL ? path : r->paths.items[0], &wire, err);
    }
    free(path);
    return status;
}

static void close_set(struct mt_recording *r)
{
    mt_sql_close(r->sql); /* before what it borrows */
    r->sql = NULL;
    mt_memo_clear(&r->memo);
    for (size_t i = 0; i < MT_COUNTOF(r->frames); i++) {
        mt_frames_free(r->frames[i]);
        r->frames[i] = NULL;
    }
    if (r->set_is_live) {
        r->set = (struct mt_trace_set){ 0 };
        r->set_is_live = false;
    }
    mt_trace_set_close(&r->set);
}

mt_status mt_recording_make(char *const *operands, size_t count, struct mt_recording **ret, struct mt_error *err)
{
    struct mt_recording *r = mt_alloc_zero(1, sizeof *r);
    r->turn = (pthread_mutex_t)PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
    mt_status status = mt_tracepath_expand(operands, (int)count, &r->paths, err);
    if (status == MT_OK) {
        status = open_set(r, err);
    }
    if (status != MT_OK) {
        mt_recording_free(r);
        return status;
    }
    *ret = r;
    return MT_OK;
}

/* All that was read; can be called wherever reading it was left. */
static void forget(void *recording)
{
    struct mt_recording *r = recording;
    if (r->sql_runs) { /* SQLite was left inside a call of it: it cannot be ended, and is never called again */
        r->sql = NULL;
        r->sql_runs = false;
    }
    close_set(r);
    for (size_t i = 0; i < r->followed_count; i++) {
        mt_followed_free(r->followed[i]);
    }
    free(r->followed);
    r->live = NULL;
    r->followed = NULL;
    r->followed_count = r->followed_capacity = 0;
    r->forgotten++;
}

void mt_recording_free(struct mt_recording *r)
{
    if (r != NULL) {
        forget(r);
        mt_strlist_clear(&r->paths);
        free(r);
    }
}

/* ---- traces that grow ------------------------------------------------------------------------------------------ */

static struct mt_followed *follow(struct mt_recording *r, const char *path, size_t place)
{
    for (size_t i = 0; i < r->followed_count; i++) {
        if (r->followed[i]->place == place && strcmp(r->followed[i]->path, path) == 0) {
            return r->followed[i];
        }
    }
    r->followed = mt_alloc_grow(r->followed, &r->followed_capacity, r->followed_count + 1, sizeof(struct mt_followed *));
    r->followed[r->followed_count] = mt_followed_new(path, place, &r->sets_made);
    return r->followed[r->followed_count++];
}

static bool is_growing(const struct mt_trace *trace)
{
    const struct mt_trace_info *info = mt_trace_info(trace);
    return info->state == MT_STATE_RECORDING && (info->flags & MT_TRACE_AGGREGATE) == 0;
}

/* One process that still records, whose file has no other one in it or beside it. */
static bool is_alone(const struct mt_recording *r, const struct mt_trace_set *set)
{
    struct mt_strlist others = { 0 };
    bool alone = r->paths.count == 1 && set->count == 1 && is_growing(set->traces[0]) && mt_trace_place(set->traces[0]) == 0 &&
                 mt_trace_nested_count(set->traces[0]) == 0;
    if (alone) {
        mt_tracepath_others(r->paths.items[0], &others);
    }
    alone = alone && others.count == 0;
    mt_strlist_clear(&others);
    return alone;
}

/* The live trace as it is now; MT_E_BUSY: it is alone, or growing, no more. What is read as a whole is opened first: names are those of
 * the live trace, which knows at least as much then. */
static mt_status refresh_live(struct mt_recording *r, bool whole, struct mt_error *err)
{
    mt_status status = MT_OK;
    close_set(r);
    if (whole) {
        status = open_set(r, err);
    }
    if (status == MT_OK) {
        status = mt_followed_poll(r->live, err);
    }
    if (status != MT_OK) {
        return status;
    }
    if (!is_alone(r, &r->live->set) || (whole && r->set.count != 1)) {
        return MT_E_BUSY;
    }
    if (!whole) {
        r->set = r->live->set;
        r->set_is_live = true;
    }
    return MT_OK;
}

/* Was something not finished when it was opened? */
static bool is_stale(const struct mt_recording *r)
{
    bool stale = r->set.count == 0; /* an earlier refresh failed */
    for (size_t i = 0; i < r->set.count; i++) {
        stale = stale || mt_trace_info(r->set.traces[i])->state == MT_STATE_RECORDING;
    }
    return stale;
}

mt_status mt_recording_refresh(struct mt_recording *r, bool whole, struct mt_error *err)
{
    if (r->live == NULL && is_alone(r, &r->set)) {
        r->live = follow(r, r->paths.items[0], 0);
    }
    if (r->live != NULL) {
        mt_status status = refresh_live(r, whole, err);
        if (status != MT_E_BUSY) {
            return status;
        }
        r->live = NULL;
        close_set(r);
    }
    if (!is_stale(r)) {
        return MT_OK;
    }
    close_set(r);
    return open_set(r, err);
}

mt_status mt_recording_no_such_trace(const struct mt_recording *r, size_t trace, struct mt_error *err)
{
    return mt_error_set(err, MT_E_INVAL, "there is no trace number %zu: the recording has %zu, from 0 on", trace, r->set.count);
}

mt_status mt_recording_followed(struct mt_recording *r, size_t trace, struct mt_followed **ret, struct mt_error *err)
{
    if (r->live != NULL && trace == 0) {
        *ret = r->live;
        return MT_OK;
    }
    mt_status status = trace < r->set.count ? MT_OK : mt_recording_refresh(r, false, err);
    if (status == MT_OK && trace >= r->set.count) {
        status = mt_recording_no_such_trace(r, trace, err);
    }
    if (status != MT_OK) {
        return status;
    }
    *ret = follow(r, mt_trace_info(r->set.traces[trace])->path, mt_trace_place(r->set.traces[trace]));
    return MT_OK;
}

static void rest(struct mt_recording *r)
{
    if (r->live != NULL) {
        mt_followed_rest(r->live);
    }
    if (r->live != NULL && r->live->trace == NULL) { /* it could not be read */
        close_set(r);
    }
}

/* The turn is no part of what a recording says. */
static pthread_mutex_t *turn_of(const struct mt_recording *r)
{
    return (pthread_mutex_t *)(uintptr_t)&r->turn;
}

bool mt_recording_enter(const struct mt_recording *r)
{
    return pthread_mutex_lock(turn_of(r)) == 0;
}

void mt_recording_leave(const struct mt_recording *r)
{
    (void)pthread_mutex_unlock(turn_of(r));
}

int mt_recording_call(struct mt_recording *r, mt_status (*body)(void *context, struct mt_error *err), void *context,
                      struct mt_profile_failure *failure)
{
    if (!mt_recording_enter(r)) {
        return mt_failure_usage(failure, "this recording is being asked: do not ask it again from a callback");
    }
    int code = mt_failure_guard(body, context, forget, r, failure);
    rest(r);
    mt_recording_leave(r);
    return code;
}

/* ---- names ----------------------------------------------------------------------------------------------------- */

static mt_status make_frames(struct mt_recording *r, unsigned names, struct mt_frames **ret)
{
    if (r->live != NULL) {
        return mt_followed_frames(r->live, names, ret);
    }
    mt_status status = MT_OK;
    if (r->frames[names] == NULL) {
        struct mt_frames_options shown = { .interpreter = (names & MT_FRAMES_NATIVE) != 0,
                                           .python_only = (names & MT_FRAMES_NATIVE) == 0,
                                           .all_frames = (names & MT_FRAMES_ALL) != 0 };
        status = mt_frames_new(&r->set, &shown, &r->frames[names]);
    }
    *ret = r->frames[names];
    return status;
}

mt_status mt_recording_frames(struct mt_recording *r, bool native, bool all_frames, struct mt_frames **ret,
                              struct mt_error *err)
{
    mt_status status = make_frames(r, (native ? MT_FRAMES_NATIVE : 0u) | (all_frames ? MT_FRAMES_ALL : 0u), ret);
    return status == MT_OK ? status : mt_error_set(err, status, "cannot prepare the report: %s", mt_status_text(status));
}

/* ---- public ---------------------------------------------------------------------------------------------------- */

struct opening {
    const char *const *paths;
    size_t count;
    struct mt_recording *recording;
};

static mt_status open_body(void *context, struct mt_error *err)
{
    struct opening *o = context;
    struct mt_strlist operands = { 0 };
    for (size_t i = 0; i < o->count; i++) {
        mt_strlist_add(&operands, o->paths[i]);
    }
    mt_status status = mt_recording_make(operands.items, operands.count, &o->recording, err);
    mt_strlist_clear(&operands);
    if (status == MT_OK && is_alone(o->recording, &o->recording->set)) { /* from now on no descriptor is held */
        status = mt_recording_refresh(o->recording, false, err);
    }
    return status;
}

int mt_recording_open(const char *const *paths, size_t count, struct mt_recording **ret,
                      struct mt_profile_failure *failure)
{
    if (count == 0 || count > INT32_MAX) {
        return mt_failure_usage(failure, "which trace? give a file (*.mtap), several, or a folder");
    }
    struct opening opening = { .paths = paths, .count = count };
    int code = mt_failure_guard(open_body, &opening, NULL, NULL, failure);
    if (code == MT_PROFILE_OK) {
        rest(opening.recording);
        *ret = opening.recording;
    } else if (code != MT_PROFILE_NO_MEMORY) {
        mt_recording_free(opening.recording);
    }
    return code;
}

void mt_recording_close(struct mt_recording *recording)
{
    mt_recording_free(recording);
}

uint64_t mt_recording_events_read(const struct mt_recording *recording)
{
    uint64_t events = 0;
    bool entered = mt_recording_enter(recording);
    for (size_t i = 0; i < recording->followed_count; i++) {
        events += recording->followed[i]->events_read;
    }
    if (entered) {
        mt_recording_leave(recording);
    }
    return events;
}

const char *mt_recording_path(const struct mt_recording *recording, size_t file)
{
    return file < recording->paths.count ? recording->paths.items[file] : NULL;
}

struct asking {
    struct mt_recording *recording;
    struct mt_recording_info *info;
};

static mt_status info_body(void *context, struct mt_error *err)
{
    const struct asking *a = context;
    mt_status status = mt_recording_refresh(a->recording, false, err);
    if (status != MT_OK) {
        return status;
    }
    const struct mt_trace_set *set = &a->recording->set;
    const struct mt_trace_info *root = mt_trace_info(mt_report_root(set));
    struct mt_axis axis;
    mt_axis_make(set, &axis);
    *a->info = (struct mt_recording_info){
        .pid = root->pid,
        .process = root->process != 0 ? root->process : root->pid,
        .start_realtime_ns = root->start_realtime_ns,
        .start_clock_ns = root->start_clock,
        .duration_ns = axis.duration_ns,
        .rate_bytes = root->rate_bytes,
        .traces = set->count,
        .mode = mt_report_mode(root),
    };
    mt_axis_fini(&axis);
    for (size_t i = 0; i < set->count; i++) {
        const struct mt_trace_info *info = mt_trace_info(set->traces[i]);
        a->info->file_bytes += info->file_bytes;
        a->info->live = a->info->live || mt_trace_is_live(info, mt_os_monotonic_ns());
    }
    return MT_OK;
}

int mt_recording_info(struct mt_recording *recording, struct mt_recording_info *ret,
                      struct mt_profile_failure *failure)
{
    struct asking asking = { recording, ret };
    return mt_recording_call(recording, info_body, &asking, failure);
}

struct finding {
    struct mt_recording *recording;
    size_t trace;
    struct mt_recording_process *process;
};

static mt_status process_body(void *context, struct mt_error *err)
{
    const struct finding *f = context;
    mt_status status = mt_recording_refresh(f->recording, false, err);
    if (status != MT_OK) {
        return status;
    }
    if (f->trace >= f->recording->set.count) {
        return mt_recording_no_such_trace(f->recording, f->trace, err);
    }
    const struct mt_trace *trace = f->recording->set.traces[f->trace];
    const struct mt_trace_info *info = mt_trace_info(trace);
    *f->process = (struct mt_recording_process){
        .pid = info->pid, .start_clock_ns = info->start_clock, .path = info->path, .place = mt_trace_place(trace)
    };
    return MT_OK;
}

int mt_recording_process(struct mt_recording *recording, size_t trace, struct mt_recording_process *ret,
                         struct mt_profile_failure *failure)
{
    struct finding finding = { recording, trace, ret };
    return mt_recording_call(recording, process_body, &finding, failure);
}
