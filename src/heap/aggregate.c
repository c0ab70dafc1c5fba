/* aggregate.c: see aggregate.h. */
#include "heap/aggregate.h"

#include "base/atomic.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/os.h"
#include "heap/account.h"
#include "heap/aggregate_private.h"
#include "heap/hashtab.h"
#include "heap/tracefile.h"
#include "wire/encode.h"

#include <string.h>

enum {
    EXTENT_BYTES = 256 * 1024,
    ROWS_PER_EXTENT = EXTENT_BYTES / (int)sizeof(struct mt_aggregate_row) - 1, /* the first 64 bytes are the header */
    EXTENTS_MAX = 4096,
    BLOCKS_FIRST = 4096,
};

struct block {
    uint64_t addr; /* 0: free */
    uint64_t size;
    uint32_t row; /* 1-based */
    uint32_t pad;
};

static struct {
    struct mt_spinlock lock;
    struct mt_aggregate_row *extents[EXTENTS_MAX];
    uint32_t extent_count;
    uint32_t row_count;
    struct mt_hashtab row_of; /* hash(stack, allocator) -> row, 1-based */
    struct block *blocks;     /* open addressing */
    uint64_t block_mask, block_count;
    bool rising; /* the heap is at a new maximum right now */
} g_agg = { .lock = MT_SPINLOCK_INIT(MT_RANK_AGGREGATE), .row_of = { .locked = true } };

static struct mt_trace_header *header(void)
{
    return mt_tracefile_header();
}

static uint64_t *counter(enum mt_counter which)
{
    return &header()->counters[which];
}

/* ---- rows ---------------------------------------------------------------------------------------------------------- */

static struct mt_aggregate_row *row_at(uint32_t number)
{
    uint32_t index = number - 1;
    return &g_agg.extents[index / ROWS_PER_EXTENT][1 + index % ROWS_PER_EXTENT];
}

static bool add_extent_locked(void)
{
    void *base = NULL;
    if (g_agg.extent_count == EXTENTS_MAX || mt_slots_map_extent(EXTENT_BYTES, &base) != MT_OK) {
        return false;
    }
    struct mt_block_header *block = base;
    block->magic = MT_BLOCK_MAGIC;
    block->type = MT_BLOCK_AGGREGATE;
    block->stored_bytes = EXTENT_BYTES - sizeof *block;
    block->raw_bytes = block->stored_bytes;
    block->extent_bytes = EXTENT_BYTES;
    mt_slot_seal(block);
    g_agg.extents[g_agg.extent_count++] = base;
    return true;
}

static uint32_t row_locked(uint32_t stack, enum mt_allocator allocator)
{
    uint64_t key = mt_hash_pair(stack, (uint64_t)allocator) | 1;
    uint32_t number;
    if (mt_hashtab_get(&g_agg.row_of, key, &number)) {
        return number;
    }
    if (g_agg.row_count == g_agg.extent_count * ROWS_PER_EXTENT && !add_extent_locked()) {
        return MT_AGGREGATE_NO_ROW;
    }
    number = g_agg.row_count + 1;
    if (!mt_hashtab_put(&g_agg.row_of, key, number)) {
        return MT_AGGREGATE_NO_ROW;
    }
    g_agg.row_count = number;
    struct mt_aggregate_row *row = row_at(number);
    row->stack = stack;
    row->allocator = (uint8_t)allocator;
    mt_store_release(&row->used, (uint8_t)1);
    return number;
}

/* Keeps a row's part of the last peak before the row changes. */
static void fold_locked(struct mt_aggregate_row *row)
{
    uint64_t peak = *counter(MT_COUNTER_PEAK_NUMBER);
    if (row->peak_number != peak) {
        row->peak_count = row->live_count;
        row->peak_bytes = row->live_bytes;
        mt_store_release(&row->peak_number, peak);
    }
}

static void grow_locked(uint32_t number, uint64_t clock, uint64_t bytes, uint64_t count)
{
    struct mt_aggregate_row *row = row_at(number);
    uint64_t current = *counter(MT_COUNTER_CURRENT_BYTES) + bytes;
    if (current > *counter(MT_COUNTER_PEAK_BYTES)) {
        if (!g_agg.rising) {
            g_agg.rising = true;
            mt_store_relaxed(counter(MT_COUNTER_PEAK_NUMBER), *counter(MT_COUNTER_PEAK_NUMBER) + 1);
        }
        mt_store_relaxed(counter(MT_COUNTER_PEAK_BYTES), current);
        mt_store_relaxed(counter(MT_COUNTER_PEAK_CLOCK), clock);
    } else if (!g_agg.rising) {
        fold_locked(row);
    }
    row->live_bytes += bytes;
    row->live_count += count;
    row->allocations += count;
    row->allocated_bytes += bytes;
    mt_store_relaxed(counter(MT_COUNTER_CURRENT_BYTES), current);
    mt_store_relaxed(counter(MT_COUNTER_LAST_CLOCK), clock);
    mt_fetch_add_relaxed(counter(MT_COUNTER_ALLOCATIONS), count);
}

static void shrink_locked(uint32_t number, uint64_t clock, uint64_t bytes, uint64_t count)
{
    struct mt_aggregate_row *row = row_at(number);
    g_agg.rising = false;
    fold_locked(row);
    row->live_bytes -= bytes;
    row->live_count -= count;
    mt_store_relaxed(counter(MT_COUNTER_CURRENT_BYTES), *counter(MT_COUNTER_CURRENT_BYTES) - bytes);
    mt_store_relaxed(counter(MT_COUNTER_LAST_CLOCK), clock);
    mt_fetch_add_relaxed(counter(MT_COUNTER_DEALLOCATIONS), count);
}

static const struct mt_range_books range_books = { row_locked, grow_locked, shrink_locked };

bool mt_aggregate_map_array(size_t bytes, void **ret)
{
    if (mt_os_map_anonymous(bytes, ret) != MT_OK) {
        return false;
    }
    (void)mt_os_advise_nohugepage(*ret, bytes);
    return true;
}

/* ---- live blocks --------------------------------------------------------------------------------------------------- */

static uint64_t find_block(const struct block *blocks, uint64_t mask, uint64_t addr)
{
    uint64_t at = mt_hash_u64(addr) & mask;
    while (blocks[at].addr != addr && blocks[at].addr != 0) {
        at = (at + 1) & mask;
    }
    return at;
}

static bool grow_blocks_locked(void)
{
    uint64_t capacity = g_agg.blocks == NULL ? BLOCKS_FIRST : (g_agg.block_mask + 1) * 2;
    void *base = NULL;
    if (!mt_aggregate_map_array(capacity * sizeof(struct block), &base)) {
        return false;
    }
    struct block *blocks = base;
    for (uint64_t i = 0; g_agg.blocks != NULL && i <= g_agg.block_mask; i++) {
        if (g_agg.blocks[i].addr != 0) {
            blocks[find_block(blocks, capacity - 1, g_agg.blocks[i].addr)] = g_agg.blocks[i];
        }
    }
    mt_os_unmap(g_agg.blocks, g_agg.blocks == NULL ? 0 : (g_agg.block_mask + 1) * sizeof(struct block));
    g_agg.blocks = blocks;
    g_agg.block_mask = capacity - 1;
    return true;
}

static void delete_block_locked(uint64_t at)
{
    uint64_t mask = g_agg.block_mask;
    for (uint64_t next = (at + 1) & mask; g_agg.blocks[next].addr != 0; next = (next + 1) & mask) {
        uint64_t home = mt_hash_u64(g_agg.blocks[next].addr) & mask;
        if (((next - home) & mask) >= ((next - at) & mask)) {
            g_agg.blocks[at] = g_agg.blocks[next];
            at = next;
        }
    }
    g_agg.blocks[at].addr = 0;
    g_agg.block_count--;
}

static bool free_locked(uint64_t clock, uint64_t addr)
{
    if (g_agg.blocks == NULL) {
        return false;
    }
    uint64_t at = find_block(g_agg.blocks, g_agg.block_mask, addr);
    if (g_agg.blocks[at].addr == 0) {
        return false;
    }
    shrink_locked(g_agg.blocks[at].row, clock, g_agg.blocks[at].size, 1);
    delete_block_locked(at);
    return true;
}

static bool alloc_locked(uint64_t clock, uint64_t addr, uint64_t size, enum mt_allocator allocator, uint32_t stack)
{
    (void)free_locked(clock, addr); /* its free went unseen */
    uint32_t row = row_locked(stack, allocator);
    if (row == MT_AGGREGATE_NO_ROW || ((g_agg.block_count + 1) * 4 > (g_agg.block_mask + 1) * 3 && !grow_blocks_locked()) ||
        (g_agg.blocks == NULL && !grow_blocks_locked())) {
        return false;
    }
    uint64_t at = find_block(g_agg.blocks, g_agg.block_mask, addr);
    g_agg.blocks[at] = (struct block){ .addr = addr, .size = size, .row = row };
    g_agg.block_count++;
    grow_locked(row, clock, size, 1);
    return true;
}

/* ---- the door --------------------------------------------------------------------------------------------------------- */

static void leave(bool done)
{
    mt_spinlock_unlock(&g_agg.lock);
    if (!done) {
        mt_engine_count(MT_COUNTER_DROPPED_EVENTS, 1);
    }
}

static bool enter(void)
{
    if (mt_spinlock_lock(&g_agg.lock)) {
        return true;
    }
    mt_engine_count(MT_COUNTER_DROPPED_EVENTS, 1);
    return false;
}

void mt_aggregate_alloc(uint64_t clock, uint64_t addr, uint64_t size, enum mt_allocator allocator, uint32_t stack)
{
    if (enter()) {
        leave(alloc_locked(clock, addr, size, allocator, stack));
    }
}

void mt_aggregate_free(uint64_t clock, uint64_t addr)
{
    if (enter()) {
        (void)free_locked(clock, addr);
        leave(true);
    }
}

void mt_aggregate_map(uint64_t clock, uint64_t addr, uint64_t bytes, enum mt_map_kind kind, uint32_t stack)
{
    if (bytes == 0 || !enter()) {
        return;
    }
    bool access = kind == MT_MAP_OPENED || kind == MT_MAP_CLOSED || kind == MT_MAP_EMPTIED;
    leave(access ? mt_aggregate_access_locked(clock, addr, addr + bytes, kind, stack)
                 : mt_aggregate_map_locked(clock, addr, addr + bytes, kind, stack));
}

void mt_aggregate_remap(uint64_t clock, uint64_t old, uint64_t old_bytes, uint64_t addr, uint64_t bytes, uint32_t stack)
{
    if (!enter()) {
        return;
    }
    enum mt_map_kind kind = mt_aggregate_kind_moved_locked(old);
    mt_aggregate_unmap_locked(clock, old, old + old_bytes);
    leave(mt_aggregate_map_locked(clock, addr, addr + bytes, kind, stack));
}

void mt_aggregate_unmap(uint64_t clock, uint64_t addr, uint64_t bytes)
{
    if (bytes > 0 && enter()) {
        mt_aggregate_unmap_locked(clock, addr, addr + bytes);
        leave(true);
    }
}

mt_status mt_aggregate_init(void)
{
    g_agg.extent_count = 0;
    g_agg.row_count = 0;
    mt_aggregate_begin_ranges(&range_books);
    g_agg.rising = false;
    mt_hashtab_clear(&g_agg.row_of);
    if (g_agg.blocks != NULL) {
        memset(g_agg.blocks, 0, (size_t)(g_agg.block_mask + 1) * sizeof(struct block));
        g_agg.block_count = 0;
    }
    return add_extent_locked() ? MT_OK : MT_E_NOSPACE;
}

void mt_aggregate_close(void)
{
    for (uint32_t i = 0; i < g_agg.extent_count; i++) {
        if (mt_tracefile_append_extent((const void *)g_agg.extents[i]) != MT_OK) {
            mt_slots_note_taken();
        }
        mt_os_unmap(g_agg.extents[i], EXTENT_BYTES);
    }
    g_agg.extent_count = 0;
}

void mt_aggregate_after_fork(void)
{
    mt_spinlock_reset(&g_agg.lock);
    g_agg.extent_count = 0;
}
