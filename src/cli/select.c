/* select.c: what reading commands do with their options: open, load, write. */
#include "cli/select.h"

#include "cli/next.h"
#include "cli/traces.h"

#include "util/memory.h"
#include "util/progress.h"
#include "util/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum mt_format mt_select_format(const struct mt_select *select)
{
    static const char *const suffixes[] = { NULL, ".json", ".csv", ".ndjson" };
    size_t length = select->output != NULL ? strlen(select->output) : 0;
    if (select->format >= 0) {
        return (enum mt_format)select->format;
    }
    for (size_t i = 1; i < MT_COUNTOF(suffixes); i++) {
        size_t bytes = strlen(suffixes[i]);
        if (length > bytes && strcmp(select->output + length - bytes, suffixes[i]) == 0) {
            return (enum mt_format)i;
        }
    }
    return MT_FORMAT_TABLE;
}

mt_status mt_select_take_moment(char *path, struct mt_selection *selection, struct mt_error *err)
{
    char *at = strrchr(path, '@');
    if (at == NULL || access(path, F_OK) == 0) {
        return MT_OK;
    }
    if (!mt_timepoint_parse(at + 1, strlen(at + 1), &selection->times[0])) {
        return mt_error_set(err, MT_E_INVAL, "%s: \"%s\" is not a time; use %s", path, at + 1, MT_TIMEPOINT_FORMS);
    }
    selection->what = MT_SELECT_AT;
    *at = '\0';
    return MT_OK;
}

static size_t row_limit(const struct mt_select *select, size_t default_rows)
{
    if (select->rows != UINT64_MAX) {
        return (size_t)select->rows;
    }
    return mt_select_format(select) == MT_FORMAT_TABLE ? default_rows : 0;
}

void mt_select_print_warnings(const struct mt_report *report)
{
    struct mt_strlist warnings = { 0 };
    mt_report_warnings(report->set, report->analysis, report->frames, &warnings);
    for (size_t i = 0; i < warnings.count; i++) {
        mt_say("memtap: note: %s", warnings.items[i]);
    }
    mt_strlist_clear(&warnings);
}

/* Of reports on leaks: something that the program asks for is not done. */
static void note_suppressions(const struct mt_report_job *job)
{
    if (job->shown.unknown_suppressions && job->loaded.measure == MT_MEASURE_LIVE) {
        (void)fprintf(stderr, "memtap: note: the program's __lsan_default_suppressions is not honoured: what it returns is not "
                              "known without running it; give its lines with --suppressions FILE\n");
    }
}

static bool show_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    mt_progress_update(context, done_bytes, total_bytes);
    return true;
}

/* Fails with 2 where what was asked for cannot be, with 1 where the trace cannot be read. */
static mt_status load(const struct mt_reading *reading, struct mt_report_job *job, int *ret_code, struct mt_error *err)
{
    struct mt_progress progress;
    mt_progress_begin(&progress, "reading", reading->select->quiet_progress);
    job->load.progress = show_progress;
    job->load.context = &progress;
    mt_status status = reading->page               ? mt_page_load(job, err)
                       : reading->exporter != NULL ? mt_export_load(job, reading->exporter, err)
                                                   : mt_report_load(job, reading->report, err);
    mt_progress_end(&progress);
    *ret_code = status == MT_E_INVAL ? MT_EXIT_USAGE : MT_EXIT_FAILED;
    return status;
}

static mt_status write_out(const struct mt_reading *reading, const struct mt_report_job *job, struct mt_error *err)
{
    struct mt_out *out;
    mt_status status = mt_out_open(reading->select->output, &out, err);
    if (status != MT_OK) {
        return status;
    }
    status = reading->page               ? mt_page_write_job(out, job, err)
             : reading->exporter != NULL ? mt_export_write(out, job, reading->exporter, err)
                                         : mt_report_write(out, job, reading->report, err);
    if (status != MT_OK) {
        mt_out_discard(out);
        return status;
    }
    return mt_out_commit(out, err);
}

/* A process of which nothing but the beginning of its file is left. */
static const struct mt_trace_info *stump(const struct mt_trace_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct mt_trace_info *info = mt_trace_info(set->traces[i]);
        bool aggregate = (info->flags & MT_TRACE_AGGREGATE) != 0;
        if (mt_trace_completeness(set->traces[i])->truncated_at > 0 && info->event_bytes == 0 && !aggregate) {
            return info;
        }
    }
    return NULL;
}

/* The value of suppressions= in LSAN_OPTIONS, whose parts stand between colons, commas or blanks; NULL: none. Malloc'ed. */
static char *sanitizer_suppressions(void)
{
    static const char key[] = "suppressions=";
    const char *options = getenv("LSAN_OPTIONS");
    for (const char *at = options; at != NULL && *at != '\0';) {
        at += strspn(at, ":, \t\n");
        size_t length = strcspn(at, ":, \t\n");
        if (length > sizeof key - 1 && strncmp(at, key, sizeof key - 1) == 0) {
            return mt_strndup(at + sizeof key - 1, length - (sizeof key - 1));
        }
        at += length;
    }
    return NULL;
}

static int finish(const struct mt_reading *reading, const struct mt_report *report)
{
    mt_select_print_warnings(report);
    const struct mt_trace_info *lost = stump(report->set);
    if (lost != NULL) {
        mt_say("memtap %s: %s was cut, and nothing is left of what process %llu did: copy the file again, or record again",
               reading->doc->name, lost->path, (unsigned long long)lost->pid);
    }
    return lost == NULL ? MT_EXIT_OK : MT_EXIT_FAILED;
}

static struct mt_report_job job_of(const struct mt_reading *reading, const struct mt_selection *selection, const char *suppressions)
{
    const struct mt_select *select = reading->select;
    return (struct mt_report_job){
        .selection = *selection,
        .suppressions_path = select->suppressions != NULL ? select->suppressions : suppressions,
        .details = select->details,
        .native = select->native,
        .all_frames = select->all_frames,
        .confidential = select->confidential,
        .page_bytes = select->page_bytes,
        .shown = { .format = mt_select_format(select), .rows = row_limit(select, reading->default_rows),
                   .rows_by_default = select->rows == UINT64_MAX },
    };
}

static int write_job(const struct mt_reading *reading, struct mt_report_job *job)
{
    struct mt_error err = { 0 };
    int code;
    mt_status status = load(reading, job, &code, &err);
    if (status == MT_OK) {
        status = write_out(reading, job, &err);
        code = status == MT_E_INVAL ? MT_EXIT_USAGE : MT_EXIT_FAILED;
    }
    if (status != MT_OK) {
        return mt_command_fail(reading->doc, code, &err);
    }
    if (job->before != NULL) {
        mt_select_print_warnings(&job->before->shown);
    }
    code = finish(reading, &job->shown);
    note_suppressions(job);
    return code;
}

/* before: the recording that the page compares with, or NULL. */
static int read_recording(const struct mt_reading *reading, const struct mt_selection *selection, struct mt_recording *recording,
                          struct mt_recording *before)
{
    char *suppressions = sanitizer_suppressions();
    struct mt_report_job job = job_of(reading, selection, suppressions), earlier = job;
    job.recording = recording;
    earlier.recording = before;
    job.before = before != NULL ? &earlier : NULL;
    int code = write_job(reading, &job);
    mt_report_job_fini(&job);
    mt_report_job_fini(&earlier);
    free(suppressions);
    return code;
}

/* Reports on what is alive at one moment. */
static bool has_moment(const struct mt_reading *reading)
{
    return reading->exporter != NULL || reading->report == MT_PROFILE_TABLE || reading->report == MT_PROFILE_TREE ||
           reading->report == MT_PROFILE_LEAKS;
}

static mt_status make_recording(const struct mt_reading *reading, const struct mt_operands *operands, struct mt_selection *selection,
                                struct mt_recording **ret, int *ret_code, struct mt_error *err)
{
    if (operands->count != 1 || !has_moment(reading)) {
        return mt_traces_open(operands->items, (size_t)operands->count, ret, ret_code, err);
    }
    char *path = mt_strdup(operands->items[0]);
    *ret_code = MT_EXIT_USAGE;
    mt_status status = mt_select_take_moment(path, selection, err);
    status = status == MT_OK ? mt_traces_open(&path, 1, ret, ret_code, err) : status;
    free(path);
    return status;
}

int mt_select_read(const struct mt_reading *reading, const struct mt_operands *operands)
{
    struct mt_recording *recording = NULL, *before = NULL;
    struct mt_error err = { 0 };
    if (operands->count == 0) {
        (void)mt_error_set(&err, MT_E_INVAL, "which trace? give a FILE (*.mtap), the PID of a recorded process, several of them, or a folder");
        return mt_command_fail(reading->doc, MT_EXIT_USAGE, &err);
    }
    struct mt_selection selection = reading->select->what;
    char *earlier = reading->select->before;
    int code = MT_EXIT_OK;
    mt_status status = earlier != NULL ? mt_traces_open(&earlier, 1, &before, &code, &err) : MT_OK;
    status = status == MT_OK ? make_recording(reading, operands, &selection, &recording, &code, &err) : status;
    code = status == MT_OK ? read_recording(reading, &selection, recording, before) : mt_command_fail(reading->doc, code, &err);
    mt_recording_free(recording);
    mt_recording_free(before);
    if (code == MT_EXIT_OK && reading->next != NULL && reading->select->output == NULL && mt_select_format(reading->select) == MT_FORMAT_TABLE) {
        mt_next_say(reading->next, operands->items, (size_t)operands->count);
    }
    return code;
}

int mt_select_main(const struct mt_reading_plan *plan, void *values, int argc, char **argv)
{
    struct mt_reading reading = {
        .doc = plan->doc, .select = values, .report = plan->report, .default_rows = plan->default_rows, .next = plan->next
    };
    struct mt_operands operands;
    int code;
    if (!mt_command_options(plan->doc, argc, argv, values, &operands, &code)) {
        return code;
    }
    if (plan->settle != NULL) {
        plan->settle(values);
    }
    return mt_select_read(&reading, &operands);
}

int mt_select_report(const struct mt_reading_plan *plan, int argc, char **argv)
{
    struct mt_select select = MT_SELECT_DEFAULTS;
    return mt_select_main(plan, &select, argc, argv);
}
