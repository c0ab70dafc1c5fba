/* cost.h: what the engine's own work costs the program.
 *
 * Decides: how it is known without asking the time at every call. Of the recording sections one in MT_COST_EVERY is timed
 * and stands for so many: a number that divides no common pattern of calls, so that not always the same half of a pair is met. Each
 * thread begins elsewhere: the first section of all threads, which meets everything cold, would count too often.
 * What the reading of the time itself costs is measured at the start and taken off. What is paid outside of sections (the
 * hooks' fast paths, also of calls that are not recorded) has a price that is measured at the start, too: readers multiply it by
 * the number of blocks.
 * A section that seems to take longer than 20 us has lost its processor: it counts as so long.
 * Where the time may only be told coarsely (the program forbids itself the time stamp counter) nothing is timed.
 */
#ifndef MT_HEAP_COST_H
#define MT_HEAP_COST_H

#include "base/status.h"

struct mt_thread;

enum { MT_COST_EVERY = 251 };

/* Measures the prices, some ten microseconds, and notes them in the present trace. Context: [agent], before anything is recorded. */
void mt_cost_calibrate(void);
/* Notes how much processor time the process has used since the calibration: a system call. Context: [agent], guard set. */
void mt_cost_note_cpu(void);
/* Halves of a timed section. Context: [hook] in the section. */
MT_COLD void mt_cost_begin(struct mt_thread *t);
MT_COLD void mt_cost_end(struct mt_thread *t);

#endif
