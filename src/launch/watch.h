/* watch.h: when the other processes of a run end, so that one that was killed ends in the reports when it died.
 *
 * Decides: a process that has a trace in FILE.d is watched through a pidfd from the tick (4 ms) in which its trace appears (inotify; a trace
 * that appears does not wake the tool: most processes of a build or a script end before the next tick, and cost it nothing),
 * once its maps show that it is the one that writes there: a number in another namespace, or used again, is somebody
 * else's. When it is gone and its trace does not say when it ended, the tool writes it there: the present time, and how much earlier it
 * may have been, which is the time since it was last seen alive. A death wakes the
 * tool, and eight processes are looked at each tick (4 ms), so that the doubt is a tick for every eight while the tool gets its turn.
 * Another program in the place of one that is recorded (exec, where the new one is not recorded) is found in the same way, and named
 * where it is a seccomp filter that keeps it from being recorded (filtered.h).
 * Nobody becomes a subreaper and nothing is asked of the processes. Where the kernel gives no pidfd or no inotify, where a
 * process died before it was first seen, or has a namespace of its own, the trace ends with its last event, as without memtap.
 * Context: [tool], the thread that waits.
 */
#ifndef MT_LAUNCH_WATCH_H
#define MT_LAUNCH_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct mt_limit;
struct mt_tick;
struct mt_unrecorded;
struct mt_watched;

struct mt_watch {
    int fd;                    /* epoll: of the processes and the tool's signals; -1: not open */
    int folder_fd, signals_fd; /* inotify, signalfd; -1: none */
    struct mt_watched *processes, *next; /* next: whose program is looked at next */
    struct mt_limit *limit; /* of the run, looked at for each process; NULL: none */
    struct mt_unrecorded *unrecorded; /* where programs that a filter keeps from being recorded are named; NULL: nowhere */
};
#define MT_WATCH_CLOSED ((struct mt_watch){ .fd = -1, .folder_fd = -1, .signals_fd = -1 })

/* folder: FILE.d, there already. No error: then nobody is watched. */
void mt_watch_open(struct mt_watch *watch, const char *folder);
/* Sleeps until somebody has died, a signal has come, or deadline_ns has passed. False: it cannot. */
bool mt_watch_sleep(const struct mt_watch *watch, uint64_t deadline_ns);
/* Takes in who is new and writes down who is gone. tick: the clock of the run. */
void mt_watch_look(struct mt_watch *watch, struct mt_tick *tick, const char *folder);
/* At the end: waits a moment for processes that are being taken apart by the kernel. */
void mt_watch_settle(struct mt_watch *watch, const struct mt_tick *tick, const char *folder);
void mt_watch_close(struct mt_watch *watch);

/* Writes into a trace that does not say when its process ended that this was at end_clock, or up to within_ns earlier. False: it says it. */
bool mt_watch_write_end(int fd, uint64_t end_clock, uint64_t within_ns);

#endif
