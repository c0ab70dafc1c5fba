/* cgroup.h: what control groups, of the older and of the unified kind, let a process have of memory, and what is left of it.
 *
 * Decides: the limit of a process is the tightest one of its group and those around it. What is charged to a group is counted without
 * the cache of files, which the kernel gives up before it kills anybody: else a program that writes a large file would always look as
 * if it were about to end. What cannot be read is MT_CGROUP_UNKNOWN, and nothing fails. Context: [tool].
 */
#ifndef MT_UTIL_CGROUP_H
#define MT_UTIL_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MT_CGROUP_UNKNOWN UINT64_MAX

struct mt_cgroup {
    char *own;      /* folder of the process's group, where kills are counted; NULL: there is none */
    char *tightest; /* folder of the group whose limit is the tightest; NULL: there is no limit */
    bool unified;   /* of the unified kind (v2) */
    uint64_t limit_bytes; /* memory.max: at it the kernel kills */
    uint64_t high_bytes;  /* memory.high: at it the kernel slows the group down */
};

/* Where control groups are: MEMTAP_CGROUP_ROOT, else /sys/fs/cgroup. */
const char *mt_cgroup_root(void);
/* groups: text of /proc/PID/cgroup. ret: to be given to mt_cgroup_fini. */
void mt_cgroup_find(const char *groups, const char *mounted, struct mt_cgroup *ret);
void mt_cgroup_find_of(pid_t pid, struct mt_cgroup *ret);
void mt_cgroup_fini(struct mt_cgroup *group);

/* The smaller one of limit and high; MT_CGROUP_UNKNOWN: there is neither. */
uint64_t mt_cgroup_bound(const struct mt_cgroup *group);
/* What counts against it. usage: all that is charged to the group, file cache too; the other one without it. */
uint64_t mt_cgroup_usage(const struct mt_cgroup *group);
uint64_t mt_cgroup_charged(const struct mt_cgroup *group);
/* Processes of the group that the kernel has killed for want of memory since it was made. */
uint64_t mt_cgroup_kills(const struct mt_cgroup *group);

/* Share of the last ten seconds in which all tasks of the group that has the limit, else of the machine, waited for memory, in percent;
 * 0 where the kernel does not say. */
double mt_cgroup_pressure(const struct mt_cgroup *group);

/* Of the machine: all its memory, and what is left of it without swapping. */
uint64_t mt_machine_memory(void);
uint64_t mt_machine_available(void);
/* Resident memory of a process. */
uint64_t mt_process_resident(pid_t pid);

#endif
