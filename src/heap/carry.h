/* carry.h: the metadata that a base repeats.
 *
 * Decides: what of it is left behind: measurements of memory that lie closer together than one in two thousand of the time so far
 * (those that were taken in parts stay), names of threads that have ended and hold nothing, an end of the program that was none.
 * Everything else keeps its place in the order, so that numbers stay what they are. It is read from the file, block by block: the
 * agent does not keep it in memory. Contexts: [hook] with the guard set, one thread at a time.
 */
#ifndef MT_HEAP_CARRY_H
#define MT_HEAP_CARRY_H

#include "heap/base.h"

#include <stdbool.h>

/* What may be left behind depends on. */
struct mt_carry {
    const uint32_t *streams; /* sorted: whose threads are still named */
    size_t stream_count;
    uint64_t rss_step_ns;
};

enum { MT_CARRY_BUFFER_BYTES = 256 * 1024 };
/* Puts the first `count` blocks of the metadata into the base. buffer: of MT_CARRY_BUFFER_BYTES. Status in the base. */
void mt_carry_metadata(struct mt_base *base, const struct mt_carry *carry, size_t count, uint8_t *buffer);

#endif
