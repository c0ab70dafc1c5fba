/* hold.h: nobody records for a moment, and goes on in the same trace.
 *
 * Decides: how a base gets one state of all threads (checkpoint.h). It is pairing R1 of restart.c: the holder makes the
 * generation odd, passes a barrier in all threads and waits until no block is in a recording section; then it makes the generation
 * what it was. Who begins a section meanwhile waits in mt_hold_wait (thread.c), outside of it. Exact recordings, whose sections must not wait,
 * are never held. Waits are bounded: a holder that cannot have all threads outside gives up, a thread that waited for a second
 * drops its event and counts it.
 * Contexts: [hook] with the guard set, in a recording section; take_over: [agent].
 */
#ifndef MT_HEAP_HOLD_H
#define MT_HEAP_HOLD_H

#include "heap/thread.h"

/* False: somebody else does, or some thread did not leave its section in time: about 20 ms, of an urgent one half a second.
 * Signals of the thread should be held. */
bool mt_hold_begin(const struct mt_thread *self, bool urgent) MT_CHECKED;
void mt_hold_end(void);
/* For the end of a trace: the generation is odd then, and stays so. False: it is held for too long. */
bool mt_hold_take_over(void) MT_CHECKED;

#endif
