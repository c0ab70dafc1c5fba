/* touch.h: memory that is usable and only reserved: what was mapped with MAP_NORESERVE.
 *
 * Decides: such memory is held as far as it was touched. A first touch calls nobody, so the kernel is asked which pages are
 * there (mincore): before pages can go away (unmapping, mremap, a fixed map over them, madvise), every now and then on a
 * tick, and at the end. What is new since the last look is recorded as opened, at the stack of the mapping. Between two
 * looks nothing is known: sums are exact to a look, not to an event.
 * Bounds: WATCHES_MAX mappings of at least MT_TOUCH_LEAST_BYTES; a tick looks at LOOK_CHUNKS parts of 16 MiB and then stays away
 * for a hundred times what that took. What does not fit is an ordinary mapping, held as a whole; so is what a seccomp filter
 * does not let us look at.
 * Internal to heap/. Contexts: [hook], guard set, inside a recording section of the thread unless said otherwise.
 */
#ifndef MT_HEAP_TOUCH_H
#define MT_HEAP_TOUCH_H

#include "heap/thread.h"

/* Watches [low, low + bytes), just mapped and recorded as reserved. False: it is not watched, record it as an ordinary one. */
bool mt_touch_watch(uint64_t low, uint64_t bytes, uint32_t stack) MT_CHECKED;
/* Is any of it watched? Any context. */
bool mt_touch_watches(uint64_t low, uint64_t bytes);
/* The stack of the watched mapping at addr; 0 when there is none. */
uint32_t mt_touch_stack(uint64_t addr);
/* Records what was touched of it, in t's stream. */
void mt_touch_look(struct mt_thread *t, uint64_t low, uint64_t bytes);
/* It is gone, or something else is mapped there. */
void mt_touch_forget(uint64_t low, uint64_t bytes);
/* Its pages were given back: what is watched of it is reserved again. */
void mt_touch_emptied(struct mt_thread *t, uint64_t low, uint64_t bytes);
/* On a tick of that clock, in a section of another block: a part of all. */
void mt_touch_ticked(uint64_t clock);
/* The recording ends, or the process: all of it. Context: any, also a signal handler; whoever is in the way is let go on. */
void mt_touch_ends(void);
void mt_touch_after_fork(void);

#endif
