/* fork.h: what becomes of the engine in a fork child.
 *
 * Decides: that a child begins its trace at its first recorded call and not at fork, because most children exec at once; and
 * that it forgets all of its parent's trace first. A child is known by the atfork handler (mt_engine_fork_child) or, where
 * none ran, by the wiped mode page (mt_is_unnoticed_child). Internal to heap/. Context: [hook].
 */
#ifndef MT_HEAP_FORK_H
#define MT_HEAP_FORK_H

#include "base/status.h"

#include <stdbool.h>

/* Starts the trace of a fork child that has none yet; true when it records now. Only while the process has one thread: what
 * others did meanwhile would be lost. */
bool mt_fork_begin_trace(void);

#endif
