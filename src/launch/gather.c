/* gather.c: see gather.h. */
#include "launch/gather.h"

#include "analysis/summary.h"
#include "launch/runfiles.h"
#include "symbol/pyline.h"
#include "util/memory.h"
#include "util/progress.h"
#include "util/say.h"
#include "wire/append.h"
#include "wire/journal_file.h"
#include "wire/journal_path.h"
#include "wire/pack.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- packing ----------------------------------------------------------------------------------------------------------- */

static void show(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    mt_progress_update(context, done_bytes, total_bytes);
}

/* Into the file output, or into `into`, which is not flushed. warnings: what memtap knows beside the trace, may be NULL; *ret_noted
 * (may be NULL): they are in it. */
static bool pack(const struct mt_run *run, const char *path, const char *output, int into, const struct mt_strlist *warnings,
                 bool *ret_noted)
{
    struct mt_progress progress;
    struct mt_wire_error wire = { 0 };
    struct mt_pack_result result = { 0 };
    struct mt_pack_options options = { .quick_bytes = MT_PACK_QUICK,
                                       .writer_is_gone = true,
                                       .lines_of = mt_pyline_lookup_all,
                                       .progress = show,
                                       .context = &progress };
    options.summarize = run->options.quiet ? NULL : mt_summary_make; /* whoever wants no summary need not wait for it */
    if (warnings != NULL) {
        options.warnings = (const char *const *)warnings->items;
        options.warning_count = warnings->count;
    }
    mt_progress_begin(&progress, "packing the trace", run->options.quiet);
    mt_status status = output != NULL ? mt_pack(path, output, &options, &result, &wire)
                                      : mt_pack_into(path, into, &options, &wire);
    mt_progress_end(&progress);
    if (status != MT_OK && status != MT_E_BUSY) {
        mt_say("memtap run: %s stays unpacked (%s); it is as good, only larger", path,
               wire.text != NULL ? wire.text : mt_status_text(status));
    }
    if (ret_noted != NULL) {
        *ret_noted = status == MT_OK && result.warnings == options.warning_count;
    }
    return status == MT_OK;
}

/* The packed trace is complete in FILE.d before FILE is touched. */
static void pack_first(struct mt_run *run, const struct mt_strlist *warnings, bool *ret_noted)
{
    char *packed = mt_format("%s/%d.mtap", run->others, (int)run->pid);
    bool noted = false;
    if (access(packed, F_OK) != 0 && pack(run, run->output, packed, -1, warnings, &noted)) {
        int fd = open(packed, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        mt_status status = fd >= 0 ? mt_rewrite_trace(run->trace_fd, fd) : MT_E_NOENT;
        if (fd >= 0) {
            (void)close(fd);
        }
        if (status == MT_OK) {
            (void)unlink(packed);
            *ret_noted = noted;
        } else {
            mt_say("memtap run: %s could not be written (%s); its trace is whole in %s", run->output,
                   mt_status_text(status), packed);
        }
    }
    free(packed);
}

/* ---- the run's other processes --------------------------------------------------------------------------------------- */

struct other {
    char *path;
    struct mt_trace_header header;
};

struct mt_others {
    struct other *items;
    size_t count, capacity;
};

static void list_ended(struct mt_run *run, struct mt_others *ret, struct mt_gathered *gathered)
{
    struct mt_strlist paths = { 0 };
    mt_tracepath_others(run->output, &paths);
    for (size_t i = 0; i < paths.count; i++) {
        struct other other = { 0 };
        int fd = mt_runfiles_open(paths.items[i], false, &other.header);
        if (fd < 0 || other.header.start_realtime_ns < run->started_realtime_ns) {
            (void)(fd >= 0 && close(fd));
            continue;
        }
        (void)close(fd);
        if (other.header.pid != (uint64_t)run->pid && mt_runfiles_is_live(paths.items[i], &other.header)) {
            gathered->live++;
            continue;
        }
        other.path = mt_strdup(paths.items[i]);
        ret->items = mt_alloc_grow(ret->items, &ret->capacity, ret->count + 1, sizeof *ret->items);
        ret->items[ret->count++] = other;
    }
    mt_strlist_clear(&paths);
}

static bool is_of_run(const struct mt_run *run, const char *path)
{
    size_t bytes = strlen(run->others);
    return strcmp(path, run->output) == 0 || (strncmp(path, run->others, bytes) == 0 && path[bytes] == '/');
}

static bool birth_of(int fd, struct statx_timestamp *ret)
{
    struct statx info;
    bool known = statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &info) == 0 && (info.stx_mask & STATX_BTIME) != 0;
    *ret = info.stx_btime;
    return known;
}

/* The file is the one that the journal was made for, and no other that has its number now: that would be younger than the journal. */
static bool is_the_trace_of(const struct stat *info, int fd, const struct mt_trace_header *header, int journal)
{
    struct statx_timestamp born, journal_born;
    bool younger = birth_of(fd, &born) && birth_of(journal, &journal_born) &&
                   (born.tv_sec > journal_born.tv_sec ||
                    (born.tv_sec == journal_born.tv_sec && born.tv_nsec > journal_born.tv_nsec));
    return S_ISREG(info->st_mode) && (uint64_t)info->st_dev == header->trace_device &&
           (uint64_t)info->st_ino == header->trace_inode && !younger;
}

/* Puts back what is left of a trace of this run that somebody has emptied: its header, and what was in its journal. */
static void mend_emptied(const struct mt_run *run, const char *journal_path)
{
    struct mt_trace_header header;
    struct stat info;
    char path[PATH_MAX];
    int journal = open(journal_path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
    bool ended = journal >= 0 && pread(journal, &header, sizeof header, 0) == (ssize_t)sizeof header &&
                 header.start_realtime_ns >= run->started_realtime_ns && !mt_runfiles_is_live(journal_path, &header);
    int fd = ended && mt_journal_trace_path(journal_path, path, sizeof path) && is_of_run(run, path)
                 ? open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW)
                 : -1;
    if (fd >= 0 && fstat(fd, &info) == 0 && is_the_trace_of(&info, fd, &header, journal) && info.st_size < MT_TRACE_HEADER_BYTES) {
        (void)(mt_journal_fold_held(fd, journal, journal_path) == MT_OK);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (journal >= 0) {
        (void)close(journal);
    }
}

static void mend_all_emptied(struct mt_run *run)
{
    struct mt_strlist journals = { 0 };
    mt_tracepath_journals(run->others, &journals);
    if (run->trace_fd < 0) { /* it may have been too soon for us to see it */
        mt_tracepath_journals(run->folder, &journals);
    }
    for (size_t i = 0; i < journals.count; i++) {
        mend_emptied(run, journals.items[i]);
    }
    mt_strlist_clear(&journals);
    mt_runfiles_find(run);
}

static int by_start(const void *a, const void *b)
{
    const struct other *x = a, *y = b;
    uint64_t a_ns = x->header.start_realtime_ns; /* start_clock is that of a tick: images of one process share it */
    uint64_t b_ns = y->header.start_realtime_ns;
    return a_ns < b_ns ? -1 : a_ns > b_ns;
}

static void others_fini(struct mt_others *others)
{
    for (size_t i = 0; i < others->count; i++) {
        free(others->items[i].path);
    }
    free(others->items);
}

/* The exit status, which only the parent of a process knows, belongs to the last image of it. */
static void complete_header(struct mt_run *run, int fd)
{
    struct mt_trace_header header;
    (void)mt_watch_write_end(fd, run->ended_clock, run->ended_clock - run->alive_clock);
    if (WIFSIGNALED(run->wait_status) && WTERMSIG(run->wait_status) == SIGKILL) {
        mt_limit_count_death(&run->limit);
        mt_limit_write_death(&run->limit, fd);
    } else {
        mt_limit_write(&run->limit, fd);
    }
    if (!mt_runfiles_read(fd, &header)) {
        return;
    }
    uint64_t status = (uint64_t)(uint32_t)run->wait_status + 1;
    uint64_t rss = run->rss_peak_bytes > header.rss_peak_bytes ? run->rss_peak_bytes : header.rss_peak_bytes;
    ssize_t wrote = pwrite(fd, &status, sizeof status, offsetof(struct mt_trace_header, tool_exit_status));
    if (wrote == (ssize_t)sizeof status) {
        wrote = pwrite(fd, &rss, sizeof rss, offsetof(struct mt_trace_header, rss_peak_bytes));
    }
}

static void say_if_not_folded(const char *path, mt_status status)
{
    if (status != MT_OK) {
        mt_say("memtap run: %s stays beside its hidden journal (%s): keep them together", path, mt_status_text(status));
    }
}

/* The processes have ended: what their journals have comes into the traces. The first one's may have lost its name, and the trace
 * its content: both are held. */
static void fold_journals(struct mt_run *run, const struct mt_others *others)
{
    struct mt_trace_header header;
    for (size_t i = 0; i < others->count; i++) {
        int fd = mt_runfiles_open(others->items[i].path, true, &header);
        if (fd >= 0) {
            say_if_not_folded(others->items[i].path, mt_journal_fold(fd, others->items[i].path));
            (void)close(fd);
        }
    }
    if (run->journal_fd >= 0) {
        say_if_not_folded(run->output, mt_journal_fold_held(run->trace_fd, run->journal_fd, run->journal));
    }
}

static void complete_program(struct mt_run *run, const struct mt_others *others)
{
    const struct other *last = NULL; /* they are sorted by start */
    for (size_t i = 0; i < others->count; i++) {
        last = others->items[i].header.pid == (uint64_t)run->pid ? &others->items[i] : last;
    }
    struct mt_trace_header header;
    int fd = last != NULL ? mt_runfiles_open(last->path, true, &header) : run->trace_fd;
    if (fd >= 0) {
        complete_header(run, fd);
    }
    if (last != NULL && fd >= 0) {
        (void)close(fd);
    }
}

/* The program itself left no trace (it is static, say), but processes it started did: the first of them begins FILE. */
static void adopt(struct mt_run *run, struct mt_others *others)
{
    if (others->count == 0 || link(others->items[0].path, run->output) != 0) {
        return;
    }
    (void)unlink(others->items[0].path);
    free(others->items[0].path);
    run->trace_fd = open(run->output, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    others->count--;
    memmove(others->items, others->items + 1, others->count * sizeof *others->items);
}

/* A file without a name in FILE.d, where one trace after the other is packed; -1: there is none. A file of its own for each,
 * made, flushed and removed, was a quarter of what an exec cost. */
static int open_scratch(const struct mt_run *run)
{
    int fd = open(run->others, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) { /* this file system has none */
        char *path = mt_format("%s/.pack-XXXXXX", run->others);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0) {
            (void)unlink(path);
        }
        free(path);
    }
    return fd;
}

static mt_status append(struct mt_run *run, const struct other *other, int scratch)
{
    struct mt_trace_header header;
    bool packed = scratch >= 0 && pack(run, other->path, NULL, scratch, NULL, NULL);
    int fd = packed ? scratch : mt_runfiles_open(other->path, false, &header);
    mt_status status = fd >= 0 ? mt_append_trace(run->trace_fd, fd) : MT_E_NOENT;
    if (fd >= 0 && !packed) {
        (void)close(fd);
    }
    if (status == MT_OK) {
        (void)unlink(other->path);
    }
    return status;
}

static void append_all(struct mt_run *run, const struct mt_others *others, struct mt_gathered *gathered)
{
    int scratch = run->options.pack && others->count > 0 ? open_scratch(run) : -1;
    for (size_t i = 0; i < others->count; i++) {
        mt_status status = append(run, &others->items[i], scratch);
        if (status != MT_OK && gathered->apart++ == 0) {
            mt_say("memtap run: %s could not be put into %s (%s); give them both to a report", others->items[i].path,
                   run->output, mt_status_text(status));
        }
    }
    if (scratch >= 0) {
        (void)close(scratch);
    }
}

void mt_gather(struct mt_run *run, struct mt_gathered *ret)
{
    struct mt_others *others = mt_alloc_zero(1, sizeof *others);
    *ret = (struct mt_gathered){ .others = others };
    mt_runfiles_find(run);
    mt_runfiles_search(run);
    mt_watch_settle(&run->watch, &run->tick, run->others);
    mt_watch_close(&run->watch);
    mend_all_emptied(run);
    list_ended(run, others, ret);
    if (others->count > 0) {
        qsort(others->items, others->count, sizeof *others->items, by_start);
    }
    fold_journals(run, others);
    complete_program(run, others);
    if (run->trace_fd < 0) {
        adopt(run, others);
    }
    ret->found = others->count + ret->live + (run->trace_fd >= 0);
}

void mt_gather_pack(struct mt_run *run, struct mt_gathered *gathered)
{
    struct mt_others *others = gathered->others;
    if (mt_runfiles_is_ours(run)) {
        if (run->options.pack) {
            struct mt_strlist warnings = { 0 };
            mt_helper_say(&run->helper, &warnings);
            pack_first(run, &warnings, &gathered->noted);
            mt_strlist_clear(&warnings);
        }
        append_all(run, others, gathered);
    } else {
        gathered->apart = others->count;
    }
    others_fini(others);
    free(others);
    gathered->others = NULL;
}
