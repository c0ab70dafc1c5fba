/* base.h: the extents of a base, written into room that was claimed at the tail of the trace (docs/formats/trace.md 1.5).
 *
 * Decides: in which order it is written: the base's header, so that who comes by steps over all of it; the payloads; the headers of
 * the blocks, whose numbers are known only when all of a stream are there; a pad up to the end. Nothing of it counts before
 * mt_tracefile_begin_at. Contexts: [hook] with the guard set, one thread at a time.
 */
#ifndef MT_HEAP_BASE_H
#define MT_HEAP_BASE_H

#include "base/status.h"
#include "wire/format.h"

#include <stddef.h>
#include <stdint.h>

/* A block that has its payload in the file. */
struct mt_base_block {
    uint64_t offset;
    struct mt_block_header header;
};

struct mt_base {
    uint64_t offset, at, end; /* of the extent; where the next block goes */
    struct mt_base_block *blocks;
    size_t count, capacity;
    mt_status status; /* of the first thing that failed */
};

/* Claims an extent with room for so much and writes its header. blocks: at most so many will come. Status in the base. */
void mt_base_begin(struct mt_base *base, uint64_t room, uint64_t horizon, size_t blocks);
/* type, stream, clocks and events of the header are the caller's. */
void mt_base_put(struct mt_base *base, const struct mt_block_header *header, const void *payload, size_t bytes);
/* The blocks from `first` on are all that a stream has in the base; its next block outside has next_seq, 0: it has none. */
void mt_base_number(struct mt_base *base, size_t first, uint32_t next_seq);
/* Writes what is missing. */
mt_status mt_base_finish(struct mt_base *base) MT_CHECKED;
void mt_base_free(struct mt_base *base);

#endif
