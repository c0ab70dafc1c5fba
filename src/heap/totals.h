/* totals.h: what was sampled and mapped since the trace began, a row a site: what a base says of the time before it.
 *
 * Decides: that a trace that is kept below a size counts in the program what a reader of the whole would have counted: a row for each
 * (stack, allocator, rate, thread, label) with what was allocated in total, what is alive and what was alive at the peak, in the reader's units
 * (base/weight.h) and by its rules (analysis/pass.h), so that both come to the same numbers to the last unit. Peaks are found
 * without copying the world: a row whose peak_number is not the present one has not changed since the peak.
 * Ranges of address space are followed by aggregate_ranges.c. Where rows have become many a base forgets threads and labels of those that
 * nothing is alive of, and then folds these, but for the largest, into one of the stack `(folded)` each allocator and rate: sums stay what
 * they are. How much was held when is kept in intervals, two of which become one whenever there are too many.
 * One lock; a sample costs two looks at it, nothing else does. Where the books could not be kept (no memory, the lock was not had)
 * nothing is said any more. Only while a trace has a bound (bound.h).
 * Contexts: [hook] with the guard set, inside a recording section, unless said otherwise.
 */
#ifndef MT_HEAP_TOTALS_H
#define MT_HEAP_TOTALS_H

#include "base/atomic.h"
#include "base/status.h"
#include "heap/livetab.h"
#include "wire/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In units of 2^-MT_WEIGHT_SCALE_BITS. */
struct mt_totals_sum {
    uint64_t bytes, count;
    double bytes_variance, count_variance;
};

struct mt_totals_row {
    uint32_t stack, allocator, stream, label;
    uint64_t rate_bytes; /* 0: mappings */
    uint64_t peak_number;
    struct mt_totals_sum total, live, peak;
};

/* What was held at the end of an interval, and at most in it; in the same units. */
struct mt_totals_point {
    uint64_t clock, bytes, most, count;
};

/* For a new trace. clock: it begins. arenas: the interpreter's count as memory, what is in them is not recorded. Context: [agent]. */
void mt_totals_clear(uint64_t clock, bool arenas);
/* Nothing is said any more: a call was missed. Any context. */
void mt_totals_give_up(void);
void mt_totals_after_fork(void);
/* May anything be counted? For who would only call to be told no. */
extern bool mt_g_totals_are_kept MT_HIDDEN; /* shared; written while nobody records, and by fork children */
MT_INLINE bool mt_totals_are_kept(void)
{
    return MT_UNLIKELY(mt_load_relaxed(&mt_g_totals_are_kept));
}
/* A block became a sample or is one again, or is none any more; clock: of the end, 0: not known. */
void mt_totals_began(const struct mt_sample *sample);
void mt_totals_ended(const struct mt_sample *sample, uint64_t clock);
/* The sample was allocated; before: what it grew from where it is a block that goes on, with the size 0 where that was none. NULL: it is
 * new. */
void mt_totals_allocated(const struct mt_sample *sample, const struct mt_sample *before);
/* A record of a range; kind: as it counts, of what was moved what it was. birth: its allocator is not looked at. */
void mt_totals_mapped(const struct mt_birth *birth, uint64_t addr, uint64_t bytes, enum mt_map_kind kind);
void mt_totals_unmapped(uint64_t clock, uint64_t addr, uint64_t bytes);

/* ---- for bases (checkpoint.c) ---------------------------------------------------------------------------------- */

struct mt_totals_copy {
    struct mt_totals_row *rows; /* peak is set in all of them */
    size_t count, capacity;
    struct mt_totals_point *points; /* behind the rows */
    size_t point_count;
    uint64_t peak_bytes, peak_clock;
    bool known; /* else there is nothing to say */
};

/* Room for what there is now, and as much again. False: no memory. */
bool mt_totals_begin(struct mt_totals_copy *totals) MT_CHECKED;
void mt_totals_free(struct mt_totals_copy *totals);
/* Have so many rows come together that take will fold? Then folded must be the number of the stack `(folded)`. */
bool mt_totals_will_fold(void);
/* Copies the rows, and the points up to the horizon, while nobody records. False: there is no room. */
bool mt_totals_take(struct mt_totals_copy *totals, uint32_t folded, uint64_t horizon) MT_CHECKED;

#endif
