/* process.h: what /proc and its control groups say of a process that is watched. Context: [tool]. */
#ifndef MT_TOP_PROCESS_H
#define MT_TOP_PROCESS_H

#include "top/look.h"

/* What cannot be read is MT_TOP_UNKNOWN; nothing fails. */
void mt_top_process_read(uint64_t pid, struct mt_top_process *ret);
/* The tightest limit of memory among control groups and those around them. groups: text of /proc/PID/cgroup; mounted: where they are. Fills
 * limit_bytes and charged_bytes of ret, file cache included (util/cgroup.h). */
void mt_top_limits_read(const char *groups, const char *mounted, struct mt_top_process *ret);
/* The number behind "Key:" of a text like /proc/PID/status, in its unit; MT_TOP_UNKNOWN where there is none. */
uint64_t mt_top_field(const char *text, const char *key);

#endif
