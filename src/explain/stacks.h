/* stacks.h: the stacks of a process's threads. Context: [tool].
 *
 * Decides: a stack is the mapping that a thread's stack pointer is in, which the kernel tells of threads that wait; of one that runs, or has
 * ended and left its stack to the next, the mapping with its thread control block, which glibc puts at the upper end of the stack: it
 * points to itself twice. The stack of the first thread has a name of its own and is not among them.
 */
#ifndef MT_EXPLAIN_STACKS_H
#define MT_EXPLAIN_STACKS_H

#include "explain/glibc.h"

#include <sys/types.h>

/* Returns how many threads there are. */
uint64_t mt_stacks_read(pid_t pid, const struct mt_remote *remote, const struct mt_mappings *mappings, struct mt_spans *ret);

#endif
