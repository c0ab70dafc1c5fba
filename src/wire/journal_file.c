/* journal_file.c: see journal_file.h. */
#include "wire/journal_file.h"

#include "wire/copy.h"
#include "wire/journal_path.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- finding -------------------------------------------------------------------------------------------------------------- */

static bool read_page(int fd, const char *magic, struct mt_trace_header *ret)
{
    struct stat info;
    return fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && pread(fd, ret, sizeof *ret, 0) == (ssize_t)sizeof *ret &&
           memcmp(ret->magic, magic, sizeof ret->magic) == 0;
}

static bool belongs_to(const struct mt_trace_header *journal, const struct mt_trace_header *trace)
{
    return journal->journal == trace->journal && journal->pid == trace->pid &&
           journal->start_realtime_ns == trace->start_realtime_ns && journal->major == trace->major &&
           journal->header_bytes == MT_TRACE_HEADER_BYTES && journal->command_bytes <= MT_TRACE_COMMAND_MAX &&
           journal->clock_shift <= MT_CLOCK_SHIFT_MAX;
}

static int open_at(const char *path, const struct mt_trace_header *trace, struct mt_trace_header *ret_header, char **ret_path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
    if (fd >= 0 && !(read_page(fd, MT_JOURNAL_MAGIC, ret_header) && belongs_to(ret_header, trace))) {
        (void)close(fd);
        fd = -1;
    }
    if (fd >= 0 && ret_path != NULL) {
        *ret_path = strdup(path);
    }
    return fd;
}

/* Beside the trace it has the folder the trace has now and the name it got. */
static int open_beside(const char *path, const struct mt_trace_header *trace, struct mt_trace_header *ret_header, char **ret_path)
{
    char beside[PATH_MAX];
    const char *slash = strrchr(path, '/');
    const char *made = strrchr(trace->journal_path, '/');
    size_t folder = slash != NULL ? (size_t)(slash + 1 - path) : 0;
    if (made == NULL || folder + strlen(made + 1) >= sizeof beside) {
        return -1;
    }
    memcpy(beside, path, folder);
    memcpy(beside + folder, made + 1, strlen(made + 1) + 1);
    return open_at(beside, trace, ret_header, ret_path);
}

int mt_journal_open(const char *path, const struct mt_trace_header *trace, struct mt_trace_header *ret_header, char **ret_path)
{
    char own[PATH_MAX];
    struct mt_trace_header named = *trace;
    named.journal_path[sizeof named.journal_path - 1] = '\0';
    int fd = mt_journal_path(path, trace->journal, own, sizeof own) ? open_at(own, trace, ret_header, ret_path) : -1;
    if (fd < 0) {
        fd = open_beside(path, &named, ret_header, ret_path);
    }
    if (fd < 0 && named.journal_path[0] == '/') {
        fd = open_at(named.journal_path, trace, ret_header, ret_path);
    }
    return fd;
}

/* ---- the header ------------------------------------------------------------------------------------------------------------ */

void mt_journal_update_header(struct mt_trace_header *trace, const struct mt_trace_header *journal)
{
    struct mt_trace_header before = *trace;
    *trace = *journal;
    memcpy(trace->magic, before.magic, sizeof trace->magic);
    trace->tool_exit_status = before.tool_exit_status;
    trace->memory = before.memory;
    if (before.rss_peak_bytes > trace->rss_peak_bytes) {
        trace->rss_peak_bytes = before.rss_peak_bytes;
    }
    if (trace->state == MT_STATE_RECORDING) {
        trace->state = before.state; /* the next image of the process says that this one ended */
    }
    if (trace->end_clock == 0) { /* the tool found it dead */
        trace->end_clock = before.end_clock;
        trace->end_within_ns = before.end_within_ns;
    }
}

void mt_journal_complete_header(const char *path, struct mt_trace_header *header)
{
    struct mt_trace_header journal;
    int fd = header->journal != 0 ? mt_journal_open(path, header, &journal, NULL) : -1;
    if (fd >= 0) {
        mt_journal_update_header(header, &journal);
        (void)close(fd);
    }
}

/* ---- the end --------------------------------------------------------------------------------------------------------------- */

static uint64_t aligned(uint64_t offset)
{
    return (offset + MT_EXTENT_ALIGN - 1) & ~(uint64_t)(MT_EXTENT_ALIGN - 1);
}

/* First the extents, then the header that makes them part of the trace, in one page. */
static mt_status fold(int fd, int journal, struct mt_trace_header *header)
{
    struct stat info;
    union {
        struct mt_trace_header header;
        uint8_t page[MT_TRACE_HEADER_BYTES];
    } whole = { .page = { 0 } };
    if (fstat(journal, &info) != 0) {
        return MT_E_IO;
    }
    uint64_t end = header->journal_tail < (uint64_t)info.st_size ? header->journal_tail : (uint64_t)info.st_size;
    uint64_t bytes = end > MT_TRACE_HEADER_BYTES ? end - MT_TRACE_HEADER_BYTES : 0;
    uint64_t at = aligned(header->file_tail);
    mt_status status = mt_copy_range(fd, at, journal, MT_TRACE_HEADER_BYTES, bytes);
    header->file_tail = at + bytes;
    header->journal = header->journal_tail = 0;
    memset(header->journal_path, 0, sizeof header->journal_path);
    memcpy(header->magic, MT_TRACE_MAGIC, sizeof header->magic);
    whole.header = *header;
    return status == MT_OK ? mt_copy_bytes(fd, whole.page, sizeof whole.page, 0) : status;
}

static void remove_file(const char *path, int fd)
{
    struct stat by_name, held;
    if (path != NULL && lstat(path, &by_name) == 0 && fstat(fd, &held) == 0 && by_name.st_dev == held.st_dev &&
        by_name.st_ino == held.st_ino) {
        (void)unlink(path);
    }
}

static mt_status fold_and_remove(int fd, int journal, const char *journal_path, struct mt_trace_header *header)
{
    mt_status status = fold(fd, journal, header);
    if (status == MT_OK) {
        remove_file(journal_path, journal);
    }
    return status;
}

mt_status mt_journal_fold(int fd, const char *path)
{
    struct mt_trace_header header, now;
    char *found = NULL;
    if (!read_page(fd, MT_TRACE_MAGIC, &header) || header.journal == 0) {
        return MT_OK;
    }
    int journal = mt_journal_open(path, &header, &now, &found);
    if (journal < 0) {
        return MT_OK; /* readers say that it is missing */
    }
    mt_journal_update_header(&header, &now);
    mt_status status = fold_and_remove(fd, journal, found, &header);
    (void)close(journal);
    free(found);
    return status;
}

mt_status mt_journal_fold_held(int fd, int held, const char *held_path)
{
    struct mt_trace_header header, now;
    if (!read_page(held, MT_JOURNAL_MAGIC, &now)) {
        return MT_E_CORRUPT;
    }
    if (!read_page(fd, MT_TRACE_MAGIC, &header)) {
        return fold_and_remove(fd, held, held_path, &now); /* emptied */
    }
    if (header.journal != now.journal) {
        return MT_OK; /* its process has done it */
    }
    mt_journal_update_header(&header, &now);
    return fold_and_remove(fd, held, held_path, &header);
}

void mt_journal_remove(const char *path, const struct mt_trace_header *header)
{
    struct mt_trace_header journal;
    char *found = NULL;
    int fd = header->journal != 0 ? mt_journal_open(path, header, &journal, &found) : -1;
    if (fd >= 0) {
        remove_file(found, fd);
        (void)close(fd);
    }
    free(found);
}

/* A journal of the trace's process and start, under a name that leads to the trace. */
static void remove_if_left(const char *path, const char *trace_path, const struct mt_trace_header *trace)
{
    struct mt_trace_header journal;
    char leads_to[PATH_MAX];
    if (!mt_journal_trace_path(path, leads_to, sizeof leads_to) || strcmp(leads_to, trace_path) != 0) {
        return;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
    if (fd >= 0 && read_page(fd, MT_JOURNAL_MAGIC, &journal) && journal.pid == trace->pid &&
        journal.start_realtime_ns == trace->start_realtime_ns) {
        remove_file(path, fd);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

void mt_journal_remove_left(const char *path)
{
    char folder_path[PATH_MAX], beside[2 * PATH_MAX];
    struct mt_trace_header trace;
    const char *slash = strrchr(path, '/');
    int bytes = slash != NULL ? (int)(slash + 1 - path) : 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool whole = fd >= 0 && read_page(fd, MT_TRACE_MAGIC, &trace) && trace.journal == 0 && bytes < (int)sizeof folder_path - 2;
    if (fd >= 0) {
        (void)close(fd);
    }
    (void)snprintf(folder_path, sizeof folder_path, "%.*s.", bytes, path);
    DIR *folder = whole ? opendir(folder_path) : NULL;
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        (void)snprintf(beside, sizeof beside, "%.*s%s", bytes, path, entry->d_name);
        remove_if_left(beside, path, &trace);
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
}
