/* ticks.h: the times of events whose clock was read now and then and counted on in between (trace.md section 4).
 *
 * Decides: events that were counted between two readings of the clock lie at equal distances between them, at most a tick behind the
 * first. An event is never moved beyond its neighbours, and two never get one time: what is ordered by clock is ordered
 * by time, and each time has one last clock. So lifetimes and ages of a program with one thread are of the size they were, where a
 * count says a nanosecond an event; how far a single one may be off is still the tick.
 * Which clocks are readings is known by their distance, so the events are gone through once, when the first time is asked for.
 * Only where all events are of one stream and clocked like this: several threads are ordered by what they are timed by. Not of a trace that
 * is kept below a size (its base has single events of old times), nor of one that is still written: the reading after the last one is
 * not known yet. docs/decisions/0072. Context: [tool], any thread.
 */
#ifndef MT_MODEL_TICKS_H
#define MT_MODEL_TICKS_H

#include "wire/decode_file.h"

#include <stdbool.h>
#include <stdint.h>

struct mt_ticks;

/* May the clocks of this trace have been counted? */
bool mt_ticks_may_be_counted(const struct mt_trace_header *header);
/* Of the reader, which must outlive it; reads nothing yet. */
struct mt_ticks *mt_ticks_new(const struct mt_reader *reader);
void mt_ticks_free(struct mt_ticks *ticks);

/* When the event of a clock was, as a reading of the clock. */
uint64_t mt_ticks_time(struct mt_ticks *ticks, uint64_t clock);
/* The last clock whose time is not after that. */
uint64_t mt_ticks_clock(struct mt_ticks *ticks, uint64_t time);

#endif
