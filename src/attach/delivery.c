/* delivery.c: see delivery.h. */
#include "attach/delivery.h"

#include "base/os.h"
#include "util/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438 /* younger than the headers that the wheel is built against */
#endif

mt_status mt_delivery_read(const char *agent, struct mt_delivery *ret, struct mt_error *err)
{
    struct stat info;
    int fd = open(agent, O_RDONLY | O_CLOEXEC);
    *ret = (struct mt_delivery){ 0 };
    if (fd < 0 || fstat(fd, &info) != 0) {
        mt_status status = mt_error_set_errno(err, errno, "cannot read the agent %s", agent);
        if (fd >= 0) {
            (void)close(fd);
        }
        return status;
    }
    ret->count = (size_t)info.st_size;
    ret->bytes = mt_alloc(ret->count);
    ssize_t got = pread(fd, ret->bytes, ret->count, 0);
    (void)close(fd);
    if (got != info.st_size) {
        mt_delivery_clear(ret);
        return mt_error_set(err, MT_E_IO, "cannot read the agent %s", agent);
    }
    return MT_OK;
}

static bool write_all(const struct mt_delivery *delivery, int fd)
{
    size_t done = 0;
    while (done < delivery->count) {
        ssize_t put = pwrite(fd, delivery->bytes + done, delivery->count - done, (off_t)done);
        if (put <= 0) {
            return false;
        }
        done += (size_t)put;
    }
    return true;
}

/* The descriptor itself (Linux 5.6), else what /proc lets us open anew. */
static int reach(pid_t pid, int fd)
{
    char path[64];
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    int got = process >= 0 ? (int)syscall(SYS_pidfd_getfd, process, fd, 0) : -1;
    if (process >= 0) {
        (void)close(process);
    }
    (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
    return got >= 0 ? got : open(path, O_WRONLY | O_CLOEXEC);
}

bool mt_delivery_fill(const struct mt_delivery *delivery, pid_t pid, int fd)
{
    int there = reach(pid, fd);
    bool done = there >= 0 && write_all(delivery, there);
    if (there >= 0) {
        (void)close(there);
    }
    return done;
}

/* Is the agent's file what the process sees at its path? */
static bool is_seen(pid_t pid, const char *agent)
{
    struct stat here, there;
    char *path = mt_format("/proc/%d/root%s", (int)pid, agent);
    bool same = stat(agent, &here) == 0 && stat(path, &there) == 0 && here.st_dev == there.st_dev && here.st_ino == there.st_ino;
    free(path);
    return same;
}

static bool copy_into(struct mt_delivery *delivery, pid_t pid, const char *folder, char *ret_path, size_t capacity)
{
    (void)snprintf(ret_path, capacity, "%s/.memtap-agent.%d.%016llx.so", folder, (int)pid, (unsigned long long)mt_os_random());
    char *path = mt_format("/proc/%d/root%s", (int)pid, ret_path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0755);
    bool done = fd >= 0 && fchmod(fd, 0755) == 0 && write_all(delivery, fd);
    if (fd >= 0) {
        (void)close(fd);
    }
    if (fd >= 0 && !done) {
        (void)unlink(path);
    }
    if (!done) {
        free(path);
        return false;
    }
    delivery->copy = path;
    return true;
}

mt_status mt_delivery_place(struct mt_delivery *delivery, pid_t pid, const char *agent, char *ret_path, size_t capacity,
                            struct mt_error *err)
{
    static const char *const folders[] = { "/dev/shm", "/tmp", "/var/tmp", "/run" };
    if (is_seen(pid, agent) && strlen(agent) < capacity) {
        (void)snprintf(ret_path, capacity, "%s", agent);
        return MT_OK;
    }
    for (size_t i = 0; i < MT_COUNTOF(folders); i++) {
        if (copy_into(delivery, pid, folders[i], ret_path, capacity)) {
            return MT_OK;
        }
    }
    return mt_error_set(err, MT_E_UNSUPPORTED,
                        "process %d can open no memory file, and no folder of its root can be written to: mount a tmpfs at its "
                        "/dev/shm or /tmp, or start it under `memtap run`",
                        (int)pid);
}

void mt_delivery_clear(struct mt_delivery *delivery)
{
    if (delivery->copy != NULL) {
        (void)unlink(delivery->copy);
    }
    free(delivery->copy);
    free(delivery->bytes);
    *delivery = (struct mt_delivery){ 0 };
}
