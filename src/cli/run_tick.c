/* run_tick.c: the shared clock, and waiting for the program.
 *
 * One thread does everything: it sleeps in sigtimedwait until the next tick or a signal, whichever is first, so there
 * is no handler, no race between a signal and a sleep, and the end of the program is seen at once. A tick every 4 ms is
 * what the agent's clock resolution is made for (trace.md section 4); 250 wake-ups a second cost about 0.1 % of one
 * core and save the program a clock read an event.
 */
#include "cli/run.h"

#include "base/atomic.h"
#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const uint64_t TICK_NS = 4000000;
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
    mt_store_relaxed(&tick->words[MT_TICK_CLOCK], mt_os_monotonic_ns());
    mt_store_relaxed(&tick->words[MT_TICK_TOOL_PID], (uint64_t)getpid());
    return MT_OK;
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

/* Sleeps until deadline_ns or a waited signal; 0 at the deadline. */
static int sleep_until(const sigset_t *waited, uint64_t deadline_ns, siginfo_t *ret_info)
{
    uint64_t now = mt_os_monotonic_ns();
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    struct timespec timeout = { .tv_sec = (time_t)(left / 1000000000), .tv_nsec = (long)(left % 1000000000) };
    int number = sigtimedwait(waited, ret_info, &timeout);
    return number > 0 ? number : 0;
}

/* A signal somebody sent to memtap alone goes to the program; one from the kernel (terminal hang-up) has reached it. */
static void pass_on(const struct mt_run *run, int number, const siginfo_t *info)
{
    if (number != SIGCHLD && info->si_code <= 0) {
        (void)kill(run->pid, number);
    }
}

static bool has_ended(struct mt_run *run, mt_status *ret_status, struct mt_error *err)
{
    struct rusage usage;
    pid_t got = wait4(run->pid, &run->wait_status, WNOHANG, &usage);
    if (got == run->pid) {
        run->rss_peak_bytes = (uint64_t)usage.ru_maxrss * 1024; /* KiB, getrusage(2) */
        *ret_status = MT_OK;
        return true;
    }
    if (got < 0 && errno != EINTR) {
        *ret_status = mt_error_set_errno(err, errno, "lost process %d", (int)run->pid);
        return true;
    }
    return false;
}

static void tick_once(struct mt_run *run, uint64_t now, uint64_t stop_at)
{
    mt_store_relaxed(&run->tick.words[MT_TICK_CLOCK], now);
    if (now >= stop_at) {
        mt_store_release(&run->tick.words[MT_TICK_STOP], (uint64_t)1);
    }
}

mt_status mt_run_wait(struct mt_run *run, struct mt_error *err)
{
    mt_status status = MT_OK;
    uint64_t now = mt_os_monotonic_ns();
    uint64_t next = now;
    uint64_t stop_at = run->options.duration_ns > 0 ? now + run->options.duration_ns : UINT64_MAX;
    while (!has_ended(run, &status, err)) {
        siginfo_t info;
        now = mt_os_monotonic_ns();
        tick_once(run, now, stop_at);
        next = next + TICK_NS > now ? next + TICK_NS : now + TICK_NS; /* after a suspend: no burst of old ticks */
        int number = sleep_until(&run->waited, next, &info);
        if (number > 0) {
            pass_on(run, number, &info);
            next = mt_os_monotonic_ns();
        }
    }
    mt_tick_close(&run->tick);
    (void)sigprocmask(SIG_SETMASK, &run->before, NULL);
    return status;
}
