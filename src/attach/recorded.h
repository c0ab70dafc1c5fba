/* recorded.h: the trace that a process is being recorded into, found without touching the process. Context: [tool]. */
#ifndef MT_ATTACH_RECORDED_H
#define MT_ATTACH_RECORDED_H

#include "util/error.h"

#include <sys/types.h>

/* The path of the trace, malloc'ed: among the descriptors of the process the one that leads to a trace of its own which is not
 * complete; below /proc/PID/root where the name leads elsewhere here. MT_E_NOENT, without a sentence: it is not recorded, or has
 * ended; MT_E_PERM: its descriptors may not be looked at. */
mt_status mt_recorded_trace(pid_t pid, char **ret, struct mt_error *err) MT_CHECKED;

#endif
