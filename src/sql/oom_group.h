/* oom_group.h: how many processes the kernel killed for memory in the control group of a process. Private to sql/. Context: [tool]. */
#ifndef MT_SQL_OOM_GROUP_H
#define MT_SQL_OOM_GROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mt_oom_group {
    char *path;           /* of the group, as /proc/PID/cgroup has it; malloc'ed */
    uint64_t killed;      /* since the group was made */
    uint64_t limit_bytes; /* UINT64_MAX: none, or not known */
};

/* False: it cannot be read. Else ret to fini. */
bool mt_oom_group_read(pid_t pid, struct mt_oom_group *ret);
/* The same of a text of /proc/PID/cgroup, where groups are mounted at `mounted`: version 2 there, version 1 in its folder memory. */
bool mt_oom_group_find(const char *groups, const char *mounted, struct mt_oom_group *ret);
void mt_oom_group_fini(struct mt_oom_group *group);

#endif
