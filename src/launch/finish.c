/* finish.c: after the program has ended: complete the traces, pack them, say what was found.
 *
 * The program's result is never at stake here: whatever fails is said on standard error, and the exit code stays the
 * program's. A trace is left alone while another process may still write to it (a child that outlives the program).
 */
#include "launch/launch.h"

#include "analysis/summary.h"
#include "launch/closing.h"
#include "symbol/pyline.h"
#include "util/progress.h"
#include "wire/format.h"
#include "wire/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
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

void mt_run_finish(struct mt_run *run)
{
    struct mt_strlist finished = { 0 };
    complete_header(run);
    size_t live = collect(run, &finished);
    if (finished.count == 0) {
        mt_closing_explain_missing(run);
    } else {
        pack_all(run, &finished);
        if (run->options.quiet) {
            mt_closing_report_quietly(&finished);
        } else {
            mt_closing_report(run, &finished, live);
        }
    }
    mt_closing_say_refused(run);
    mt_strlist_clear(&finished);
}
