/* runfiles.c: see runfiles.h. */
#include "launch/runfiles.h"

#include "util/memory.h"
#include "util/process.h"
#include "util/tracepath.h"
#include "wire/journal_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

bool mt_runfiles_read(int fd, struct mt_trace_header *ret)
{
    struct stat info;
    *ret = (struct mt_trace_header){ 0 };
    return fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && pread(fd, ret, sizeof *ret, 0) >= MT_TRACE_FIXED_BYTES &&
           memcmp(ret->magic, MT_TRACE_MAGIC, sizeof ret->magic) == 0;
}

int mt_runfiles_open(const char *path, bool writable, struct mt_trace_header *ret)
{
    int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
    if (fd >= 0 && !mt_runfiles_read(fd, ret)) {
        (void)close(fd);
        fd = -1;
    }
    if (fd >= 0) {
        mt_journal_complete_header(path, ret);
    }
    return fd;
}

static bool read_header_of(const char *path, struct mt_trace_header *ret)
{
    int fd = mt_runfiles_open(path, false, ret);
    if (fd >= 0) {
        (void)close(fd);
    }
    return fd >= 0;
}

/* By inode and suffix: the device in maps is not that of stat on some file systems. */
static bool is_journal(const char *line, ino_t inode)
{
    unsigned long long number;
    return sscanf(line, "%*s %*s %*s %*s %llu", &number) == 1 && number == (unsigned long long)inode && strstr(line, ".journal") != NULL;
}

bool mt_runfiles_maps(pid_t pid, ino_t inode)
{
    char *path = mt_format("/proc/%d/maps", (int)pid), line[PATH_MAX + 128];
    FILE *maps = fopen(path, "re");
    bool found = false;
    free(path);
    while (maps != NULL && !found && fgets(line, sizeof line, maps) != NULL) {
        found = is_journal(line, inode);
    }
    if (maps != NULL) {
        (void)fclose(maps);
    }
    return found;
}

bool mt_runfiles_is_live(const char *path, const struct mt_trace_header *header)
{
    return header->state == MT_STATE_RECORDING && mt_process_writing(path, header->pid) != 0;
}

/* ---- what is there already ----------------------------------------------------------------------------------------- */

static mt_status check_not_live(const char *output, const char *path, struct mt_error *err)
{
    struct mt_trace_header header;
    if (!read_header_of(path, &header) || !mt_runfiles_is_live(path, &header)) {
        return MT_OK;
    }
    return mt_error_set(err, MT_E_BUSY, "process %llu is being recorded into %s; choose another name with -o",
                        (unsigned long long)header.pid, output);
}

static mt_status check_file(const struct mt_run *run, struct mt_error *err)
{
    struct stat info;
    if (lstat(run->output, &info) != 0) {
        return MT_OK;
    }
    if (S_ISDIR(info.st_mode)) {
        return mt_error_set(err, MT_E_INVAL, "%s is a folder: name a file in it with -o", run->output);
    }
    if (!S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode)) {
        return mt_error_set(err, MT_E_INVAL, "%s is not a regular file: a trace needs one", run->output);
    }
    mt_status status = check_not_live(run->output, run->output, err);
    if (status == MT_OK && !run->options.force) {
        status = mt_error_set(err, MT_E_EXIST, "%s exists; use -f to replace it or -o for another name", run->output);
    }
    return status;
}

/* Another memtap holds FILE.d from the start of its run until everything is in FILE. */
static bool is_held(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW);
    bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (fd >= 0) {
        (void)close(fd);
    }
    return held;
}

static mt_status check_folder(const struct mt_run *run, const char *folder, struct mt_error *err)
{
    struct stat info;
    if (lstat(folder, &info) != 0) {
        return MT_OK;
    }
    if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid()) {
        return mt_error_set(err, MT_E_INVAL,
                            "%s is not a folder of yours: the other processes' traces need it; choose another name with -o",
                            folder);
    }
    struct mt_strlist others = { 0 };
    mt_tracepath_others(run->output, &others);
    mt_status status = MT_OK;
    for (size_t i = 0; i < others.count && status == MT_OK; i++) {
        status = check_not_live(run->output, others.items[i], err);
    }
    if (status == MT_OK && is_held(folder)) {
        status = mt_error_set(err, MT_E_BUSY, "another memtap is recording into %s; choose another name with -o", run->output);
    }
    if (status == MT_OK && others.count > 0 && !run->options.force) {
        status = mt_error_set(err, MT_E_EXIST, "%s holds traces of an earlier run; use -f to remove them or -o for another name",
                              folder);
    }
    mt_strlist_clear(&others);
    return status;
}

mt_status mt_runfiles_check(const struct mt_run *run, struct mt_error *err)
{
    char *folder = mt_tracepath_folder(run->output);
    mt_status status = check_file(run, err);
    if (status == MT_OK) {
        status = check_folder(run, folder, err);
    }
    free(folder);
    return status;
}

/* A trace and its journal. */
static void remove_trace(const char *path)
{
    struct mt_trace_header header;
    if (read_header_of(path, &header)) {
        mt_journal_remove(path, &header);
        (void)unlink(path);
    }
}

bool mt_runfiles_have_live(const char *file)
{
    struct mt_strlist others = { 0 };
    struct mt_trace_header header;
    bool live = false;
    mt_tracepath_others(file, &others);
    for (size_t i = 0; i < others.count && !live; i++) {
        live = read_header_of(others.items[i], &header) && mt_runfiles_is_live(others.items[i], &header);
    }
    mt_strlist_clear(&others);
    return live;
}

void mt_runfiles_remove(const char *file)
{
    struct mt_strlist others = { 0 };
    char *folder = mt_tracepath_folder(file);
    mt_tracepath_others(file, &others);
    for (size_t i = 0; i < others.count; i++) {
        remove_trace(others.items[i]);
    }
    (void)rmdir(folder);
    remove_trace(file);
    (void)unlink(file);
    mt_strlist_clear(&others);
    free(folder);
}

/* ---- during the run -------------------------------------------------------------------------------------------------- */

int mt_runfiles_begin(const char *output)
{
    struct stat info;
    char *folder = mt_tracepath_folder(output);
    int error = lstat(output, &info) == 0 ? EEXIST : mkdir(folder, 0700) == 0 ? 0 : errno;
    if (error == EEXIST && lstat(output, &info) != 0 && lstat(folder, &info) == 0 && S_ISDIR(info.st_mode)) {
        error = 0; /* checked before: an earlier run's, with something in it that is not a trace */
    }
    free(folder);
    return error;
}

void mt_runfiles_hold(struct mt_run *run)
{
    run->others = mt_tracepath_folder(run->output);
    run->others_fd = open(run->others, O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW);
    if (run->others_fd >= 0) {
        (void)flock(run->others_fd, LOCK_EX | LOCK_NB);
    }
}

/* Its journal is held as well. -1: it is not the trace that the program began with. */
static int open_first(struct mt_run *run, const char *path)
{
    struct mt_trace_header header;
    int fd = mt_runfiles_open(path, true, &header);
    if (fd >= 0 && (header.pid != (uint64_t)run->pid || header.start_realtime_ns < run->started_realtime_ns)) {
        (void)close(fd);
        fd = -1;
    }
    if (fd >= 0 && header.journal != 0) {
        run->journal_fd = mt_journal_open(path, &header, &header, &run->journal);
    }
    return fd;
}

void mt_runfiles_find(struct mt_run *run)
{
    run->trace_fd = run->trace_fd >= 0 ? run->trace_fd : open_first(run, run->output);
}

/* Whatever was renamed since the start has changed since the start; a clock of the kernel's ticks is behind ours. */
static bool is_touched_since(const struct stat *info, uint64_t started_realtime_ns)
{
    const uint64_t behind_ns = 20000000;
    uint64_t changed_ns = (uint64_t)info->st_ctim.tv_sec * 1000000000 + (uint64_t)info->st_ctim.tv_nsec;
    return S_ISREG(info->st_mode) && changed_ns + behind_ns >= started_realtime_ns;
}

void mt_runfiles_search(struct mt_run *run)
{
    DIR *folder = run->trace_fd < 0 ? opendir(run->folder) : NULL;
    for (struct dirent *entry = folder != NULL ? readdir(folder) : NULL; entry != NULL && run->trace_fd < 0;
         entry = readdir(folder)) {
        struct stat info;
        char *path = mt_format("%s/%s", run->folder, entry->d_name);
        if (lstat(path, &info) == 0 && is_touched_since(&info, run->started_realtime_ns)) {
            run->trace_fd = open_first(run, path);
        }
        free(path);
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
}

bool mt_runfiles_is_ours(const struct mt_run *run)
{
    struct stat by_name, held;
    return run->trace_fd >= 0 && lstat(run->output, &by_name) == 0 && fstat(run->trace_fd, &held) == 0 &&
           by_name.st_dev == held.st_dev && by_name.st_ino == held.st_ino;
}

void mt_runfiles_release(struct mt_run *run)
{
    if (run->others != NULL) {
        (void)rmdir(run->others);
    }
    if (run->others_fd >= 0) {
        (void)close(run->others_fd);
    }
    if (run->trace_fd >= 0) {
        (void)close(run->trace_fd);
    }
    if (run->journal_fd >= 0) {
        (void)close(run->journal_fd);
    }
    free(run->others);
    free(run->journal);
    run->others = run->journal = NULL;
    run->others_fd = run->trace_fd = run->journal_fd = -1;
}
