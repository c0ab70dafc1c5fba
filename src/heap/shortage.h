/* shortage.h: the first allocation of the program's that failed, as a mark in the trace.
 *
 * Decides: the first one of a trace alone, with what was asked for, of whom and where: what fails after it fails for the same
 * reason. Nothing else changes: not the result, not errno. Internal to heap/.
 */
#ifndef MT_HEAP_SHORTAGE_H
#define MT_HEAP_SHORTAGE_H

#include "heap/thread.h"

/* An allocation failed. size 0: none was asked for, that is no failure. In a recording section. */
void mt_shortage_note(struct mt_thread *t, size_t size, enum mt_allocator allocator, const struct mt_frame_regs *regs);

#endif
