/* tick.c: the clock page: made, mapped, and removed; those of killed tools are swept. */
#include "launch/launch.h"

#include "base/atomic.h"
#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const time_t STALE_S = 60; /* younger files may belong to a tool that has not locked its file yet */
#define TICK_FOLDER "/dev/shm"
#define TICK_PREFIX "memtap-tick."

/* Removes the file of a tool that was killed. */
static void remove_if_stale(const char *name)
{
    char path[PATH_MAX];
    struct stat info;
    (void)snprintf(path, sizeof path, TICK_FOLDER "/%s", name);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return;
    }
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_ctime + STALE_S < time(NULL) &&
        flock(fd, LOCK_EX | LOCK_NB) == 0) {
        (void)unlink(path);
    }
    (void)close(fd);
}

static void remove_stale(void)
{
    DIR *dir = opendir(TICK_FOLDER);
    for (struct dirent *entry = dir != NULL ? readdir(dir) : NULL; entry != NULL; entry = readdir(dir)) {
        if (strncmp(entry->d_name, TICK_PREFIX, sizeof TICK_PREFIX - 1) == 0) {
            remove_if_stale(entry->d_name);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

static int create_tick(struct mt_tick *tick, const char *folder)
{
    (void)snprintf(tick->path, sizeof tick->path, "%s/" TICK_PREFIX "%d.%08x", folder, (int)getpid(),
                   (unsigned)mt_os_random());
    int fd = open(tick->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int error = fd >= 0 ? posix_fallocate(fd, 0, MT_TICK_BYTES) : 0; /* a full tmpfs would be a SIGBUS later */
    if (error != 0) {
        (void)close(fd);
        (void)unlink(tick->path);
        errno = error;
        return -1;
    }
    return fd;
}

void mt_tick_begin(struct mt_tick *tick)
{
    if (mt_os_tsc_is_allowed() && mt_tsc_is_a_clock()) {
        tick->first = mt_tsc_now();
    }
}

static void draw_line(struct mt_tick *tick)
{
    if (tick->first.ticks != 0) {
        tick->line = mt_tsc_line_since(&tick->first);
        tick->words[MT_TICK_LINE_TICKS] = tick->line.origin.ticks;
        tick->words[MT_TICK_LINE_NS] = tick->line.origin.ns;
        tick->words[MT_TICK_LINE_SCALE] = tick->line.scale;
    }
}

mt_status mt_tick_open(struct mt_tick *tick, const char *fallback_folder, struct mt_error *err)
{
    remove_stale();
    int fd = create_tick(tick, TICK_FOLDER);
    if (fd < 0) {
        fd = create_tick(tick, fallback_folder);
    }
    if (fd < 0) {
        return mt_error_set_errno(err, errno, "cannot create the clock file in " TICK_FOLDER " or %s", fallback_folder);
    }
    void *words = mmap(NULL, MT_TICK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int map_errno = errno;
    if (words == MAP_FAILED) {
        (void)close(fd);
        (void)unlink(tick->path);
        return mt_error_set_errno(err, map_errno, "cannot map %s", tick->path);
    }
    tick->words = words;
    tick->fd = fd;
    mt_store_relaxed(&tick->words[MT_TICK_TOOL_PID], (uint64_t)getpid());
    draw_line(tick);
    mt_tick_now(tick);
    return MT_OK;
}

uint64_t mt_tick_read(const struct mt_tick *tick)
{
    return tick->line.scale != 0 ? mt_tsc_to_ns(&tick->line, mt_tsc_read()) : mt_os_monotonic_ns();
}

void mt_tick_now(struct mt_tick *tick)
{
    uint64_t now = mt_tick_read(tick);
    mt_store_relaxed(&tick->words[MT_TICK_CLOCK], now & ~(uint64_t)7);
}

void mt_tick_close(struct mt_tick *tick)
{
    if (tick->words != NULL) {
        (void)munmap(tick->words, MT_TICK_BYTES);
        (void)unlink(tick->path);
        (void)close(tick->fd);
        tick->words = NULL;
    }
}
