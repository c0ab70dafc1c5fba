/* watch.c: see watch.h. */
#include "launch/watch.h"

#include "base/os.h"
#include "launch/filtered.h"
#include "launch/launch.h"
#include "launch/runfiles.h"
#include "launch/unrecorded.h"
#include "util/memory.h"
#include "util/process.h"
#include "util/tracepath.h"
#include "wire/ask.h"
#include "wire/format.h"
#include "wire/journal_file.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EVENTS_MAX = 16, TRIES_MAX = 25, DESCRIPTORS_LEFT = 64, PROGRAMS_A_LOOK = 8 };
static const int SETTLE_MS = 200; /* for all together */

struct mt_watched {
    struct mt_watched *next;
    pid_t pid;
    int pidfd;            /* -1: it is not known yet whether this is the process */
    unsigned tries;       /* to know it, later to know what exec put in its place */
    uint64_t alive_clock; /* when it was found alive first */
    ino_t inode;          /* of its trace */
    ino_t mapped;         /* of what it maps of it: the journal */
    dev_t program_device; /* what it runs; another one: exec put that in the place of who writes the trace */
    ino_t program_inode;
    bool is_replaced;     /* by a program of which it is not known yet why it is not recorded */
    bool is_above;        /* it has what is a snapshot (limit.h) */
    bool is_silent;       /* it died without a word */
    char name[32];        /* of its trace in the folder */
};

/* ---- the end ------------------------------------------------------------------------------------------------------- */

bool mt_watch_write_end(int fd, uint64_t end_clock, uint64_t within_ns)
{
    struct mt_trace_header header;
    const uint64_t end[1] = { end_clock }, within[1] = { within_ns };
    if (!mt_runfiles_read(fd, &header) || header.state != MT_STATE_RECORDING || header.end_clock != 0) {
        return false;
    }
    /* The doubt first: an end without it would be taken for exact. */
    if (pwrite(fd, within, sizeof within, offsetof(struct mt_trace_header, end_within_ns)) == (ssize_t)sizeof within) {
        (void)!pwrite(fd, end, sizeof end, offsetof(struct mt_trace_header, end_clock));
    }
    return true;
}

static int open_trace(const struct mt_watched *process, const char *folder)
{
    struct mt_trace_header header;
    struct stat info;
    char *path = mt_format("%s/%s", folder, process->name);
    int fd = mt_runfiles_open(path, true, &header);
    free(path);
    if (fd >= 0 && (fstat(fd, &info) != 0 || info.st_ino != process->inode || header.pid != (uint64_t)process->pid)) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

/* It ended between the last look that found it alive, and running what it ran, and now. */
static bool write_down(const struct mt_watched *process, const struct mt_tick *tick, const char *folder)
{
    uint64_t now = mt_tick_read(tick);
    int fd = open_trace(process, folder);
    bool silent = fd >= 0 && mt_watch_write_end(fd, now, now > process->alive_clock ? now - process->alive_clock : 0);
    if (fd >= 0) {
        (void)close(fd);
    }
    return silent;
}

static void write_death_down(const struct mt_watch *watch, struct mt_watched *process, const struct mt_tick *tick, const char *folder)
{
    process->is_silent = write_down(process, tick, folder);
    if (process->is_silent && watch->limit != NULL) {
        mt_limit_count_death(watch->limit);
    }
}

/* When all who are known to be dead are counted. */
static void say_who_killed(const struct mt_watch *watch, const struct mt_watched *process, const char *folder)
{
    int fd = process->is_silent && watch->limit != NULL ? open_trace(process, folder) : -1;
    if (fd >= 0) {
        mt_limit_write_death(watch->limit, fd);
        (void)close(fd);
    }
}

/* ---- who is watched ------------------------------------------------------------------------------------------------ */

static void drop(struct mt_watch *watch, struct mt_watched *process)
{
    struct mt_watched **at = &watch->processes;
    while (*at != process) {
        at = &(*at)->next;
    }
    *at = process->next;
    watch->next = watch->next == process ? process->next : watch->next;
    if (process->pidfd >= 0) {
        (void)close(process->pidfd); /* and it leaves the epoll set */
    }
    free(process);
}

static bool is_listed(const struct mt_watch *watch, const char *name)
{
    for (const struct mt_watched *p = watch->processes; p != NULL; p = p->next) {
        if (strcmp(p->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* An earlier image of a process that executes one program after the other, and was never seen to map its trace: it will not be. */
static void give_up_earlier(struct mt_watch *watch, const struct mt_watched *newest)
{
    for (struct mt_watched *p = watch->processes; p != NULL; p = p->next) {
        if (p != newest && p->pid == newest->pid && p->pidfd < 0) {
            p->tries = TRIES_MAX;
        }
    }
}

static void list(struct mt_watch *watch, const char *name)
{
    if (!mt_tracepath_is_other(name) || strlen(name) >= sizeof watch->processes->name || is_listed(watch, name)) {
        return;
    }
    struct mt_watched *process = mt_alloc_zero(1, sizeof *process);
    (void)snprintf(process->name, sizeof process->name, "%s", name);
    process->pid = (pid_t)strtol(name, NULL, 10);
    process->pidfd = -1;
    process->next = watch->processes;
    watch->processes = process;
    give_up_earlier(watch, process);
}

/* Descriptors are the tool's, but not without end. */
static int open_pidfd(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd >= 0 && fd + DESCRIPTORS_LEFT >= sysconf(_SC_OPEN_MAX)) {
        (void)close(fd);
        errno = EMFILE;
        return -1;
    }
    return fd;
}

/* What a process maps that writes this trace; 0: it is not there, or not yet. */
static ino_t mapped_of(const char *path)
{
    struct mt_trace_header header, now;
    struct stat info = { 0 };
    int fd = mt_runfiles_open(path, false, &header);
    int journal = fd >= 0 && header.journal != 0 ? mt_journal_open(path, &header, &now, NULL) : -1;
    bool there = journal >= 0 && fstat(journal, &info) == 0;
    if (journal >= 0) {
        (void)close(journal);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return there ? info.st_ino : 0;
}

/* False: not, or not yet. Looked at after the pidfd was opened: then the pidfd is that process's too. */
static bool writes_there(struct mt_watched *process, const char *folder)
{
    struct stat info;
    char *path = mt_format("%s/%s", folder, process->name);
    bool there = lstat(path, &info) == 0 && S_ISREG(info.st_mode);
    process->inode = there ? info.st_ino : 0;
    process->mapped = there ? mapped_of(path) : 0;
    free(path);
    return process->mapped != 0 && mt_runfiles_maps(process->pid, process->mapped);
}

static bool find_program(pid_t pid, struct stat *ret)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    return stat(path, ret) == 0;
}

static bool is_dead(int pidfd, int timeout_ms)
{
    struct pollfd one = { .fd = pidfd, .events = POLLIN };
    return poll(&one, 1, timeout_ms) == 1;
}

static void recognize(struct mt_watch *watch, struct mt_watched *process, const struct mt_tick *tick, const char *folder)
{
    struct epoll_event event = { .events = EPOLLIN, .data = { .ptr = process } };
    struct stat program;
    uint64_t now = mt_tick_read(tick);
    int pidfd = open_pidfd(process->pid);
    if (pidfd >= 0 && find_program(process->pid, &program) && writes_there(process, folder) &&
        epoll_ctl(watch->fd, EPOLL_CTL_ADD, pidfd, &event) == 0) {
        process->pidfd = pidfd;
        process->alive_clock = now; /* what maps a trace lives */
        process->program_device = program.st_dev;
        process->program_inode = program.st_ino;
        process->tries = 0;
        return;
    }
    if (pidfd >= 0) {
        (void)close(pidfd);
    }
    process->tries = pidfd >= 0 ? process->tries + 1 : TRIES_MAX; /* it is gone, or out of sight */
}

static void recognize_new(struct mt_watch *watch, const struct mt_tick *tick, const char *folder)
{
    for (struct mt_watched *p = watch->processes, *next; p != NULL; p = next) {
        next = p->next;
        if (p->pidfd < 0 && p->tries < TRIES_MAX) {
            recognize(watch, p, tick, folder);
        }
        if (p->tries >= TRIES_MAX) {
            drop(watch, p);
        }
    }
}

/* The image after this one has a trace too. */
static bool has_next_trace(const struct mt_watched *p, const char *folder)
{
    int image = 0;
    const char *dot = strchr(p->name, '.');
    if (dot == NULL || sscanf(dot, ".%5d.mtap", &image) != 1) {
        image = 0;
    }
    char *path = mt_format("%s/%d.%d.mtap", folder, (int)p->pid, image + 1);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

/* False: it is too early to know. */
static bool name_filtered(const struct mt_watch *watch, struct mt_watched *p, const char *folder)
{
    enum mt_filtered found = watch->unrecorded != NULL ? mt_filtered_look(p->pid) : MT_FILTERED_NOT;
    if (found == MT_FILTERED_NOT_KNOWN_YET && p->tries++ < TRIES_MAX) {
        return false;
    }
    /* In this order: a program that is recorded may install filters of its own when its trace is there. */
    if (found == MT_FILTERED_UNKNOWN && !has_next_trace(p, folder)) {
        char *command = mt_process_command(p->pid);
        mt_unrecorded_add(watch->unrecorded, p->pid, MT_ASK_WHY_UNKNOWN_FILTER, command);
        free(command);
    }
    return true;
}

static void look_at(struct mt_watch *watch, struct mt_watched *p, struct mt_tick *tick, const char *folder)
{
    struct stat program;
    uint64_t now = mt_tick_read(tick);
    if (p->pidfd < 0 || !find_program(p->pid, &program) || is_dead(p->pidfd, 0)) {
        return;
    }
    if (p->is_replaced || program.st_ino != p->program_inode || program.st_dev != p->program_device) {
        (void)write_down(p, tick, folder); /* once: a trace has one end */
        p->is_replaced = true;
        if (name_filtered(watch, p, folder)) {
            drop(watch, p);
        }
        return;
    }
    p->alive_clock = now;
    if (watch->limit != NULL && mt_limit_crosses(watch->limit, p->pid, &p->is_above)) {
        mt_tick_ask_snapshot(tick);
    }
}

/* Finds processes whose program was replaced by exec: a new one that is not recorded does not say so in the old one's trace. Some
 * at each look, in turn: two microseconds each. */
static void find_replaced(struct mt_watch *watch, struct mt_tick *tick, const char *folder)
{
    struct mt_watched *p = watch->next;
    for (int i = 0; i < PROGRAMS_A_LOOK && watch->processes != NULL; i++) {
        p = p != NULL ? p : watch->processes;
        struct mt_watched *next = p->next;
        look_at(watch, p, tick, folder);
        p = next;
        watch->next = next;
        if (next == NULL) {
            break; /* once round at most */
        }
    }
}

/* ---- the folder ---------------------------------------------------------------------------------------------------- */

static void read_names(struct mt_watch *watch)
{
    union {
        struct inotify_event event;
        char bytes[4096];
    } buffer;
    ssize_t got;
    while ((got = read(watch->folder_fd, &buffer, sizeof buffer)) > 0) {
        for (ssize_t at = 0; at < got;) {
            struct inotify_event event;
            memcpy(&event, buffer.bytes + at, sizeof event);
            if (event.len > 0) {
                list(watch, buffer.bytes + at + sizeof event);
            }
            at += (ssize_t)(sizeof event + event.len);
        }
    }
}

static void read_folder(struct mt_watch *watch, const char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *entry = dir != NULL ? readdir(dir) : NULL; entry != NULL; entry = readdir(dir)) {
        list(watch, entry->d_name);
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

/* ---- the faces ------------------------------------------------------------------------------------------------------- */

static bool add(struct mt_watch *watch, int *fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data = { .ptr = fd } };
    return *fd >= 0 && epoll_ctl(watch->fd, EPOLL_CTL_ADD, *fd, &event) == 0;
}

void mt_watch_open(struct mt_watch *watch, const char *folder)
{
    sigset_t all;
    (void)sigfillset(&all);
    *watch = MT_WATCH_CLOSED;
    watch->fd = epoll_create1(EPOLL_CLOEXEC);
    watch->folder_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    watch->signals_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    if (watch->fd < 0 || !add(watch, &watch->signals_fd) || watch->folder_fd < 0 ||
        inotify_add_watch(watch->folder_fd, folder, IN_CREATE | IN_ONLYDIR) < 0) {
        mt_watch_close(watch);
        return;
    }
    read_folder(watch, folder);
}

bool mt_watch_sleep(const struct mt_watch *watch, uint64_t deadline_ns)
{
    struct pollfd one = { .fd = watch->fd, .events = POLLIN };
    uint64_t now = mt_os_monotonic_ns();
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    struct timespec timeout = { .tv_sec = (time_t)(left / 1000000000), .tv_nsec = (long)(left % 1000000000) };
    return watch->fd >= 0 && ppoll(&one, 1, &timeout, NULL) >= 0;
}

static void look_for_dead(struct mt_watch *watch, const struct mt_tick *tick, const char *folder)
{
    struct epoll_event events[EVENTS_MAX];
    int count = watch->fd >= 0 ? epoll_wait(watch->fd, events, EVENTS_MAX, 0) : -1;
    for (int i = 0; i < count; i++) {
        void *what = events[i].data.ptr;
        if (what != &watch->signals_fd) { /* that one only wakes */
            write_death_down(watch, what, tick, folder);
        }
    }
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr != &watch->signals_fd) {
            say_who_killed(watch, events[i].data.ptr, folder);
            drop(watch, events[i].data.ptr);
        }
    }
    read_names(watch);
    recognize_new(watch, tick, folder);
}

void mt_watch_look(struct mt_watch *watch, struct mt_tick *tick, const char *folder)
{
    look_for_dead(watch, tick, folder);
    find_replaced(watch, tick, folder);
}

void mt_watch_settle(struct mt_watch *watch, const struct mt_tick *tick, const char *folder)
{
    int left_ms = SETTLE_MS;
    look_for_dead(watch, tick, folder);
    for (struct mt_watched *p = watch->processes, *next; p != NULL; p = next) {
        next = p->next;
        if (p->pidfd < 0 || mt_runfiles_maps(p->pid, p->mapped)) {
            continue; /* a stranger, or alive: it goes on without us */
        }
        uint64_t before_ns = mt_os_monotonic_ns();
        if (is_dead(p->pidfd, left_ms)) {
            write_death_down(watch, p, tick, folder);
            say_who_killed(watch, p, folder);
            drop(watch, p);
        }
        uint64_t waited_ms = (mt_os_monotonic_ns() - before_ns) / 1000000;
        left_ms = waited_ms < (uint64_t)left_ms ? left_ms - (int)waited_ms : 0;
    }
}

void mt_watch_close(struct mt_watch *watch)
{
    int *const fds[] = { &watch->folder_fd, &watch->signals_fd, &watch->fd };
    while (watch->processes != NULL) {
        drop(watch, watch->processes);
    }
    for (size_t i = 0; i < MT_COUNTOF(fds); i++) {
        if (*fds[i] >= 0) {
            (void)close(*fds[i]);
        }
        *fds[i] = -1;
    }
}
