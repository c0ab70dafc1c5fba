/* checkpoint.h: a sampled trace that is kept below a size.
 *
 * Decides: how a base is written (docs/decisions/0053-bounded-file.md): when one is due (bound.h), by the thread that samples next,
 * before it does. For as long as it takes to copy the table of live samples nobody else records (hold.h); what
 * is in slots becomes blocks, so that everything of before is in front of the base and everything of later behind it. The base is
 * then written while the others go on, made the beginning of the trace, and what is in front of it is given back to the file system.
 * Invariant: the trace is complete at every instruction: until the header names the new base, the old beginning holds.
 * Where a base cannot be written (no memory, a disk that is full, a file system that cannot give back, what must be kept is too
 * large) the recording goes on without, and ends at its size as one in another mode does.
 * Contexts: [hook] with the guard set unless said otherwise.
 */
#ifndef MT_HEAP_CHECKPOINT_H
#define MT_HEAP_CHECKPOINT_H

#include "heap/thread.h"

/* In a recording section of t, nothing of it recorded yet. */
void mt_checkpoint_make(struct mt_thread *t);

#endif
