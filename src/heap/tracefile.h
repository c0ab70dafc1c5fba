/* tracefile.h: the trace file as the agent sees it: one header page, claimed extents, journal slots.
 *
 * Decides: where in the file things go (one atomic add on the header's file_tail). Which file it is, descriptor.h knows.
 * Invariants: a slot's blocks exist before it is mapped (a full disk gives an error here, never a SIGBUS later); slot
 * mappings are not inherited by fork children.
 * Contexts: [hook] with the guard set, [agent].
 */
#ifndef MT_HEAP_TRACEFILE_H
#define MT_HEAP_TRACEFILE_H

#include "heap/descriptor.h"
#include "heap/waiting.h"
#include "wire/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A journal slot: a mapped extent, or nothing (header NULL). */
struct mt_slot {
    struct mt_block_header *header; /* mapping; payload follows it */
    uint32_t bytes;                 /* whole extent */
    bool in_memory;                 /* not part of the file */
};

struct mt_engine_config;

/* Creates the file at config->path (must not exist, unless config->fd is given) and maps its header. Fields other than magic,
 * sizes and tail are zero. */
mt_status mt_tracefile_create(const struct mt_engine_config *config, struct mt_trace_header **ret_header) MT_CHECKED;
/* Unmaps the pooled slots; those of streams must have been released. The header stays mapped: counters may still be added
 * to; the next create takes its place. Leaves the file. */
void mt_tracefile_close(void);
struct mt_trace_header *mt_tracefile_header(void);
/* Appends one block, after those that wait. header's type, stream, clocks, seq, events are set by the caller; the rest is filled
 * here. */
mt_status mt_tracefile_append(struct mt_block_header *header, const void *payload, size_t bytes) MT_CHECKED;
/* A block that could not be appended (why) waits in memory (waiting.h); why, if there is no hope or no memory for it. */
mt_status mt_tracefile_append_later(const struct mt_block_header *header, const void *payload, size_t bytes,
                                    mt_status why) MT_CHECKED;
/* The end: writes what waits; says what could not be and is lost. */
struct mt_waiting_loss mt_tracefile_settle(void) MT_CHECKED;
/* Claims, preallocates and maps a page-aligned extent; first 64 bytes are for its header. */
mt_status mt_tracefile_map_extent(size_t bytes, void **ret_base) MT_CHECKED;
/* Takes a slot for a stream, from the pool or new. large: MT_SLOT_BYTES, else MT_SLOT_SMALL_BYTES. */
mt_status mt_slot_acquire(uint32_t stream, enum mt_block_type kind, bool large, uint32_t seq,
                          struct mt_slot *ret_slot) MT_CHECKED;
/* The slot's content could not become a block (why): it stays as it is, which a reader takes as well, and the stream goes on in
 * another slot with the next seq. On failure nothing has changed. */
mt_status mt_slot_leave(struct mt_slot *slot, mt_status why, uint32_t stream, enum mt_block_type kind, uint32_t next_seq) MT_CHECKED;
/* An empty slot in memory becomes one in the file, if there is room again. */
void mt_slot_move_to_file(struct mt_slot *slot, uint32_t stream, enum mt_block_type kind, uint32_t seq);
/* Puts up to count full-size slots into the pool, for times when none can be mapped. */
void mt_slot_reserve(uint32_t count);
/* Gives an (already flushed) slot back to the pool. */
void mt_slot_release(struct mt_slot *slot);
/* Fork child: the mappings are gone (DONTFORK); forget them. Context: [fork-child]. */
void mt_tracefile_after_fork(void);

#endif
