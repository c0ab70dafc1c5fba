/* cost.h: what the engine's own work costs the program.
 *
 * Decides: how it is known without asking the time at every call. Of the recording sections one in MT_COST_EVERY is timed
 * and stands for so many: a number that divides no common pattern of calls, so that not always the same half of a pair is met. Each
 * thread begins elsewhere: the first section of all threads, which meets everything cold, would count too often.
 * The time stamp counter is read without a fence: what a section adds is the time it takes beside what the program does around
 * it, which the processor does not finish before either. What the reading itself costs is measured at the start and taken off.
 * Writing a block out, a table that grows and looking at what was loaded are rare and long: they are measured each time, by the
 * thread's processor time (mt_engine_work_begins), and are no part of a timed section. What is paid outside of sections (the hooks' fast paths, also of calls that are not recorded) has prices
 * that are measured at the start, too: readers multiply that of a block by the number of blocks; a realloc that becomes a sample
 * by what it grew by stands for the others that passed by, as its weight says.
 * A section that seems to take longer than 20 us has lost its processor: it counts as so long.
 * Where the counter may not be read (the program forbids it to itself) nothing is timed.
 */
#ifndef MT_HEAP_COST_H
#define MT_HEAP_COST_H

#include "base/status.h"
#include "heap/budget.h"

#include <stdbool.h>
#include <stdint.h>

struct mt_thread;

enum { MT_COST_EVERY = 251, MT_COST_EVERY_CLOSELY = 7 };

/* Measures the prices, some hundred microseconds, and notes them in the present trace. closely: somebody decides by what mt_cost_look
 * says; one section in 7 is timed, and what passes by is added up. scale: 2^-32 ns a tick of the counter where somebody has measured
 * that, as the tool has under `memtap run`: an exec then need not; else 0. Context: [agent], before anything is recorded. */
void mt_cost_calibrate(bool closely, uint64_t scale);
/* Notes how much processor time the process has used since the calibration: a system call. Context: [agent], guard set. */
void mt_cost_note_cpu(void);
/* Halves of a timed section. Context: [hook] in the section. */
MT_COLD void mt_cost_begin(struct mt_thread *t);
MT_COLD void mt_cost_end(struct mt_thread *t);
/* The same of a realloc of a sample that is only looked at. */
MT_COLD void mt_cost_end_look(struct mt_thread *t);
/* Sums since the calibration; closely. Context: any. */
struct mt_budget_look mt_cost_look(void);
/* A new block is a sample. Context: as above. */
void mt_cost_add_sample(const struct mt_thread *t);
/* A block became a sample by growing by so many bytes. Context: as above. */
void mt_cost_add_growth(const struct mt_thread *t, uint64_t bytes);

#endif
