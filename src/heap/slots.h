/* slots.h: the journal: a hidden file beside the trace, which has everything that is mapped while the trace is written: the
 * header as it is now, the slots of the streams, tables.
 *
 * Decides: that nothing of the trace itself is mapped. A person may empty the trace or cut it; a store to a mapping of it would then
 * be a SIGBUS in the program (docs/decisions/0023-journal-file.md). The journal is a file and not memory, so that it outlives
 * program and tool together; it goes when its content is in the trace.
 * Invariants: a slot's blocks exist before it is mapped (a full disk gives an error here, never a SIGBUS later); slot
 * mappings are not inherited by fork children; extents are claimed by one atomic add on the header's journal_tail.
 * Contexts: [hook] with the guard set, [agent].
 */
#ifndef MT_HEAP_SLOTS_H
#define MT_HEAP_SLOTS_H

#include "base/status.h"
#include "wire/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A journal slot: a mapped extent, or nothing (header NULL). */
struct mt_slot {
    struct mt_block_header *header; /* mapping; payload follows it */
    uint32_t bytes;                 /* whole extent */
    bool in_memory;                 /* not part of a file */
};

struct mt_engine_config;

/* Creates the journal of the trace that is kept (descriptor.h) and maps its header. Fields other than magic, sizes, tails and
 * the journal's own are zero. */
mt_status mt_slots_open(const struct mt_engine_config *config) MT_CHECKED;
/* Unmaps the pooled slots; those of streams must have been released. The header stays mapped: counters may still be added
 * to; the next open takes its place. remove: the journal's content is in the trace. */
void mt_slots_close(bool remove);
/* Fork child: the mappings are gone (DONTFORK); forget them. Context: [fork-child]. */
void mt_slots_after_fork(void);
struct mt_trace_header *mt_slots_header(void);
/* The size that both files together are kept below; 0: none. */
uint64_t mt_slots_limit(void);
/* What a trace that ends there has on the disk, without its journal. */
uint64_t mt_slots_used(uint64_t trace_tail);
/* So much of the trace behind its base was claimed and never written, so much before it could not be given back. */
void mt_slots_set_holes(uint64_t sparse_bytes, uint64_t dead_bytes);
/* May the trace end there and the journal be as large? */
bool mt_slots_within_limit(uint64_t trace_tail, uint64_t journal_bytes);
/* Has every slot been given back, so that nothing is in the journal alone? A slot that was left, or set aside by its thread, or whose
 * thread was just ending, has not. */
bool mt_slots_are_empty(void);
/* An extent that is no slot has something in it. */
void mt_slots_note_taken(void);
/* mt_descriptor_use of the journal. One that has lost its name is as good as before, as long as it is mapped. */
mt_status mt_slots_use(int *ret_fd) MT_CHECKED;
/* Claims, preallocates and maps a page-aligned extent; first 64 bytes are for its header. */
mt_status mt_slots_map_extent(size_t bytes, void **ret_base) MT_CHECKED;
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

#endif
