/* chores.h: what is done about twenty times a second by whichever thread has an event then.
 *
 * The agent has no thread of its own: it asks whether the tool wants the recording to end or a snapshot, looks what has been touched of
 * reserved memory, and notes how much the process occupies. Context: [hook] with the guard set.
 */
#ifndef MT_HEAP_CHORES_H
#define MT_HEAP_CHORES_H

#include <stdint.h>

void mt_chores_do(uint64_t clock);

#endif
