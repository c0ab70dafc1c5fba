/* left_out.h: fork children that may not begin a trace, told to their parent, whose trace says so.
 *
 * Decides: how a child tells that may make no system call (a seccomp filter it inherits might kill it): by a page that it shares with
 * its parent, mapped before the first fork. What they fork in turn is not told. Internal to heap/.
 */
#ifndef MT_HEAP_LEFT_OUT_H
#define MT_HEAP_LEFT_OUT_H

#include <stdbool.h>

/* The process is about to be two. Context: [hook], guard set. */
void mt_left_out_prepare(void);
/* In the child: what was the process's page is its parent's now. Context: [fork-child]. */
void mt_left_out_after_fork(void);
/* Notes what was told since. last: the process ends; before, it is noted again only when it has become twice as much. Context: [hook]
 * with the guard set. */
void mt_left_out_look(bool last);

#endif
