/* marks.h: what happened once in the process, as MARK records between its events.
 *
 * Decides: the clock of a mark is that of no event: what has it or less came before, the rest after. Internal to heap/.
 */
#ifndef MT_HEAP_MARKS_H
#define MT_HEAP_MARKS_H

#include "heap/thread.h"

/* Is there a trace of this process to leave a mark in? */
bool mt_marks_are_kept(void);
/* A mark behind all that the calling thread has recorded, before all it will. stack: where it happened, 0: nowhere. Context: [hook]
 * with the guard set. */
void mt_marks_leave(enum mt_mark_kind kind, uint64_t value, const char *text, uint32_t stack);
/* The same, of no thread, before the event under way, whose clock this is. Context: chores.h. */
void mt_marks_leave_before(uint64_t clock, enum mt_mark_kind kind, uint64_t value, const char *text);

#endif
