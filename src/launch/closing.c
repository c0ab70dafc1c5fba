/* closing.c: the closing lines of a run: what was recorded, or why nothing was. Everything goes to standard error. */
#include "launch/closing.h"

#include "analysis/summary.h"
#include "export/report.h"
#include "export/stats.h"
#include "reader/reports.h"
#include "util/memory.h"
#include "util/program.h"
#include "util/progress.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* A trace begins with a page and a slot: less room than this, and it was never begun. */
static bool no_room(const char *folder)
{
    enum { LEAST_BYTES = 128 * 1024 };
    struct statvfs disk;
    return statvfs(folder, &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize < LEAST_BYTES;
}

void mt_closing_explain_missing(const struct mt_run *run)
{
    struct mt_program_info info;
    mt_program_examine(run->program, &info);
    if (info.kind != MT_PROGRAM_DYNAMIC) {
        (void)fprintf(stderr, "memtap run: no trace of %s: %s\n", info.path, mt_program_obstacle(info.kind));
        return;
    }
    if (WIFSIGNALED(run->wait_status)) {
        (void)fprintf(stderr,
                      "memtap run: no trace was written to %s: %s died of signal %d (%s) before the agent had "
                      "started; try it without memtap, then with --no-native or --no-python-allocators\n",
                      run->output, run->program, WTERMSIG(run->wait_status), strsignal(WTERMSIG(run->wait_status)));
        return;
    }
    if (no_room(run->folder)) {
        (void)fprintf(stderr,
                      "memtap run: no trace was written to %s: no space left in %s; choose another place with -o\n",
                      run->output, run->folder);
        return;
    }
    (void)fprintf(stderr,
                  "memtap run: no trace was written to %s: the agent did not start in %s. Possible causes: "
                  "the program clears its environment or its file was replaced by one that cannot be preloaded, or a "
                  "security policy forbids preloading; `memtap doctor` looks for them\n",
                  run->output, info.path);
}

/* "app.mtap", or "app.mtap app.*.mtap" when there are several. */
static char *files_to_name(const struct mt_run *run, size_t count)
{
    char cwd[PATH_MAX];
    const char *shown = run->output;
    size_t bytes = getcwd(cwd, sizeof cwd) != NULL ? strlen(cwd) : 0;
    if (bytes > 1 && strncmp(shown, cwd, bytes) == 0 && shown[bytes] == '/') {
        shown += bytes + 1;
    }
    char *stem = mt_tracepath_stem(shown);
    char *names = count > 1 ? mt_format("%s %s.*.mtap", shown, stem) : mt_strdup(shown);
    free(stem);
    return names;
}

static void print_brief(const struct mt_run *run, const struct mt_report_job *job, size_t live)
{
    struct mt_out *text = mt_out_open_memory();
    char *files = files_to_name(run, job->recording->paths.count);
    mt_stats_brief(text, &job->shown);
    (void)fprintf(stderr, "memtap: recorded %s\n%s", run->output, mt_out_text(text, NULL));
    if (live > 0) {
        (void)fprintf(stderr, "  %zu processes of the run still live; their traces are not counted\n", live);
    }
    (void)fprintf(stderr, "next: memtap summary %s\n", files);
    free(files);
    mt_out_discard(text);
}

static bool show_reading(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    mt_progress_update(context, done_bytes, total_bytes);
    return true;
}

/* analysis may be NULL. */
static void print_warnings(const struct mt_trace_set *set, const struct mt_analysis *analysis)
{
    struct mt_strlist warnings = { 0 };
    mt_report_warnings(set, analysis, &warnings);
    for (size_t i = 0; i < warnings.count; i++) {
        (void)fprintf(stderr, "memtap: note: %s\n", warnings.items[i]);
    }
    mt_strlist_clear(&warnings);
}

static mt_status load(const struct mt_strlist *traces, struct mt_report_job *job, struct mt_error *err)
{
    struct mt_progress progress;
    mt_status status = mt_recording_make(traces->items, traces->count, &job->recording, err);
    if (status == MT_OK) {
        mt_progress_begin(&progress, "reading", false);
        job->load.progress = show_reading;
        job->load.context = &progress;
        status = mt_report_load(job, MT_PROFILE_STATS, err);
        mt_progress_end(&progress);
    }
    return status;
}

void mt_closing_say_refused(const struct mt_run *run)
{
    for (size_t i = 0; i < run->helper.refused.count; i++) {
        (void)fprintf(stderr, "memtap: note: %s\n", run->helper.refused.items[i]);
    }
}

void mt_closing_report(const struct mt_run *run, const struct mt_strlist *traces, size_t live)
{
    struct mt_report_job job = { .selection = { .temporary_max = 1 } };
    struct mt_error err = { 0 };
    if (load(traces, &job, &err) == MT_OK) {
        print_brief(run, &job, live);
        print_warnings(job.shown.set, job.shown.analysis);
    } else {
        (void)fprintf(stderr, "memtap run: the trace cannot be summed up: %s\n", mt_error_text(&err));
    }
    mt_report_job_fini(&job);
    mt_recording_free(job.recording);
}

void mt_closing_report_quietly(const struct mt_strlist *traces)
{
    struct mt_trace_set set = { 0 };
    if (mt_trace_set_open((const char *const *)traces->items, traces->count, &set, NULL, NULL) == MT_OK) {
        print_warnings(&set, NULL);
        mt_trace_set_close(&set);
    }
}
