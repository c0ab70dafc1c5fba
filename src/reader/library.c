/* library.c: reports and conversions as the library offers them: from a query's texts to a text or a file. Context:
 * [tool]. */
#include "base/os.h"
#include "export/records.h"
#include "reader/diff_pair.h"
#include "reader/failure.h"
#include "reader/reports.h"
#include "reader/texts.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

/* ---- from a query's texts -------------------------------------------------------------------------------------- */

static mt_status read_times(const struct mt_profile_query *q, struct mt_selection *ret, struct mt_error *err)
{
    bool good = q->time != NULL && (ret->what == MT_SELECT_AT
                                        ? mt_timepoint_parse(q->time, strlen(q->time), &ret->times[0])
                                        : mt_timepoint_parse_pair(q->time, ret->times));
    return good ? MT_OK
                : mt_error_set(err, MT_E_INVAL,
                               "\"%s\" is not %s; a time is %s", q->time != NULL ? q->time : "",
                               ret->what == MT_SELECT_AT ? "a time" : "T0,T1", MT_TIMEPOINT_FORMS);
}

static mt_status read_selection(const struct mt_profile_query *q, struct mt_selection *ret, struct mt_error *err)
{
    static const char *const words[] = { "peak", "leaks", "temporary", "at", "between", "total" };
    const char *word = q->selection != NULL ? q->selection : words[0];
    *ret = (struct mt_selection){ .temporary_max = q->temporary_max > 0 || q->temporary_at_once ? q->temporary_max : 1,
                                  .thread = q->thread,
                                  .all = q->all };
    for (size_t i = 0; i < MT_COUNTOF(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            ret->what = (enum mt_selected)i;
            return i == MT_SELECT_AT || i == MT_SELECT_BETWEEN ? read_times(q, ret, err) : MT_OK;
        }
    }
    return mt_error_set(err, MT_E_INVAL, "selection \"%s\" is not one of peak, leaks, temporary, at, between, total", word);
}

static mt_status read_by(const struct mt_profile_query *q, enum mt_profile_report report, enum mt_table_by *ret,
                         struct mt_error *err)
{
    *ret = MT_BY_LINE;
    bool known = q->by == NULL || mt_table_by_parse(q->by, ret);
    bool tree = report == MT_PROFILE_TREE && *ret != MT_BY_LINE && *ret != MT_BY_FUNCTION && !mt_table_by_is_label(*ret);
    return known && !tree ? MT_OK
                          : mt_error_set(err, MT_E_INVAL, "by \"%s\" is not one of %s", q->by,
                                         tree ? "function, line, label, task" : MT_TABLE_BY_WORDS);
}

/* ---- one call -------------------------------------------------------------------------------------------------- */

struct call {
    struct mt_recording *recording;
    enum mt_profile_report report;
    struct mt_profile_query query;
    const char *path, *format; /* export */
    const char *const *before; /* diff */
    size_t before_count;
    const char *before_time;
    char *text;
    size_t bytes;
};

static struct call make_call(struct mt_recording *recording, const struct mt_profile_query *query)
{
    struct call call = { .recording = recording };
    if (query != NULL) { /* a caller built with an older header knows fewer fields */
        size_t known = query->struct_bytes;
        memcpy(&call.query, query, known < sizeof call.query ? known : sizeof call.query);
    }
    return call;
}

static bool go_on(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    const struct mt_profile_query *query = context;
    (void)done_bytes;
    (void)total_bytes;
    return query->interrupted == NULL || !query->interrupted(query->context);
}

static mt_status begin(struct call *call, struct mt_report_job *job, struct mt_error *err)
{
    const struct mt_profile_query *q = &call->query;
    *job = (struct mt_report_job){
        .recording = call->recording,
        .suppressions_path = q->suppressions,
        .details = { .invert = q->invert,
                     .stacks = q->stacks,
                     .min_age_ns = q->min_age_ns,
                     .wrappers = q->wrappers },
        .native = q->native,
        .all_frames = q->all_frames,
        .load = { .progress = go_on, .context = &call->query },
        .shown = { .format = MT_FORMAT_JSON, .rows = (size_t)q->rows, .bare = q->bare },
    };
    mt_status status = read_selection(q, &job->selection, err);
    if (status == MT_OK) {
        status = read_by(q, call->report, &job->details.by, err);
    }
    return status;
}

/* The recording as it is now, read once: by what is kept of it, if that answers. */
static mt_status refresh(struct call *call, struct mt_report_job *job, struct mt_error *err)
{
    struct mt_recording *r = call->recording;
    mt_status status = mt_recording_refresh(r, !mt_selection_is_kept(&job->selection), err);
    if (status != MT_OK || !r->set_is_live) {
        return status;
    }
    bool grows = mt_trace_is_live(mt_trace_info(r->live->trace), mt_os_monotonic_ns());
    if (call->report == MT_PROFILE_TIMELINE && !grows) { /* its length is known: intervals can be as many as are asked for */
        return mt_recording_refresh(r, true, err);
    }
    status = mt_followed_read_analysis(r->live, (struct mt_interruption){ call->query.interrupted, call->query.context });
    if (status == MT_E_UNSUPPORTED || status == MT_E_BUSY) {
        return mt_recording_refresh(r, true, err);
    }
    if (status == MT_OK) {
        job->load.kept = r->live->resident;
        job->load.kept_losses = mt_follow_losses(r->live->follow);
    }
    return status == MT_OK ? status : mt_error_set(err, status, "cannot read the events: %s", mt_status_text(status));
}

/* A memory output as the call's text. */
static void keep_text(struct call *call, struct mt_out *out)
{
    const char *text = mt_out_text(out, &call->bytes);
    call->text = mt_alloc(call->bytes + 1);
    memcpy(call->text, text, call->bytes + 1);
}

static mt_status report_body(void *context, struct mt_error *err)
{
    struct call *call = context;
    struct mt_report_job job;
    mt_status status = begin(call, &job, err);
    if (status == MT_OK) {
        status = refresh(call, &job, err);
    }
    if (status == MT_OK) {
        status = mt_report_load(&job, call->report, err);
    }
    if (status == MT_OK) {
        struct mt_out *out = mt_out_open_memory();
        status = mt_report_write(out, &job, call->report, err);
        if (status == MT_OK) {
            keep_text(call, out);
        }
        mt_out_discard(out);
    }
    mt_report_job_fini(&job);
    return status;
}

static mt_status open_before(const struct call *call, struct mt_recording **ret, struct mt_error *err)
{
    struct mt_strlist operands = { 0 };
    for (size_t i = 0; i < call->before_count; i++) {
        mt_strlist_add(&operands, call->before[i]);
    }
    mt_status status = mt_recording_make(operands.items, operands.count, ret, err);
    mt_strlist_clear(&operands);
    return status;
}

static mt_status settle_before(const struct call *call, struct mt_diff_pair *pair, struct mt_error *err)
{
    struct mt_report_job *before = &pair->job[MT_DIFF_BEFORE];
    *before = pair->job[MT_DIFF_AFTER];
    before->recording = NULL;
    if (call->before_time != NULL) {
        struct mt_profile_query moment = { .selection = "at", .time = call->before_time, .thread = call->query.thread,
                                           .all = call->query.all };
        mt_status status = read_selection(&moment, &before->selection, err);
        if (status != MT_OK) {
            return status;
        }
    }
    pair->name[MT_DIFF_BEFORE] = call->before[0];
    pair->name[MT_DIFF_AFTER] = call->recording->paths.items[0];
    pair->by = pair->job[MT_DIFF_AFTER].details.by;
    return pair->by == MT_BY_LINE || pair->by == MT_BY_FUNCTION || pair->by == MT_BY_FILE
               ? MT_OK
               : mt_error_set(err, MT_E_INVAL, "by \"%s\" is not one of line, function, file", call->query.by);
}

static mt_status diff_body(void *context, struct mt_error *err)
{
    struct call *call = context;
    struct mt_diff_pair pair = { 0 };
    mt_status status = begin(call, &pair.job[MT_DIFF_AFTER], err);
    if (status == MT_OK) {
        status = mt_recording_refresh(call->recording, true, err);
    }
    if (status == MT_OK) {
        status = settle_before(call, &pair, err);
    }
    if (status == MT_OK) {
        status = open_before(call, &pair.job[MT_DIFF_BEFORE].recording, err);
    }
    if (status == MT_OK) {
        status = mt_diff_pair_make(&pair, err);
    }
    if (status == MT_OK) {
        struct mt_out *out = mt_out_open_memory();
        mt_diff_pair_write(out, &pair, MT_DIFF_JSON, (size_t)call->query.rows);
        keep_text(call, out);
        mt_out_discard(out);
    }
    mt_diff_pair_fini(&pair);
    mt_recording_free(pair.job[MT_DIFF_BEFORE].recording);
    return status;
}

int mt_recording_diff(struct mt_recording *recording, const char *const *before, size_t before_count, const char *before_time,
                      const struct mt_profile_query *query, char **ret_text, size_t *ret_bytes,
                      struct mt_profile_failure *failure)
{
    struct call call = make_call(recording, query);
    if (before_count == 0) {
        return mt_failure_usage(failure, "which earlier recording? give its file (*.mtap)");
    }
    call.report = MT_PROFILE_TABLE;
    call.before = before;
    call.before_count = before_count;
    call.before_time = before_time;
    int code = mt_recording_call(recording, diff_body, &call, failure);
    if (code == MT_PROFILE_OK) {
        *ret_text = call.text;
        *ret_bytes = call.bytes;
    }
    return code;
}

static mt_status parse_body(void *context, struct mt_error *err)
{
    struct call *call = context;
    struct mt_error damage = { 0 };
    mt_status status = mt_recording_refresh(call->recording, true, err);
    if (status != MT_OK) {
        return status;
    }
    if (call->recording->paths.count != 1) {
        return mt_error_set(err, MT_E_INVAL, "records are those of one run: open one file");
    }
    struct mt_out *out = mt_out_open_memory();
    status = mt_records_write_run(out, &call->recording->set, false, &damage);
    keep_text(call, out);
    mt_out_discard(out);
    return status == MT_E_CORRUPT ? MT_OK : status; /* damage is in the text */
}

int mt_recording_report(struct mt_recording *recording, enum mt_profile_report report,
                        const struct mt_profile_query *query, char **ret_text, size_t *ret_bytes,
                        struct mt_profile_failure *failure)
{
    struct call call = make_call(recording, query);
    call.report = report;
    int code = mt_recording_call(recording, report == MT_PROFILE_PARSE ? parse_body : report_body, &call, failure);
    if (code == MT_PROFILE_OK) {
        *ret_text = call.text;
        *ret_bytes = call.bytes;
    }
    return code;
}

/* Without a path: the call's text. */
static mt_status export_job(struct call *call, struct mt_report_job *job, const struct mt_exporter *exporter,
                            struct mt_error *err)
{
    struct mt_out *out;
    mt_status status = mt_export_load(job, exporter, err);
    if (status == MT_OK && call->path != NULL) {
        status = mt_out_open(call->path, &out, err);
    } else if (status == MT_OK) {
        out = mt_out_open_memory();
    }
    if (status != MT_OK) {
        return status;
    }
    status = mt_export_write(out, job, exporter, err);
    if (status != MT_OK || call->path == NULL) {
        if (status == MT_OK) {
            keep_text(call, out);
        }
        mt_out_discard(out);
        return status;
    }
    return mt_out_commit(out, err);
}

static mt_status export_body(void *context, struct mt_error *err)
{
    struct call *call = context;
    struct mt_report_job job;
    const struct mt_exporter *exporter;
    mt_status status = begin(call, &job, err);
    if (status == MT_OK) {
        status = mt_recording_refresh(call->recording, true, err);
    }
    if (status == MT_OK) {
        status = mt_export_choose(call->format, call->path, &exporter, err);
    }
    if (status == MT_OK) {
        status = export_job(call, &job, exporter, err);
    }
    mt_report_job_fini(&job);
    return status;
}

int mt_recording_export(struct mt_recording *recording, const char *path, const char *format,
                        const struct mt_profile_query *query, struct mt_profile_failure *failure)
{
    struct call call = make_call(recording, query);
    if (path == NULL || path[0] == '\0' || strcmp(path, "-") == 0) {
        return mt_failure_usage(failure, "which file? give the path of the file to write");
    }
    call.path = path;
    call.format = format;
    return mt_recording_call(recording, export_body, &call, failure);
}

int mt_recording_export_text(struct mt_recording *recording, const char *format, const struct mt_profile_query *query,
                             char **ret_text, size_t *ret_bytes, struct mt_profile_failure *failure)
{
    struct call call = make_call(recording, query);
    call.format = format;
    int code = mt_recording_call(recording, export_body, &call, failure);
    if (code == MT_PROFILE_OK) {
        *ret_text = call.text;
        *ret_bytes = call.bytes;
    }
    return code;
}

void mt_profile_release(void *text)
{
    free(text);
}
