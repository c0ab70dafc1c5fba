/* out.c: buffered output with a temporary and a rename. */
#include "util/out.h"

#include "util/interrupt.h"
#include "util/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OUT_BUFFER_BYTES = 64 * 1024 };

struct mt_out {
    char *buffer;
    size_t used;
    size_t capacity; /* grows only for a memory output */
    int fd;          /* -1: memory */
    int shown_fd;    /* of memory: where it will be shown; -1 nowhere */
    bool owns_fd;
    int error; /* first errno; EPIPE: the reader went away */
    char *path;
    char *temporary; /* NULL: written directly */
};

static struct mt_out *new_out(int fd)
{
    struct mt_out *out = mt_alloc_zero(1, sizeof *out);
    out->shown_fd = -1;
    out->buffer = mt_alloc(OUT_BUFFER_BYTES);
    out->capacity = OUT_BUFFER_BYTES;
    out->fd = fd;
    return out;
}

static void undo_out(void *out, size_t bytes)
{
    (void)bytes;
    mt_out_discard(out);
}

static mt_status open_direct(const char *path, struct mt_out **ret, struct mt_error *err)
{
    struct mt_out *out = new_out(-1);
    out->path = mt_strdup(path);
    out->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (out->fd < 0) {
        mt_status status = mt_error_set_errno(err, errno, "cannot write %s", path);
        mt_out_discard(out);
        return status;
    }
    out->owns_fd = true;
    mt_memory_hold(out, sizeof *out, undo_out);
    *ret = out;
    return MT_OK;
}

/* The process's umask, without changing it for a moment as umask() must: other threads of a host may make files now. */
static mode_t current_umask(void)
{
    char line[256];
    unsigned mask = 022;
    FILE *status = fopen("/proc/self/status", "re");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (sscanf(line, "Umask: %o", &mask) == 1) {
            break;
        }
    }
    if (status != NULL) {
        (void)fclose(status);
    }
    return (mode_t)mask;
}

/* Mode of the file to be: that of the file it replaces, else what creat() would give. */
static mode_t final_mode(const struct stat *old)
{
    return old != NULL ? old->st_mode & 07777 : 0666 & ~current_umask();
}

static mt_status open_replacing(const char *path, const struct stat *old, struct mt_out **ret, struct mt_error *err)
{
    char resolved[PATH_MAX];
    const char *real = old != NULL ? realpath(path, resolved) : NULL; /* write through a symbolic link, do not replace it */
    struct mt_out *out = new_out(-1);
    out->path = mt_strdup(real != NULL ? real : path);
    char *temporary = mt_format("%s.part.XXXXXX", out->path);
    out->fd = mkostemp(temporary, O_CLOEXEC);
    if (out->fd < 0) {
        mt_status status = mt_error_set_errno(err, errno, "cannot create a file beside %s", out->path);
        free(temporary);
        mt_out_discard(out);
        return status;
    }
    (void)fchmod(out->fd, final_mode(old));
    out->owns_fd = true;
    out->temporary = temporary;
    mt_memory_hold(out, sizeof *out, undo_out);
    mt_interrupt_remove_later(temporary);
    *ret = out;
    return MT_OK;
}

mt_status mt_out_open(const char *path, struct mt_out **ret, struct mt_error *err)
{
    if (path == NULL || strcmp(path, "-") == 0) {
        *ret = new_out(STDOUT_FILENO);
        return MT_OK;
    }
    struct stat info;
    bool exists = stat(path, &info) == 0;
    if (exists && S_ISDIR(info.st_mode)) {
        return mt_error_set(err, MT_E_INVAL, "cannot write %s: it is a directory; name a file in it", path);
    }
    if (exists && !S_ISREG(info.st_mode)) {
        return open_direct(path, ret, err);
    }
    return open_replacing(path, exists ? &info : NULL, ret, err);
}

struct mt_out *mt_out_open_memory(void)
{
    return new_out(-1);
}

void mt_out_shown_at(struct mt_out *out, int fd)
{
    out->shown_fd = fd;
}

const char *mt_out_text(struct mt_out *out, size_t *ret_bytes)
{
    out->buffer = mt_alloc_grow(out->buffer, &out->capacity, out->used + 1, 1);
    out->buffer[out->used] = '\0';
    if (ret_bytes != NULL) {
        *ret_bytes = out->used;
    }
    return out->buffer;
}

static void write_all(struct mt_out *out, const char *from, size_t bytes)
{
    while (bytes > 0 && out->error == 0) {
        ssize_t wrote = write(out->fd, from, bytes);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote < 0) {
            out->error = errno;
            return;
        }
        from += wrote;
        bytes -= (size_t)wrote;
    }
}

static void flush(struct mt_out *out)
{
    if (out->fd >= 0) {
        write_all(out, out->buffer, out->used);
        out->used = 0;
    }
}

void mt_out_write(struct mt_out *out, const void *data, size_t bytes)
{
    if (out->fd < 0) {
        out->buffer = mt_alloc_grow(out->buffer, &out->capacity, out->used + bytes + 1, 1);
    } else if (bytes > out->capacity - out->used) {
        flush(out);
        if (bytes >= out->capacity) {
            write_all(out, data, bytes);
            return;
        }
    }
    memcpy(out->buffer + out->used, data, bytes);
    out->used += bytes;
}

void mt_out_string(struct mt_out *out, const char *text)
{
    mt_out_write(out, text, strlen(text));
}

void mt_out_byte(struct mt_out *out, char byte)
{
    mt_out_write(out, &byte, 1);
}

void mt_out_print(struct mt_out *out, const char *format, ...)
{
    char small[512];
    va_list args;
    va_start(args, format);
    int bytes = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (bytes < 0) {
        return;
    }
    if ((size_t)bytes < sizeof small) {
        mt_out_write(out, small, (size_t)bytes);
        return;
    }
    char *large = mt_alloc((size_t)bytes + 1);
    va_start(args, format);
    (void)vsnprintf(large, (size_t)bytes + 1, format, args);
    va_end(args);
    mt_out_write(out, large, (size_t)bytes);
    free(large);
}

bool mt_out_is_terminal(const struct mt_out *out)
{
    int fd = out->fd >= 0 ? out->fd : out->shown_fd;
    return fd >= 0 && isatty(fd) == 1;
}

bool mt_out_failed(const struct mt_out *out)
{
    return out->error != 0;
}

static void free_out(struct mt_out *out)
{
    if (out->owns_fd && out->fd >= 0) {
        (void)close(out->fd);
    }
    if (out->temporary != NULL) {
        mt_interrupt_keep(out->temporary);
    }
    free(out->temporary);
    free(out->path);
    free(out->buffer);
    free(out);
}

void mt_out_discard(struct mt_out *out)
{
    if (out == NULL) {
        return;
    }
    if (out->temporary != NULL) {
        (void)unlink(out->temporary);
    }
    free_out(out);
}

/* close() reports late errors of network file systems, so it belongs to the commit. */
static void close_checked(struct mt_out *out)
{
    if (out->owns_fd && close(out->fd) != 0 && out->error == 0) {
        out->error = errno;
    }
    out->owns_fd = false;
}

mt_status mt_out_commit(struct mt_out *out, struct mt_error *err)
{
    mt_status status = MT_OK;
    flush(out);
    close_checked(out);
    if (out->temporary != NULL && out->error == 0 && rename(out->temporary, out->path) != 0) {
        out->error = errno;
    }
    if (out->error != 0 && out->error != EPIPE) {
        status =
            mt_error_set_errno(err, out->error, "cannot write %s", out->path != NULL ? out->path : "standard output");
    }
    if (out->temporary != NULL && out->error != 0) {
        (void)unlink(out->temporary);
    }
    free_out(out);
    return status;
}
