/* remote.c: see remote.h. */
#include "attach/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096 };

mt_status mt_remote_open(pid_t pid, struct mt_remote *ret, struct mt_error *err)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return mt_error_set_errno(err, errno, "cannot open the memory of process %d", (int)pid);
    }
    *ret = (struct mt_remote){ .pid = pid, .mem_fd = fd };
    return MT_OK;
}

uint64_t mt_remote_own_number(pid_t pid)
{
    struct stat ours, its;
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
    bool same = stat("/proc/self/ns/pid", &ours) == 0 && stat(path, &its) == 0 && ours.st_ino == its.st_ino;
    return same ? (uint64_t)getpid() : 0;
}

void mt_remote_close(struct mt_remote *remote)
{
    if (remote->mem_fd >= 0) {
        (void)close(remote->mem_fd);
        remote->mem_fd = -1;
    }
}

size_t mt_remote_read_some(const struct mt_remote *remote, uint64_t address, void *ret, size_t bytes)
{
    size_t done = 0, part = 1;
    while (done < bytes && part > 0) {
        ssize_t got = pread(remote->mem_fd, (char *)ret + done, bytes - done, (off_t)(address + done));
        part = got > 0 ? (size_t)got : 0;
        done += part;
    }
    return done;
}

bool mt_remote_read(const struct mt_remote *remote, uint64_t address, void *ret, size_t bytes)
{
    return mt_remote_read_some(remote, address, ret, bytes) == bytes;
}

bool mt_remote_read_text(const struct mt_remote *remote, uint64_t address, char *ret, size_t capacity)
{
    size_t have = 0;
    while (have < capacity) {
        size_t page_left = PAGE_BYTES - (size_t)((address + have) % PAGE_BYTES);
        size_t part = page_left < capacity - have ? page_left : capacity - have;
        if (!mt_remote_read(remote, address + have, ret + have, part)) {
            return false;
        }
        if (memchr(ret + have, '\0', part) != NULL) {
            return true;
        }
        have += part;
    }
    ret[capacity - 1] = '\0';
    return true;
}

bool mt_remote_write(const struct mt_remote *remote, uint64_t address, const void *data, size_t bytes)
{
    const char *from = data;
    while (bytes > 0) {
        ssize_t put = pwrite(remote->mem_fd, from, bytes, (off_t)address);
        if (put <= 0) {
            return false;
        }
        from += put;
        address += (uint64_t)put;
        bytes -= (size_t)put;
    }
    return true;
}
