/* carry.h: the metadata that a base repeats.
 *
 * Decides: what of it is left behind: measurements of memory that lie closer together than one in two thousand of the time so far
 * (those that were taken in parts stay), names of threads that have ended and hold nothing, an end of the program that was none,
 * and what the base before said of sites (totals.h): that is said anew, in the last block. Everything else keeps its place in the order, so that numbers stay what they are. It is read from the file, block by block: the
 * agent does not keep it in memory. Contexts: [hook] with the guard set, one thread at a time.
 */
#ifndef MT_HEAP_CARRY_H
#define MT_HEAP_CARRY_H

#include "heap/base.h"
#include "heap/totals.h"

#include <stdbool.h>

/* What may be left behind depends on. */
struct mt_carry {
    const uint32_t *streams; /* sorted: whose threads are still named */
    size_t stream_count;
    uint64_t rss_step_ns;
    const struct mt_totals_copy *totals; /* said instead of those of the base before */
};

/* What has to be read at once, and the buffer that takes. */
size_t mt_carry_buffer_bytes(uint32_t largest, const struct mt_totals_copy *totals);
/* More bytes in the base than the metadata has. */
uint64_t mt_carry_room(const struct mt_totals_copy *totals);
/* Puts the first `count` blocks of the metadata into the base, none of them larger than `largest`. Status in the base. */
void mt_carry_metadata(struct mt_base *base, const struct mt_carry *carry, size_t count, uint32_t largest, uint8_t *buffer);

#endif
