/* live.c: see live.h. A free record has time 0, which no clock of a running system reads. */
#include "tracker/live.h"

#include "base/hash.h"

enum { SLOT_EMPTY = 0, SLOT_TOMBSTONE = 1, SLOT_FIRST = 2 };
enum { FIRST_SLOTS = 1024, FIRST_BLOCKS_LOG2 = 9, TAG_SHIFT = 24 };
#define RECORD_MASK 0x00FFFFFFu
#define RECORDS_MAX (RECORD_MASK - (uint32_t)SLOT_FIRST)

static uint32_t home_of(const struct mt_live_index *live, uint64_t hash)
{
    return (uint32_t)hash & live->mask;
}

static uint32_t slot_value(uint64_t hash, uint32_t record)
{
    return ((uint32_t)(hash >> 56) << TAG_SHIFT) | (record + SLOT_FIRST);
}

static uint32_t record_of(uint32_t slot)
{
    return (slot & RECORD_MASK) - SLOT_FIRST;
}

void mt_live_init(struct mt_live_index *live)
{
    *live = (struct mt_live_index){ 0 };
    mt_segvec_init(&live->blocks, sizeof(struct mt_live_block), FIRST_BLOCKS_LOG2);
}

static size_t slots_bytes(uint32_t mask)
{
    return mask == 0 ? 0 : ((size_t)mask + 1) * sizeof(uint32_t);
}

void mt_live_fini(struct mt_live_index *live)
{
    mt_os_unmap(live->slots, slots_bytes(live->mask));
    mt_segvec_fini(&live->blocks);
    mt_live_init(live);
}

uint64_t mt_live_bytes(const struct mt_live_index *live)
{
    return slots_bytes(live->mask) + live->blocks.mapped_bytes;
}

bool mt_live_is_used(const struct mt_live_block *block)
{
    return block->time_ns != 0;
}

static bool is_record(uint32_t slot)
{
    return (slot & RECORD_MASK) >= SLOT_FIRST;
}

/* The first slot a new record of this hash can take. */
static uint32_t vacant_slot(const struct mt_live_index *live, uint64_t hash)
{
    uint32_t at = home_of(live, hash);
    while (is_record(live->slots[at])) {
        at = (at + 1) & live->mask;
    }
    return at;
}

struct mt_live_block *mt_live_find(const struct mt_live_index *live, uint64_t address, uint64_t hash, uint32_t *ret_slot)
{
    if (MT_UNLIKELY(live->mask == 0)) {
        return NULL;
    }
    uint32_t tag = (uint32_t)(hash >> 56);
    uint32_t at = home_of(live, hash);
    for (uint32_t slot = live->slots[at]; slot != SLOT_EMPTY; slot = live->slots[at]) {
        if (MT_UNLIKELY(slot >> TAG_SHIFT == tag && is_record(slot))) {
            struct mt_live_block *block = mt_segvec_at(&live->blocks, record_of(slot));
            if (MT_LIKELY(block->address == address)) {
                *ret_slot = at;
                return block;
            }
        }
        at = (at + 1) & live->mask;
    }
    *ret_slot = at;
    return NULL;
}

static void place(struct mt_live_index *live, uint64_t hash, uint32_t record, uint32_t at)
{
    live->used += live->slots[at] == SLOT_EMPTY;
    live->slots[at] = slot_value(hash, record);
}

static void place_all(struct mt_live_index *live)
{
    for (uint32_t record = 0; record < live->blocks.count; record++) {
        const struct mt_live_block *block = mt_segvec_at(&live->blocks, record);
        if (mt_live_is_used(block)) {
            uint64_t hash = mt_hash_u64(block->address);
            place(live, hash, record, vacant_slot(live, hash));
        }
    }
}

/* Room for one more: seven tenths of the slots may be used (a search that finds nothing then looks at 6 slots; at four
 * fifths, 13). Twice the size when more than half of them are alive. */
static MT_COLD bool make_room(struct mt_live_index *live)
{
    uint32_t slots = live->mask + 1;
    uint32_t wanted = live->mask == 0 ? FIRST_SLOTS : live->count > slots / 2 ? slots * 2 : slots;
    void *memory = NULL;
    if (mt_os_map_anonymous(wanted * sizeof(uint32_t), &memory) != MT_OK) {
        return false;
    }
    (void)mt_os_advise_nohugepage(memory, wanted * sizeof(uint32_t));
    mt_os_unmap(live->slots, slots_bytes(live->mask));
    mt_store_relaxed(&live->slots, (uint32_t *)memory);
    mt_store_relaxed(&live->mask, wanted - 1);
    live->used = 0;
    place_all(live);
    return true;
}

static bool has_room(const struct mt_live_index *live)
{
    return live->used < live->mask - live->mask / 10 * 3;
}

static bool take_record(struct mt_live_index *live, uint32_t *ret)
{
    if (live->free_head != 0) {
        *ret = live->free_head - 1;
        const struct mt_live_block *block = mt_segvec_at(&live->blocks, *ret);
        live->free_head = (uint32_t)block->address;
        return true;
    }
    return live->blocks.count < RECORDS_MAX && mt_segvec_add(&live->blocks, ret) == MT_OK;
}

struct mt_live_block *mt_live_insert(struct mt_live_index *live, uint64_t address, uint64_t hash, uint32_t slot)
{
    uint32_t record = 0;
    if (MT_UNLIKELY(!has_room(live))) {
        if (!make_room(live)) {
            return NULL;
        }
        slot = vacant_slot(live, hash);
    }
    if (!take_record(live, &record)) {
        return NULL;
    }
    struct mt_live_block *block = mt_segvec_at(&live->blocks, record);
    block->address = address;
    place(live, hash, record, slot);
    live->count++;
    return block;
}

/* Tombstones in front of an empty slot stop no probe: they become empty too. */
static void sweep_tombstones(struct mt_live_index *live, uint32_t at)
{
    while (live->slots[at] == SLOT_TOMBSTONE) {
        live->slots[at] = SLOT_EMPTY;
        live->used--;
        at = (at - 1) & live->mask;
    }
}

void mt_live_remove(struct mt_live_index *live, uint32_t slot)
{
    uint32_t record = record_of(live->slots[slot]);
    struct mt_live_block *block = mt_segvec_at(&live->blocks, record);
    block->time_ns = 0;
    block->address = live->free_head;
    live->free_head = record + 1;
    live->count--;
    live->slots[slot] = SLOT_TOMBSTONE;
    if (live->slots[(slot + 1) & live->mask] == SLOT_EMPTY) {
        sweep_tombstones(live, slot);
    }
}
