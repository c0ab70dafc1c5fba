/* run_finish.c: after the program has ended: complete the traces, pack them, say what was found.
 *
 * The program's result is never at stake here: whatever fails is said on standard error, and the exit code stays the
 * program's. A trace is left alone while another process may still write to it (a child that outlives the program).
 */
#include "cli/run.h"

#include "analysis/summary.h"
#include "export/report.h"
#include "export/stats.h"
#include "reader/reports.h"
#include "symbol/pyline.h"
#include "util/memory.h"
#include "util/program.h"
#include "util/progress.h"
#include "wire/format.h"
#include "wire/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- one file --------------------------------------------------------------------------------------------------- */

static bool read_header(int fd, struct mt_trace_header *ret)
{
    *ret = (struct mt_trace_header){ 0 };
    return pread(fd, ret, sizeof *ret, 0) >= MT_TRACE_FIXED_BYTES && memcmp(ret->magic, MT_TRACE_MAGIC, 8) == 0;
}

static bool read_header_of(const char *path, struct mt_trace_header *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    bool ok = fd >= 0 && read_header(fd, ret);
    if (fd >= 0) {
        (void)close(fd);
    }
    return ok;
}

/* Writes what only the parent of the process knows. */
static void complete_header(const struct mt_run *run)
{
    struct mt_trace_header header;
    int fd = open(run->output, O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0 && read_header(fd, &header) && header.pid == (uint64_t)run->pid) {
        uint64_t status = (uint64_t)(uint32_t)run->wait_status + 1;
        uint64_t rss = run->rss_peak_bytes > header.rss_peak_bytes ? run->rss_peak_bytes : header.rss_peak_bytes;
        ssize_t wrote = pwrite(fd, &status, sizeof status, offsetof(struct mt_trace_header, tool_exit_status));
        if (wrote == (ssize_t)sizeof status) {
            wrote = pwrite(fd, &rss, sizeof rss, offsetof(struct mt_trace_header, rss_peak_bytes));
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* Still being written: its process lives. The program itself has been waited for. */
static bool is_live(const struct mt_run *run, const struct mt_trace_header *header)
{
    return header->state == MT_STATE_RECORDING && header->pid != (uint64_t)run->pid && header->pid <= INT32_MAX &&
           (kill((pid_t)header->pid, 0) == 0 || errno == EPERM);
}

/* The traces of this run: its output, and siblings that began after it did. Live ones are counted only. */
static size_t collect(const struct mt_run *run, struct mt_strlist *finished)
{
    struct mt_strlist all = { 0 };
    size_t live = 0;
    mt_strlist_add(&all, run->output);
    mt_tracepath_siblings(run->output, &all);
    for (size_t i = 0; i < all.count; i++) {
        struct mt_trace_header header;
        if (!read_header_of(all.items[i], &header) || header.start_realtime_ns < run->started_realtime_ns) {
            continue;
        }
        if (is_live(run, &header)) {
            live++;
        } else {
            mt_strlist_add(finished, all.items[i]);
        }
    }
    mt_strlist_clear(&all);
    return live;
}

/* ---- packing ---------------------------------------------------------------------------------------------------- */

static void show(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    mt_progress_update(context, done_bytes, total_bytes);
}

static void pack_all(const struct mt_run *run, const struct mt_strlist *traces)
{
    for (size_t i = 0; run->options.pack && i < traces->count; i++) {
        struct mt_progress progress;
        struct mt_wire_error wire = { 0 };
        struct mt_pack_options options = { .quick_bytes = MT_PACK_QUICK,
                                           .writer_is_gone = true,
                                           .line_of = mt_pyline_lookup,
                                           .progress = show,
                                           .context = &progress };
        options.summarize = run->options.quiet ? NULL : mt_summary_make; /* whoever wants no summary need not wait for it */
        mt_progress_begin(&progress, "packing the trace", run->options.quiet);
        mt_status status = mt_pack(traces->items[i], NULL, &options, NULL, &wire);
        mt_progress_end(&progress);
        if (status != MT_OK && status != MT_E_BUSY) {
            (void)fprintf(stderr, "memtap run: %s stays unpacked (%s); it is as good, only larger\n", traces->items[i],
                          wire.text != NULL ? wire.text : mt_status_text(status));
        }
    }
}

/* ---- what to say ------------------------------------------------------------------------------------------------- */

/* A trace begins with a page and a slot: less room than this, and it was never begun. */
static bool no_room(const char *folder)
{
    enum { LEAST_BYTES = 128 * 1024 };
    struct statvfs disk;
    return statvfs(folder, &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize < LEAST_BYTES;
}

static void explain_missing(const struct mt_run *run)
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

static void report(const struct mt_run *run, const struct mt_strlist *traces, size_t live)
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

/* Problems only: the headers tell them, the events need not be read. */
static void report_quietly(const struct mt_strlist *traces)
{
    struct mt_trace_set set = { 0 };
    if (mt_trace_set_open((const char *const *)traces->items, traces->count, &set, NULL, NULL) == MT_OK) {
        print_warnings(&set, NULL);
        mt_trace_set_close(&set);
    }
}

void mt_run_finish(struct mt_run *run)
{
    struct mt_strlist finished = { 0 };
    complete_header(run);
    size_t live = collect(run, &finished);
    if (finished.count == 0) {
        explain_missing(run);
    } else {
        pack_all(run, &finished);
        if (run->options.quiet) {
            report_quietly(&finished);
        } else {
            report(run, &finished, live);
        }
    }
    mt_strlist_clear(&finished);
}
