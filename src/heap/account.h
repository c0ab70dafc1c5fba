/* account.h: the engine's own account of what it did and what it lost (enum mt_counter in wire/format.h).
 *
 * Decides: where the counts are kept: in the header of the present trace, so that a count is in the trace as soon as it is
 * made, and in memory of ours while there is no trace. Needs nothing else of heap/, so that every part of it may count.
 * Context: any.
 */
#ifndef MT_HEAP_ACCOUNT_H
#define MT_HEAP_ACCOUNT_H

#include "wire/format.h"

#include <stdbool.h>
#include <stdint.h>

/* Counts go to header->counters from now on; NULL: to memory. The header must stay mapped until the next call. */
void mt_account_move_to(struct mt_trace_header *header);
/* Adds to / reads a counter. */
void mt_engine_count(enum mt_counter counter, uint64_t amount);
/* For what is measured and not counted. */
void mt_account_set(enum mt_counter counter, uint64_t value);
uint64_t mt_engine_counter(enum mt_counter counter);
/* Counts a sample; alone: the process has one thread, which makes it cheaper. */
void mt_account_add_sample(bool alone);

#endif
