/* snapshot.h: snapshots that somebody asks for, as marks: what is alive then is found by replay. And that memory is low, which the tool says.
 *
 * Decides: a request of the tool (a number on the clock page) is answered by each process of the run at its next chores, one by a signal to
 * the process at once, or at the next chores where the thread is in the middle of a hook. Nothing happens between the request and
 * the mark in a process that is idle. Internal to heap/.
 */
#ifndef MT_HEAP_SNAPSHOT_H
#define MT_HEAP_SNAPSHOT_H

#include <stdint.h>

/* Requests made before this process recorded are not its own. Context: [agent] start. */
void mt_snapshot_begin(void);
/* clock: of the event that is under way; what is asked for comes before it. Context: chores.h. */
void mt_snapshot_look(uint64_t clock);

#endif
