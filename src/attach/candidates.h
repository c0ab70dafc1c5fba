/* candidates.h: the threads of a process that may be borrowed, the most promising first. Context: [tool]. */
#ifndef MT_ATTACH_CANDIDATES_H
#define MT_ATTACH_CANDIDATES_H

#include <stddef.h>
#include <sys/types.h>

/* Those that would stop when asked to, by rank (safepoint.h). Returns how many; *ret is malloc'ed. */
size_t mt_candidates_list(pid_t pid, pid_t **ret);

#endif
