/* decode_source.c: pread or memcpy. Context: [tool]. */
#include "wire/decode_source.h"

#include "base/atomic.h"
#include "wire/journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* An open file, for all the sources that are windows of it. */
struct mt_source_file {
    int fd;
    unsigned users;
};

static uint64_t bytes_from(uint64_t all, uint64_t start)
{
    return all > start ? all - start : 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

mt_status mt_source_open(struct mt_source *source, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return fd >= 0 ? mt_source_of_file(source, fd) : mt_status_from_errno(errno);
}

mt_status mt_source_of_file(struct mt_source *source, int take_fd)
{
    struct stat st;
    mt_status status = fstat(take_fd, &st) == 0 && S_ISREG(st.st_mode) ? MT_OK : MT_E_INVAL;
    struct mt_source_file *file = status == MT_OK ? malloc(sizeof *file) : NULL;
    if (file == NULL) {
        close(take_fd);
        return status != MT_OK ? status : MT_E_NOMEM;
    }
    *file = (struct mt_source_file){ .fd = take_fd, .users = 1 };
    *source = (struct mt_source){ .file = file, .limit = UINT64_MAX, .bytes = (uint64_t)st.st_size,
                                   .device = st.st_dev, .inode = st.st_ino };
    return MT_OK;
}

struct mt_source mt_source_of_memory(const void *data, size_t bytes)
{
    return (struct mt_source){ .memory = data, .limit = bytes, .bytes = bytes };
}

struct mt_source mt_source_window(const struct mt_source *source, uint64_t offset, uint64_t bytes)
{
    struct mt_source window = *source;
    offset = smaller(offset, source->bytes);
    window.limit = smaller(bytes, bytes_from(source->limit, offset));
    window.bytes = smaller(window.limit, source->bytes - offset);
    window.start = source->start + offset;
    if (source->file == NULL) {
        window.memory = source->memory + offset;
    } else {
        (void)mt_fetch_add_relaxed(&source->file->users, 1);
    }
    return window;
}

void mt_source_refresh(struct mt_source *source)
{
    struct stat st;
    if (source->file != NULL && fstat(source->file->fd, &st) == 0) {
        source->bytes = smaller(bytes_from((uint64_t)st.st_size, source->start), source->limit);
    }
}

void mt_source_close(struct mt_source *source)
{
    struct mt_source_file *file = source->file;
    source->file = NULL;
    if (file != NULL && mt_fetch_add_acq_rel(&file->users, -1u) == 1) {
        close(file->fd);
        free(file);
    }
}

static mt_status read_fd(const struct mt_source *source, uint64_t offset, uint8_t *to, size_t bytes, size_t *ret_bytes)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = pread(source->file->fd, to + done, bytes - done, (off_t)(source->start + offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return mt_status_from_errno(errno);
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    *ret_bytes = done;
    return MT_OK;
}

mt_status mt_source_read(const struct mt_source *source, uint64_t offset, void *data, size_t bytes, size_t *ret_bytes)
{
    if (offset >= source->bytes || bytes == 0) {
        *ret_bytes = 0;
        return MT_OK;
    }
    if (bytes > source->bytes - offset) {
        bytes = (size_t)(source->bytes - offset);
    }
    if (source->file != NULL) {
        return read_fd(source, offset, data, bytes, ret_bytes);
    }
    memcpy(data, source->memory + offset, bytes);
    *ret_bytes = bytes;
    return MT_OK;
}

uint64_t mt_source_next_data(const struct mt_source *source, uint64_t offset)
{
    if (source->file == NULL) {
        return offset;
    }
    off_t next = lseek(source->file->fd, (off_t)(source->start + offset), SEEK_DATA);
    if (next < 0) {
        return errno == ENXIO ? source->bytes : offset;
    }
    return smaller(bytes_from((uint64_t)next, source->start), source->bytes);
}

mt_status mt_reader_read(const struct mt_reader *reader, uint64_t offset, void *data, size_t bytes, size_t *ret_bytes)
{
    const struct mt_source *source = mt_reader_source(reader, &offset);
    return mt_source_read(source, offset, data, bytes, ret_bytes);
}

const struct mt_source *mt_reader_source(const struct mt_reader *reader, uint64_t *offset)
{
    if (!reader->has_journal || *offset < MT_JOURNAL_OFFSET) {
        return &reader->source;
    }
    *offset -= MT_JOURNAL_OFFSET;
    return &reader->journal;
}
