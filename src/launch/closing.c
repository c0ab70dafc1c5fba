/* closing.c: the closing lines of a run: what was recorded, or why nothing was. Everything goes to standard error. */
#include "launch/closing.h"

#include "analysis/summary.h"
#include "export/brief.h"
#include "reader/reports.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/program.h"
#include "util/progress.h"
#include "util/say.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
        mt_say("memtap run: no trace of %s: %s", info.path, mt_program_obstacle(info.kind));
        return;
    }
    if (WIFSIGNALED(run->wait_status)) {
        mt_say("memtap run: no trace was written to %s: %s died of signal %d (%s) before the agent had "
               "started; try it without memtap, then with --no-native or --no-python-allocators",
               run->output, run->program, WTERMSIG(run->wait_status), strsignal(WTERMSIG(run->wait_status)));
        return;
    }
    if (no_room(run->folder)) {
        mt_say("memtap run: no trace was written to %s: no space left in %s; choose another place with -o", run->output,
               run->folder);
        return;
    }
    mt_say("memtap run: no trace was written to %s: the agent did not start in %s. Possible causes: "
           "the program clears its environment or its file was replaced by one that cannot be preloaded, or a "
           "security policy forbids preloading; `memtap doctor` looks for them",
           run->output, info.path);
}

/* The trace was moved, removed or replaced while it was written. */
void mt_closing_say_where(const struct mt_run *run, size_t others)
{
    char now[PATH_MAX] = "";
    struct stat info;
    bool there = run->trace_fd >= 0 && fstat(run->trace_fd, &info) == 0 && info.st_nlink > 0;
    char *link = mt_format("/proc/self/fd/%d", run->trace_fd);
    ssize_t bytes = there ? readlink(link, now, sizeof now - 1) : 0;
    now[bytes > 0 ? bytes : 0] = '\0';
    char *elsewhere = others > 0 ? mt_format(", and %s in %s",
                                             mt_human_counted((double)others, "other process's is", "other processes' are").text,
                                             run->others)
                                 : mt_strdup("");
    mt_say("memtap run: %s is no longer the trace of this run; %s%s%s", run->output,
           there                 ? "that is "
           : run->trace_fd >= 0 ? "that was removed"
                                : "that was moved away or removed before memtap saw it",
           now, elsewhere);
    free(elsewhere);
    free(link);
}

/* The output as a person would name it. */
static const char *file_to_name(const struct mt_run *run)
{
    char cwd[PATH_MAX];
    size_t bytes = getcwd(cwd, sizeof cwd) != NULL ? strlen(cwd) : 0;
    bool below = bytes > 1 && strncmp(run->output, cwd, bytes) == 0 && run->output[bytes] == '/';
    return below ? run->output + bytes + 1 : run->output;
}

/* The traces may have been packed since they were read. */
static uint64_t bytes_now(const struct mt_run *run, const struct mt_facts *facts)
{
    struct stat info;
    return facts->processes == 1 && run->trace_fd >= 0 && fstat(run->trace_fd, &info) == 0 ? (uint64_t)info.st_size
                                                                                          : facts->trace_bytes;
}

static void print_brief(const struct mt_run *run, const struct mt_report_job *job, size_t live)
{
    struct mt_out *text = mt_out_open_memory();
    struct mt_facts facts = mt_facts_of(&job->shown);
    char *program = mt_report_program(facts.program);
    uint64_t bytes = bytes_now(run, &facts);
    mt_brief_extent(text, &facts);
    mt_say("memtap: %s, %s → %s (%s)", program, mt_out_text(text, NULL), file_to_name(run),
           mt_human_bytes((double)bytes).text);
    free(program);
    mt_out_discard(text);
    text = mt_out_open_memory();
    mt_out_shown_at(text, STDERR_FILENO);
    mt_brief_write(text, &job->shown, &facts);
    (void)fputs(mt_out_text(text, NULL), stderr);
    if (live > 0) {
        mt_say("  %s, into %s.d",
               mt_human_counted((double)live, "process of the run still records", "processes of the run still record").text,
               file_to_name(run));
    }
    mt_say("next: memtap summary %s · memtap leaks %s", file_to_name(run), file_to_name(run));
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
    mt_report_warnings(set, analysis, NULL, &warnings);
    for (size_t i = 0; i < warnings.count; i++) {
        mt_say("memtap: note: %s", warnings.items[i]);
    }
    mt_strlist_clear(&warnings);
}

static mt_status load_report(struct mt_report_job *job, struct mt_error *err)
{
    struct mt_progress progress;
    mt_progress_begin(&progress, "reading", false);
    job->selection.temporary_max = 1;
    job->load.progress = show_reading;
    job->load.context = &progress;
    bool names = mt_brief_may_want_names(&job->recording->set);
    mt_status status = mt_report_load(job, names ? MT_PROFILE_SUMMARY : MT_PROFILE_STATS, err);
    if (status == MT_OK && !names && mt_brief_wants_names(&job->shown)) {
        mt_report_job_fini(job);
        job->loaded = (struct mt_loaded){ 0 };
        status = mt_report_load(job, MT_PROFILE_SUMMARY, err);
    }
    mt_progress_end(&progress);
    job->load.progress = NULL;
    job->load.context = NULL;
    return status;
}

/* Problems only: the headers tell them, the events need not be read. */
void mt_closing_read(const struct mt_run *run, struct mt_closing *closing)
{
    char *paths[] = { mt_strdup(run->output) };
    closing->read = true;
    closing->status = mt_recording_make(paths, 1, &closing->job.recording, &closing->err);
    free(paths[0]);
    if (closing->status == MT_OK && !run->options.quiet) {
        closing->status = load_report(&closing->job, &closing->err);
    }
}

void mt_closing_say_unrecorded(const struct mt_run *run)
{
    struct mt_strlist sentences = { 0 };
    mt_helper_say(&run->helper, &sentences);
    for (size_t i = 0; i < sentences.count; i++) {
        mt_say("memtap: note: %s", sentences.items[i]);
    }
    mt_strlist_clear(&sentences);
}

void mt_closing_report(const struct mt_run *run, struct mt_closing *closing, size_t live)
{
    const struct mt_report_job *job = &closing->job;
    bool quiet = run->options.quiet;
    if (!closing->read) {
        mt_closing_read(run, closing);
    }
    if (closing->status != MT_OK) {
        if (!quiet) {
            mt_say("memtap run: the trace cannot be summed up: %s", mt_error_text(&closing->err));
        }
        return;
    }
    if (!quiet) {
        print_brief(run, job, live);
    }
    print_warnings(&job->recording->set, quiet ? NULL : job->shown.analysis);
}

void mt_closing_fini(struct mt_closing *closing)
{
    mt_report_job_fini(&closing->job);
    mt_recording_free(closing->job.recording);
}
