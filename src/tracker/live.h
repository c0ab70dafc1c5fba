/* live.h: the blocks of one shard that are alive, by address.
 *
 *   slots (4 B, load <= 0.7)            records (28 B, dense, never move)
 *   | tag:8 | record+2:24 | ... |  -->  | address | size | time | kind:10 stack:22 |
 *
 * Decides: a record costs 28 bytes and 6 to 12 of index. The tag (top hash bits) keeps a probe from touching records that
 * are not the one. Removal leaves a tombstone unless the slot behind is empty; an index that fills up with tombstones is
 * made anew at the same size. Invariant: every address has at most one record; the sum of sizes is the shard's current.
 * Rejected: records inside the open-addressing table (35 to 70 B each at doubling sizes).
 * Context: under the shard's lock, any thread.
 */
#ifndef MT_TRACKER_LIVE_H
#define MT_TRACKER_LIVE_H

#include "tracker/segvec.h"

#include <stdbool.h>

enum { MT_LIVE_KIND_BITS = 10, MT_LIVE_STACK_BITS = 22 };

struct mt_live_block {
    uint64_t address; /* of a free record: number of the next free one + 1 */
    uint64_t size;
    uint64_t time_ns;
    uint32_t kind_stack;
} __attribute__((packed, aligned(4)));

MT_INLINE uint32_t mt_live_kind(const struct mt_live_block *block)
{
    return block->kind_stack & ((1u << MT_LIVE_KIND_BITS) - 1u);
}

MT_INLINE uint32_t mt_live_stack(const struct mt_live_block *block)
{
    return block->kind_stack >> MT_LIVE_KIND_BITS;
}

MT_INLINE uint32_t mt_live_pack(uint32_t kind, uint32_t stack)
{
    return kind | (stack << MT_LIVE_KIND_BITS);
}

struct mt_live_index {
    uint32_t *slots; /* writers: under the lock; mt_live_prefetch reads both without */
    uint32_t mask;   /* slots - 1; 0: no slots yet */
    uint32_t used;   /* live and tombstones */
    uint32_t count;  /* live */
    uint32_t free_head; /* number of a free record + 1; 0 none */
    struct mt_segvec blocks;
};

/* Begins to load the slot of a hash, before the lock is there and the clock is read: a quarter of a report's time when many
 * blocks are alive. Slots and mask may be old or not belong together: a prefetch of any address does no harm. */
MT_INLINE void mt_live_prefetch(const struct mt_live_index *live, uint64_t hash)
{
    const uint32_t *slots = mt_load_relaxed(&live->slots);
    __builtin_prefetch((const void *)((uintptr_t)slots + ((uint32_t)hash & mt_load_relaxed(&live->mask)) * sizeof *slots), 1);
}

void mt_live_init(struct mt_live_index *live);
void mt_live_fini(struct mt_live_index *live);
/* hash: of the address, mt_hash_u64. The record's slot in *ret_slot; NULL: not alive, and *ret_slot is where it would go. */
struct mt_live_block *mt_live_find(const struct mt_live_index *live, uint64_t address, uint64_t hash, uint32_t *ret_slot);
/* Makes a record for an address that is not alive, at the slot that mt_live_find gave with nothing changed since; its other
 * fields are the caller's to set. NULL: no memory. */
struct mt_live_block *mt_live_insert(struct mt_live_index *live, uint64_t address, uint64_t hash, uint32_t slot);
/* Removes the record of that slot. */
void mt_live_remove(struct mt_live_index *live, uint32_t slot);
/* For looking at all: records 0 to blocks.count - 1; false for free ones. */
bool mt_live_is_used(const struct mt_live_block *block);
uint64_t mt_live_bytes(const struct mt_live_index *live);

#endif
