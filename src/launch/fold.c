/* fold.c: see fold.h. */
#include "launch/fold.h"

#include "launch/runfiles.h"
#include "util/memory.h"
#include "util/tracepath.h"
#include "wire/append.h"
#include "wire/decode_file.h"
#include "wire/journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_same(const struct mt_trace_header *a, const struct mt_trace_header *b)
{
    return a->pid == b->pid && a->start_realtime_ns == b->start_realtime_ns;
}

/* ---- may it be touched --------------------------------------------------------------------------------------------- */

static mt_status check_ended(const char *file, const char *path, struct mt_error *err)
{
    struct mt_trace_header header;
    int fd = mt_runfiles_open(path, false, &header);
    if (fd >= 0) {
        (void)close(fd);
    }
    return fd >= 0 && mt_runfiles_is_live(path, &header)
               ? mt_error_set(err, MT_E_BUSY, "%s is still being recorded, by process %llu; pack it when that has ended", file,
                              (unsigned long long)header.pid)
               : MT_OK;
}

/* *ret_fd: the folder, locked; -1: there is none. */
static mt_status lock_folder(const char *file, int *ret_fd, struct mt_error *err)
{
    char *folder = mt_tracepath_folder(file);
    int fd = open(folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW);
    free(folder);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(fd);
        return mt_error_set(err, MT_E_BUSY, "%s is still being recorded by another memtap; pack it when that has ended", file);
    }
    *ret_fd = fd;
    return MT_OK;
}

/* The packed form of FILE's own trace, complete in the folder, which a killed memtap was putting into FILE. */
static mt_status finish_rewriting(const char *file, const char *aside, struct mt_error *err)
{
    struct mt_trace_header header, packed;
    int to = mt_runfiles_open(file, true, &header);
    int from = mt_runfiles_open(aside, false, &packed);
    mt_status status = MT_OK;
    if (to >= 0 && from >= 0 && is_same(&header, &packed)) {
        status = mt_rewrite_trace(to, from);
        if (status == MT_OK) {
            mt_journal_remove(file, &header);
            (void)unlink(aside);
        } else {
            status = mt_error_set(err, status, "%s could not be written (%s); its trace is whole in %s", file,
                                  mt_status_text(status), aside);
        }
    }
    if (from >= 0) {
        (void)close(from);
    }
    if (to >= 0) {
        (void)close(to);
    }
    return status;
}

mt_status mt_fold_prepare(const char *file, struct mt_error *err)
{
    struct mt_strlist others = { 0 };
    int folder_fd = -1;
    mt_status status = check_ended(file, file, err);
    mt_tracepath_others(file, &others);
    for (size_t i = 0; i < others.count && status == MT_OK; i++) {
        status = check_ended(file, others.items[i], err);
    }
    if (status == MT_OK) {
        status = lock_folder(file, &folder_fd, err);
    }
    for (size_t i = 0; i < others.count && status == MT_OK; i++) {
        status = finish_rewriting(file, others.items[i], err);
    }
    if (folder_fd >= 0) {
        (void)close(folder_fd);
    }
    mt_strlist_clear(&others);
    return status;
}

/* ---- the rest -------------------------------------------------------------------------------------------------------- */

/* It was put there before memtap was killed. */
static bool is_inside(const char *path, const struct mt_trace_header *wanted)
{
    struct mt_reader *outer, *inner;
    size_t count = 0;
    bool found = false;
    if (mt_reader_open(path, &outer, NULL) != MT_OK) {
        return false;
    }
    (void)mt_reader_nested(outer, &count);
    for (size_t i = 0; i < count && !found; i++) {
        if (mt_reader_open_nested(outer, i, &inner, NULL) == MT_OK) {
            found = is_same(mt_reader_header(inner), wanted);
            mt_reader_close(inner);
        }
    }
    mt_reader_close(outer);
    return found;
}

static uint64_t size_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

/* One that cannot be packed goes as it is. */
static mt_status append_packed(int to, const char *other, const char *packed, const struct mt_pack_options *options,
                               struct mt_pack_result *bytes)
{
    struct mt_trace_header header;
    struct mt_pack_options gone = *options;
    gone.writer_is_gone = true;
    bytes->before_bytes += size_of(other);
    bool made = mt_pack(other, packed, &gone, NULL, NULL) == MT_OK && packed != NULL;
    int fd = mt_runfiles_open(made ? packed : other, packed == NULL, &header);
    mt_status status = fd >= 0 ? MT_OK : MT_E_NOENT;
    if (status == MT_OK && packed == NULL) {
        status = mt_journal_fold(fd, other); /* what could not be packed */
    }
    status = status == MT_OK ? mt_append_trace(to, fd) : status;
    if (fd >= 0) {
        (void)close(fd);
    }
    bytes->after_bytes += status == MT_OK ? size_of(made ? packed : other) : 0;
    if (made) {
        (void)unlink(packed);
    }
    return status;
}

/* output NULL: into the file itself, and what is in it leaves the folder. */
static mt_status fold_one(int to, const char *file, const char *output, const char *other, const struct mt_pack_options *options,
                          struct mt_pack_result *bytes)
{
    struct mt_trace_header header;
    int fd = mt_runfiles_open(other, false, &header);
    if (fd < 0) {
        return MT_OK; /* killed before it began: there is nothing in it */
    }
    (void)close(fd);
    char *packed = output != NULL ? mt_format("%s.pack-%d", output, (int)getpid()) : NULL;
    mt_status status = is_inside(file, &header) ? MT_OK : append_packed(to, other, packed, options, bytes);
    if (status == MT_OK && output == NULL) {
        mt_journal_remove(other, &header);
        (void)unlink(other);
    }
    free(packed);
    return status;
}

mt_status mt_fold_rest(const char *file, const char *output, const struct mt_pack_options *options,
                       struct mt_pack_result *ret_bytes, struct mt_error *err)
{
    struct mt_strlist others = { 0 };
    const char *into = output != NULL ? output : file;
    int folder_fd = -1;
    mt_tracepath_others(file, &others);
    mt_status status = lock_folder(file, &folder_fd, err);
    int to = others.count > 0 && status == MT_OK ? open(into, O_RDWR | O_CLOEXEC | O_NOFOLLOW) : -1;
    for (size_t i = 0; i < others.count && status == MT_OK; i++) {
        status = to >= 0 ? fold_one(to, file, output, others.items[i], options, ret_bytes) : mt_status_from_errno(errno);
        if (status != MT_OK) {
            (void)mt_error_set(err, status, "%s could not be put into %s (%s)", others.items[i], into, mt_status_text(status));
        }
    }
    if (status == MT_OK && output == NULL && folder_fd >= 0) {
        char *folder = mt_tracepath_folder(file);
        (void)rmdir(folder); /* something else in it keeps it */
        free(folder);
    }
    if (to >= 0) {
        (void)close(to);
    }
    if (folder_fd >= 0) {
        (void)close(folder_fd);
    }
    mt_strlist_clear(&others);
    return status;
}
