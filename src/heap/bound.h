/* bound.h: the size that a sampled trace is kept below: when the next base is due, and who has to wait for it.
 *
 * Decides: that a base is due at half of the size (checkpoint.h makes it); that who finds 15/16 of the size used while one is being
 * written waits, because it could not be given room otherwise. Needs the file alone, so that every part of heap/ may ask.
 * Contexts: [hook] with the guard set unless said otherwise.
 */
#ifndef MT_HEAP_BOUND_H
#define MT_HEAP_BOUND_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* A trace begins; is it one that bases are written for? Context: [agent]. */
void mt_bound_start(bool sampled);
/* Is it kept below its size by bases? */
bool mt_bound_is_on(void);
/* No more bases: what one would have to say is not known completely, or the program ends. Any context. */
void mt_bound_forbid(void);
/* What the trace may have beside its journal, and has. */
uint64_t mt_bound_budget(void);
uint64_t mt_bound_used(void);
/* The trace is about to grow: where it is nearly as large as it may be and a base is being written, waits for that; about a second
 * at most. No lock is held. */
void mt_bound_await(void);
/* The trace has grown. */
void mt_bound_look(void);
/* No base before so much is used. */
void mt_bound_set_next(uint64_t bytes);
/* One is being written, by a thread that waits for nobody. */
void mt_bound_set_writing(bool writing);

extern bool mt_g_bound_is_due MT_HIDDEN; /* shared: a base is */

#endif
