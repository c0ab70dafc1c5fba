/* recording.c: see recording.h, and the public half of it. Context: [tool]. */
#include "reader/recording.h"

#include "base/os.h"
#include "export/report.h"
#include "model/axis.h"
#include "reader/failure.h"
#include "reader/session.h"
#include "util/memory.h"
#include "util/tracepath.h"

#include <stdlib.h>

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
    for (size_t i = 0; i < MT_COUNTOF(r->frames); i++) {
        mt_frames_free(r->frames[i]);
        r->frames[i] = NULL;
    }
    mt_trace_set_close(&r->set);
}

mt_status mt_recording_make(char *const *operands, size_t count, struct mt_recording **ret, struct mt_error *err)
{
    struct mt_recording *r = mt_alloc_zero(1, sizeof *r);
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

void mt_recording_free(struct mt_recording *r)
{
    if (r != NULL) {
        close_set(r);
        mt_strlist_clear(&r->paths);
        free(r);
    }
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

mt_status mt_recording_refresh(struct mt_recording *r, struct mt_error *err)
{
    if (!is_stale(r)) {
        return MT_OK;
    }
    close_set(r);
    return open_set(r, err);
}

mt_status mt_recording_frames(struct mt_recording *r, bool native, bool all_frames, struct mt_frames **ret,
                              struct mt_error *err)
{
    struct mt_frames **frames = &r->frames[(native ? 1 : 0) + (all_frames ? 2 : 0)];
    if (*frames == NULL) {
        struct mt_frames_options shown = { .interpreter = native, .python_only = !native, .all_frames = all_frames };
        mt_status status = mt_frames_new(&r->set, &shown, frames);
        if (status != MT_OK) {
            return mt_error_set(err, status, "cannot prepare the report: %s", mt_status_text(status));
        }
    }
    *ret = *frames;
    return MT_OK;
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
    return status;
}

int mt_recording_open(const char *const *paths, size_t count, struct mt_recording **ret,
                      struct mt_profile_failure *failure)
{
    if (count == 0 || count > INT32_MAX) {
        return mt_failure_usage(failure, "which trace? give a file (*.mtap), several, or a folder");
    }
    struct opening opening = { .paths = paths, .count = count };
    int code = mt_failure_guard(open_body, &opening, NULL, failure);
    if (code == MT_PROFILE_OK) {
        *ret = opening.recording;
    }
    return code;
}

void mt_recording_close(struct mt_recording *recording)
{
    if (recording != NULL && !recording->dead) { /* what ran out of memory half-way is not touched again */
        mt_recording_free(recording);
    }
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
    mt_status status = mt_recording_refresh(a->recording, err);
    if (status != MT_OK) {
        return status;
    }
    const struct mt_trace_set *set = &a->recording->set;
    const struct mt_trace_info *root = mt_trace_info(mt_report_root(set));
    struct mt_axis axis;
    mt_axis_make(set, &axis);
    *a->info = (struct mt_recording_info){
        .pid = root->pid,
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
    return mt_failure_guard(info_body, &asking, &recording->dead, failure);
}

struct finding {
    struct mt_recording *recording;
    size_t trace;
    struct mt_recording_process *process;
};

static mt_status process_body(void *context, struct mt_error *err)
{
    const struct finding *f = context;
    mt_status status = mt_recording_refresh(f->recording, err);
    if (status != MT_OK) {
        return status;
    }
    if (f->trace >= f->recording->set.count) {
        return mt_error_set(err, MT_E_INVAL, "there is no trace number %zu: the recording has %zu, from 0 on", f->trace,
                            f->recording->set.count);
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
    return mt_failure_guard(process_body, &finding, &recording->dead, failure);
}
