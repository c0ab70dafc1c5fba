/* track.c: what happens when a program reports something.
 *
 * Decides: the account. Every report becomes at most one event, but for an allocation at a live address, which first frees
 * the old block by an event of its own: so the history, added up, gives the statistics, always. A free takes the recorded
 * size, whatever the caller says; an unknown one frees nothing. A report without effect (no memory, lock not had) leaves no
 * trace but the count records_dropped. Context: any thread; the functions in lock order shard, then pool.
 */
#include "base/hash.h"
#include "tracker/private.h"

enum { LOCK_ATTEMPTS = 4 /* each a quarter of a second */, REGION_LOG2 = 16 };
#define GOLDEN_RATIO 0x9E3779B97F4A7C15u /* 2^64 / phi: Fibonacci hashing, Knuth TAOCP 3, 6.4 */

bool mt_shard_wait(struct mt_tracker *tracker, struct mt_shard *shard)
{
    for (int attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
        if (mt_spinlock_take_unlisted(&shard->lock)) {
            return true;
        }
    }
    mt_fetch_add_relaxed(&tracker->records_dropped, 1u);
    return false;
}

void mt_tracker_trim(struct mt_tracker *tracker)
{
    uint16_t shard_idx = 0;
    while (mt_load_relaxed(&tracker->pool.evict) && mt_chunk_pool_oldest(&tracker->pool, &shard_idx)) {
        struct mt_shard *shard = &tracker->shards[shard_idx];
        if (!mt_spinlock_take_unlisted(&shard->lock)) {
            return;
        }
        mt_history_evict(&shard->history, &tracker->pool);
        mt_shard_unlock(shard);
    }
}

/* Neighbours, in regions of 64 KiB, share a shard: what is reported in a row then finds its tables in the cache (half the
 * time of a shard by the whole address), and threads that work in different places still meet in different shards. */
MT_INLINE struct mt_shard *shard_of(struct mt_tracker *tracker, uint64_t address)
{
    return &tracker->shards[(address >> REGION_LOG2) * GOLDEN_RATIO >> (64 - MT_SHARDS_LOG2)];
}

MT_INLINE void append(struct mt_tracker *tracker, struct mt_shard *shard, const struct mt_tracker_event *event)
{
    mt_history_append(&shard->history, &tracker->pool, event);
}

MT_INLINE void finish(struct mt_tracker *tracker, struct mt_shard *shard)
{
    mt_shard_unlock(shard);
    if (MT_UNLIKELY(mt_load_relaxed(&tracker->pool.evict))) {
        mt_tracker_trim(tracker);
    }
}

/* ---- the account ------------------------------------------------------------------------------------------------ */

MT_INLINE void add_bytes(struct mt_tracker *tracker, struct mt_shard *shard, uint32_t kind, uint64_t bytes)
{
    shard->kinds[kind].allocated_bytes += bytes;
    mt_level_add(mt_kinds_level(&tracker->kinds, kind), bytes);
    mt_level_add(mt_kinds_level_all(&tracker->kinds), bytes);
}

MT_INLINE void sub_bytes(struct mt_tracker *tracker, struct mt_shard *shard, uint32_t kind, uint64_t bytes)
{
    shard->kinds[kind].freed_bytes += bytes;
    mt_level_sub(mt_kinds_level(&tracker->kinds, kind), bytes);
    mt_level_sub(mt_kinds_level_all(&tracker->kinds), bytes);
}

MT_INLINE struct mt_tracker_event event_of(const struct mt_tracker *tracker, uint64_t address, uint64_t bytes)
{
    return (struct mt_tracker_event){ .time_ns = mt_os_monotonic_ns(), .step = mt_load_relaxed(&tracker->step),
                                      .address = address, .size_bytes = bytes, .generation = -1 };
}

/* Frees a block that is alive; event has the time. */
MT_INLINE void free_block(struct mt_tracker *tracker, struct mt_shard *shard, struct mt_live_block *block, uint32_t slot,
                          struct mt_tracker_event *event)
{
    event->type = MT_TRACKER_DEALLOCATION;
    event->size_bytes = block->size;
    event->kind = mt_live_kind(block);
    shard->kinds[event->kind].deallocations++;
    sub_bytes(tracker, shard, event->kind, block->size);
    mt_live_remove(&shard->live, slot);
    append(tracker, shard, event);
}

/* Whoever is alive at an address that is being allocated was freed without a word. */
static MT_COLD void free_missed(struct mt_tracker *tracker, struct mt_shard *shard, struct mt_live_block *block, uint32_t slot,
                                const struct mt_tracker_event *at)
{
    struct mt_tracker_event event = { .time_ns = at->time_ns, .step = at->step, .address = at->address, .generation = -1 };
    shard->rare.double_allocations++;
    free_block(tracker, shard, block, slot, &event);
}

MT_INLINE void fill_block(struct mt_live_block *block, const struct mt_tracker_event *event)
{
    block->size = event->size_bytes;
    block->time_ns = event->time_ns;
    block->kind_stack = mt_live_pack(event->kind, event->stack);
}

static int allocate(struct mt_tracker *tracker, uint64_t address, uint64_t bytes, uint32_t kind, uint32_t stack)
{
    uint64_t hash = mt_hash_u64(address);
    struct mt_shard *shard = shard_of(tracker, address);
    uint32_t slot = 0;
    mt_live_prefetch(&shard->live, hash);
    if (!mt_shard_lock(tracker, shard)) {
        return MT_TRACKER_BUSY;
    }
    struct mt_tracker_event event = event_of(tracker, address, bytes);
    struct mt_live_block *block = mt_live_find(&shard->live, address, hash, &slot);
    if (MT_UNLIKELY(block != NULL)) {
        free_missed(tracker, shard, block, slot, &event);
        (void)mt_live_find(&shard->live, address, hash, &slot);
    }
    block = mt_live_insert(&shard->live, address, hash, slot);
    if (MT_LIKELY(block != NULL)) {
        event.kind = kind;
        event.stack = stack;
        fill_block(block, &event);
        shard->kinds[kind].allocations++;
        add_bytes(tracker, shard, kind, bytes);
        append(tracker, shard, &event);
    } else {
        mt_fetch_add_relaxed(&tracker->records_dropped, 1u);
    }
    finish(tracker, shard);
    return MT_LIKELY(block != NULL) ? MT_TRACKER_OK : MT_TRACKER_NO_MEMORY;
}

/* ---- public ------------------------------------------------------------------------------------------------------ */

int mt_track_allocation_as(struct mt_tracker *tracker, uint64_t address, int64_t size_bytes, uint32_t kind, uint32_t stack)
{
    if (MT_UNLIKELY(!mt_load_relaxed(&tracker->enabled))) {
        return MT_TRACKER_OK;
    }
    if (MT_UNLIKELY(size_bytes < 0)) {
        return MT_TRACKER_RANGE;
    }
    if (MT_UNLIKELY(kind >= mt_load_acquire(&tracker->kinds.count) || stack > MT_STACK_NUMBER_MAX)) {
        return MT_TRACKER_ARGUMENT;
    }
    return allocate(tracker, address, (uint64_t)size_bytes, kind, stack);
}

int mt_track_allocation(struct mt_tracker *tracker, uint64_t address, int64_t size_bytes, const char *kind)
{
    uint32_t number = 0;
    uint32_t stack = 0;
    if (MT_UNLIKELY(!mt_load_relaxed(&tracker->enabled))) {
        return MT_TRACKER_OK;
    }
    if (MT_UNLIKELY(size_bytes < 0)) {
        return MT_TRACKER_RANGE;
    }
    if (MT_UNLIKELY(kind == NULL || *kind == '\0') || !mt_kinds_lookup(&tracker->kinds, kind, &number)) {
        return MT_TRACKER_ARGUMENT;
    }
    if (MT_UNLIKELY(mt_load_relaxed(&tracker->capture_stacks))) {
        stack = mt_tracker_native_stack(tracker, __builtin_return_address(0), __builtin_frame_address(0));
    }
    return allocate(tracker, address, (uint64_t)size_bytes, number, stack);
}

static MT_COLD void free_unknown(struct mt_tracker *tracker, struct mt_shard *shard, struct mt_tracker_event *event)
{
    shard->rare.mismatches++;
    shard->kinds[MT_KIND_UNKNOWN].deallocations++;
    event->type = MT_TRACKER_DEALLOCATION;
    event->kind = MT_KIND_UNKNOWN;
    event->unmatched = true;
    append(tracker, shard, event);
}

int mt_track_deallocation(struct mt_tracker *tracker, uint64_t address, int64_t size_bytes)
{
    if (MT_UNLIKELY(!mt_load_relaxed(&tracker->enabled))) {
        return MT_TRACKER_OK;
    }
    if (MT_UNLIKELY(size_bytes < 0)) {
        return MT_TRACKER_RANGE;
    }
    uint64_t hash = mt_hash_u64(address);
    struct mt_shard *shard = shard_of(tracker, address);
    uint32_t slot = 0;
    mt_live_prefetch(&shard->live, hash);
    if (!mt_shard_lock(tracker, shard)) {
        return MT_TRACKER_BUSY;
    }
    struct mt_tracker_event event = event_of(tracker, address, (uint64_t)size_bytes);
    struct mt_live_block *block = mt_live_find(&shard->live, address, hash, &slot);
    if (MT_LIKELY(block != NULL)) {
        shard->rare.size_mismatches += size_bytes != 0 && (uint64_t)size_bytes != block->size;
        free_block(tracker, shard, block, slot, &event);
    } else {
        free_unknown(tracker, shard, &event);
    }
    finish(tracker, shard);
    return MT_TRACKER_OK;
}

/* ---- reallocation ------------------------------------------------------------------------------------------------ */

/* Locks the shards of two addresses, the lower one first. */
static bool lock_two(struct mt_tracker *tracker, struct mt_shard *a, struct mt_shard *b)
{
    struct mt_shard *first = a < b ? a : b;
    struct mt_shard *second = a < b ? b : a;
    if (!mt_shard_lock(tracker, first)) {
        return false;
    }
    if (second != first && !mt_shard_lock(tracker, second)) {
        mt_shard_unlock(first);
        return false;
    }
    return true;
}

static void unlock_two(struct mt_tracker *tracker, struct mt_shard *a, struct mt_shard *b)
{
    if (a != b) {
        mt_shard_unlock(a);
    }
    finish(tracker, b);
}

/* Takes the old block out of the account of the live ones; what it was goes into the event. */
static void leave_old(struct mt_shard *shard, uint64_t hash, struct mt_tracker_event *event)
{
    uint32_t slot = 0;
    struct mt_live_block *block = mt_live_find(&shard->live, event->old_address, hash, &slot);
    event->unmatched = block == NULL;
    event->kind = MT_KIND_UNKNOWN;
    if (block != NULL) {
        event->old_size_bytes = block->size;
        event->kind = mt_live_kind(block);
        event->stack = event->stack != 0 ? event->stack : mt_live_stack(block);
        mt_live_remove(&shard->live, slot);
    }
}

static void account_resize(struct mt_tracker *tracker, struct mt_shard *shard, const struct mt_tracker_event *event)
{
    if (event->size_bytes > event->old_size_bytes) {
        add_bytes(tracker, shard, event->kind, event->size_bytes - event->old_size_bytes);
    } else if (event->size_bytes < event->old_size_bytes) {
        sub_bytes(tracker, shard, event->kind, event->old_size_bytes - event->size_bytes);
    }
}

/* Both shards are locked. False: no memory; the old block is freed then, for it is gone. */
static bool move_block(struct mt_tracker *tracker, struct mt_shard *from, struct mt_shard *to, struct mt_tracker_event *event)
{
    uint64_t hash = mt_hash_u64(event->address);
    uint32_t slot = 0;
    leave_old(from, mt_hash_u64(event->old_address), event);
    struct mt_live_block *block = mt_live_find(&to->live, event->address, hash, &slot);
    if (block != NULL) {
        free_missed(tracker, to, block, slot, event);
        (void)mt_live_find(&to->live, event->address, hash, &slot);
    }
    to->rare.mismatches += event->unmatched;
    to->rare.reallocations++;
    block = mt_live_insert(&to->live, event->address, hash, slot);
    if (block != NULL) {
        fill_block(block, event);
    } else {
        event->size_bytes = 0;
        mt_fetch_add_relaxed(&tracker->records_dropped, 1u);
    }
    account_resize(tracker, to, event);
    append(tracker, to, event);
    return block != NULL;
}

int mt_track_reallocation_at(struct mt_tracker *tracker, uint64_t old_address, uint64_t new_address, int64_t size_bytes,
                             uint32_t stack)
{
    if (MT_UNLIKELY(!mt_load_relaxed(&tracker->enabled))) {
        return MT_TRACKER_OK;
    }
    if (MT_UNLIKELY(size_bytes < 0)) {
        return MT_TRACKER_RANGE;
    }
    if (MT_UNLIKELY(stack > MT_STACK_NUMBER_MAX)) {
        return MT_TRACKER_ARGUMENT;
    }
    struct mt_shard *from = shard_of(tracker, old_address);
    struct mt_shard *to = shard_of(tracker, new_address);
    if (!lock_two(tracker, from, to)) {
        return MT_TRACKER_BUSY;
    }
    struct mt_tracker_event event = event_of(tracker, new_address, (uint64_t)size_bytes);
    event.type = MT_TRACKER_REALLOCATION;
    event.old_address = old_address;
    event.stack = stack;
    bool is_kept = move_block(tracker, from, to, &event);
    unlock_two(tracker, from, to);
    return is_kept ? MT_TRACKER_OK : MT_TRACKER_NO_MEMORY;
}

int mt_track_reallocation(struct mt_tracker *tracker, uint64_t old_address, uint64_t new_address, int64_t size_bytes)
{
    uint32_t stack = 0;
    if (mt_load_relaxed(&tracker->enabled) && mt_load_relaxed(&tracker->capture_stacks)) {
        stack = mt_tracker_native_stack(tracker, __builtin_return_address(0), __builtin_frame_address(0));
    }
    return mt_track_reallocation_at(tracker, old_address, new_address, size_bytes, stack);
}

/* ---- events without an address ------------------------------------------------------------------------------------ */

static int note(struct mt_tracker *tracker, enum mt_tracker_event_type type, uint32_t kind, int generation,
                uint64_t duration_ns)
{
    struct mt_shard *shard = &tracker->shards[MT_SHARD_OTHER];
    if (!mt_shard_lock(tracker, shard)) {
        return MT_TRACKER_BUSY;
    }
    struct mt_tracker_event event = event_of(tracker, 0, 0);
    event.type = (uint8_t)type;
    event.kind = kind;
    event.generation = (int8_t)generation;
    event.duration_ns = duration_ns;
    shard->rare.snapshots += type == MT_TRACKER_SNAPSHOT;
    if (type == MT_TRACKER_GC_END) {
        shard->rare.gc_time_ns += duration_ns;
        shard->rare.gc_by_generation[generation]++;
    }
    append(tracker, shard, &event);
    finish(tracker, shard);
    return MT_TRACKER_OK;
}

int mt_track_snapshot(struct mt_tracker *tracker)
{
    return mt_load_relaxed(&tracker->enabled) ? note(tracker, MT_TRACKER_SNAPSHOT, MT_KIND_SNAPSHOT, -1, 0) : MT_TRACKER_OK;
}

static int note_gc(struct mt_tracker *tracker, enum mt_tracker_event_type type, int generation, uint64_t duration_ns)
{
    if (!mt_load_relaxed(&tracker->enabled)) {
        return MT_TRACKER_OK;
    }
    if (generation < 0 || generation >= MT_TRACKER_GENERATIONS) {
        return MT_TRACKER_RANGE;
    }
    return note(tracker, type, MT_KIND_GC, generation, duration_ns);
}

int mt_track_gc_start(struct mt_tracker *tracker, int generation)
{
    return note_gc(tracker, MT_TRACKER_GC_START, generation, 0);
}

int mt_track_gc_end(struct mt_tracker *tracker, int generation, uint64_t duration_ns)
{
    return note_gc(tracker, MT_TRACKER_GC_END, generation, duration_ns);
}
