/* limit.h: how far a run's memory is from what it may have, and from what the person named (--snapshot-at).
 *
 * Decides: the limit is the tightest one of the control groups around the program (util/cgroup.h), else the machine's memory. It is looked
 * at from the loop that waits for the program, every 20 ms and once a second for the machine's: no thread, nothing in the program.
 * Close means nine tenths of it, or, above half of it, a growth that meets it within two seconds. Then the run is told that memory is
 * low and asked for a snapshot, once until there is a fifth of it again. What was seen last stands in the headers of the traces, so that it is there
 * when the program, or memtap with it, has been killed. Pressure (PSI) counts where nothing says how near a limit is: tasks that all
 * wait for memory a fifth of ten seconds. Context: [tool], the thread that waits.
 */
#ifndef MT_LAUNCH_LIMIT_H
#define MT_LAUNCH_LIMIT_H

#include "util/cgroup.h"
#include "wire/format.h"

#include <stdbool.h>
#include <stdint.h>

struct mt_tick;

/* What --snapshot-at says; all 0: nothing. */
struct mt_snapshot_at {
    uint64_t bytes;
    double share; /* of the limit */
};

struct mt_limit {
    struct mt_cgroup group;
    enum mt_limit_kind kind;
    uint64_t bytes;         /* of the limit; 0: it is not known */
    uint64_t charged_bytes, charged_clock; /* when last looked at */
    uint64_t snapshot_bytes; /* a process that has so much of it resident is a snapshot; 0: none */
    uint64_t kills_before;  /* of the group, when the run began */
    uint64_t deaths;        /* of processes of the run that said nothing: each may be one that the kernel killed */
    uint64_t kills_seen, killed_ns; /* of the group, at the last look; when they rose last */
    uint64_t next_ns, next_slow_ns; /* when to look again */
    uint64_t rate_from_ns, rate_from_bytes; /* where the growth is measured from */
    double rate;            /* bytes a second */
    int level;              /* how near it was said to be */
    bool is_pressed;        /* tasks wait for memory */
    bool is_above;          /* the program has snapshot_bytes resident */
};

/* How near a limit is: 0: it is not, 1: growth meets it soon, 2: nine tenths are charged. rate: bytes a second. level: what was said before. */
int mt_limit_level(uint64_t charged, uint64_t limit, double rate, int level);

void mt_limit_begin(struct mt_limit *limit, pid_t pid, const struct mt_snapshot_at *at);
void mt_limit_fini(struct mt_limit *limit);
/* trace_fd: of the first process's trace; -1: there is none yet. */
void mt_limit_look(struct mt_limit *limit, struct mt_tick *tick, pid_t pid, int trace_fd);
/* Has a process just come to have snapshot_bytes? *is_above: whether it had. */
bool mt_limit_crosses(const struct mt_limit *limit, pid_t pid, bool *is_above);
/* Into the header of a trace, and into nothing else that may be there by now: limit and what was charged. Of a process that died without
 * a word, counted before, also whether the kernel killed one of the group for want of memory: not known where it killed some of those that
 * died, but not as many. */
void mt_limit_write(const struct mt_limit *limit, int trace_fd);
void mt_limit_count_death(struct mt_limit *limit);
void mt_limit_write_death(const struct mt_limit *limit, int trace_fd);

#endif
