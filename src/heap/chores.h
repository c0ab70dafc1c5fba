/* chores.h: what is done about twenty times a second by whichever thread has an event then.
 *
 * The agent has no thread of its own: it asks whether the tool wants the recording to end or a snapshot, looks what has been touched of
 * reserved memory, notes how much the process occupies, and changes the sampling rate where the processor time of it all has a budget. Context: [hook] with the guard set.
 */
#ifndef MT_HEAP_CHORES_H
#define MT_HEAP_CHORES_H

#include <stdint.h>

struct mt_engine_config;

/* A trace begins. Context: [agent], before anything is recorded. */
void mt_chores_begin(const struct mt_engine_config *config);

void mt_chores_do(uint64_t clock);

#endif
