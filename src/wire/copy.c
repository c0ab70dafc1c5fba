/* copy.c: see copy.h. */
#include "wire/copy.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { COPY_BYTES = 1 << 20 };

mt_status mt_copy_bytes(int fd, const void *data, size_t bytes, uint64_t offset)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t wrote = pwrite(fd, at, bytes, (off_t)offset);
        if (wrote < 0 && errno != EINTR) {
            return mt_status_from_errno(errno);
        }
        size_t done = wrote > 0 ? (size_t)wrote : 0;
        at += done;
        bytes -= done;
        offset += done;
    }
    return MT_OK;
}

mt_status mt_copy_range(int to, uint64_t to_offset, int from, uint64_t from_offset, uint64_t bytes)
{
    char *buffer = malloc(bytes < COPY_BYTES ? (size_t)bytes + 1 : COPY_BYTES);
    mt_status status = buffer != NULL ? MT_OK : MT_E_NOMEM;
    while (status == MT_OK && bytes > 0) {
        ssize_t got = pread(from, buffer, bytes < COPY_BYTES ? bytes : COPY_BYTES, (off_t)from_offset);
        if (got < 0 && errno != EINTR) {
            status = mt_status_from_errno(errno);
        } else if (got == 0) {
            break;
        } else if (got > 0) {
            status = mt_copy_bytes(to, buffer, (size_t)got, to_offset);
            to_offset += (uint64_t)got;
            from_offset += (uint64_t)got;
            bytes -= (uint64_t)got;
        }
    }
    free(buffer);
    return status;
}
