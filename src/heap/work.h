/* work.h: rare and longer work of the engine's, measured each time (mt_engine_work_begins in engine.h).
 *
 * Decides: by the thread's processor time, so that waiting for a disk or for the processor is no cost. Needs nothing of the engine but
 * the account, so that every part of it may measure itself. Context: any.
 */
#ifndef MT_HEAP_WORK_H
#define MT_HEAP_WORK_H

#include <stdint.h>

/* How many pieces of work any thread has ended. */
uint32_t mt_work_count(void);

#endif
