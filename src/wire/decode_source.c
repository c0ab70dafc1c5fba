/* decode_source.c: pread or memcpy. Context: [tool]. */
#include "wire/decode_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

mt_status mt_source_open(struct mt_source *source, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return mt_status_from_errno(errno);
    }
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return MT_E_INVAL;
    }
    *source = (struct mt_source){ .fd = fd, .bytes = (uint64_t)st.st_size };
    return MT_OK;
}

void mt_source_refresh(struct mt_source *source)
{
    struct stat st;
    if (source->fd >= 0 && fstat(source->fd, &st) == 0) {
        source->bytes = (uint64_t)st.st_size;
    }
}

void mt_source_close(struct mt_source *source)
{
    if (source->fd >= 0) {
        close(source->fd);
        source->fd = -1;
    }
}

static mt_status read_fd(const struct mt_source *source, uint64_t offset, uint8_t *to, size_t bytes, size_t *ret_bytes)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = pread(source->fd, to + done, bytes - done, (off_t)(offset + done));
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
    if (source->fd >= 0) {
        return read_fd(source, offset, data, bytes, ret_bytes);
    }
    memcpy(data, source->memory + offset, bytes);
    *ret_bytes = bytes;
    return MT_OK;
}

uint64_t mt_source_next_data(const struct mt_source *source, uint64_t offset)
{
    if (source->fd < 0) {
        return offset;
    }
    off_t next = lseek(source->fd, (off_t)offset, SEEK_DATA);
    if (next < 0) {
        return errno == ENXIO ? source->bytes : offset;
    }
    return (uint64_t)next;
}
