/* stats.c: adding the shards up.
 *
 * Decides: statistics are of one moment: the locks of all shards are held together (lower number first, as everywhere), some
 * microseconds; so allocated - freed = current, the kinds add up to the whole, and the peak is never less than current nor
 * than any peak told before. Shard after shard would give sums that never were: a block freed in one place and allocated
 * in another is counted twice. A shard whose lock cannot be had is left out and counted in records_dropped.
 */
#include "tracker/private.h"

#include <string.h>

struct cut {
    struct mt_tracker *tracker;
    bool has[MT_SHARDS_ALL];
};

static void lock_all(struct cut *cut, struct mt_tracker *tracker)
{
    cut->tracker = tracker;
    for (size_t i = 0; i < MT_SHARDS_ALL; i++) {
        cut->has[i] = mt_shard_lock(tracker, &tracker->shards[i]);
    }
}

static void unlock_all(const struct cut *cut)
{
    for (size_t i = 0; i < MT_SHARDS_ALL; i++) {
        if (cut->has[i]) {
            mt_shard_unlock(&cut->tracker->shards[i]);
        }
    }
}

static struct mt_kind_totals kind_totals(const struct cut *cut, uint32_t kind)
{
    struct mt_kind_totals sum = { 0 };
    for (size_t i = 0; i < MT_SHARDS_ALL; i++) {
        if (cut->has[i]) {
            const struct mt_kind_totals *from = &cut->tracker->shards[i].kinds[kind];
            sum.allocated_bytes += from->allocated_bytes;
            sum.freed_bytes += from->freed_bytes;
            sum.allocations += from->allocations;
            sum.deallocations += from->deallocations;
        }
    }
    return sum;
}

/* Adds one kind to what is there. */
static void add_kind(struct mt_tracker_stats *ret, const struct mt_kind_totals *totals)
{
    ret->total_allocated_bytes += totals->allocated_bytes;
    ret->total_freed_bytes += totals->freed_bytes;
    ret->current_bytes += totals->allocated_bytes - totals->freed_bytes;
    ret->allocation_count += totals->allocations;
    ret->deallocation_count += totals->deallocations;
}

static void add_rare(struct mt_tracker_stats *ret, const struct mt_rare_counts *rare)
{
    ret->reallocation_count += rare->reallocations;
    ret->mismatch_count += rare->mismatches;
    ret->size_mismatch_count += rare->size_mismatches;
    ret->double_allocation_count += rare->double_allocations;
    ret->snapshot_count += rare->snapshots;
    ret->gc_time_ns += rare->gc_time_ns;
    for (size_t i = 0; i < MT_TRACKER_GENERATIONS; i++) {
        ret->gc_count_by_generation[i] += rare->gc_by_generation[i];
        ret->gc_count += rare->gc_by_generation[i];
    }
}

static uint64_t kept_events(const struct mt_history *history, const struct mt_chunk_pool *pool)
{
    return history->order_count == 0 ? 0 : history->events - mt_history_chunk(history, pool, 0)->first_number;
}

uint64_t mt_tracker_events_kept(struct mt_tracker *tracker)
{
    uint64_t kept = 0;
    for (size_t i = 0; i < MT_SHARDS_ALL; i++) {
        struct mt_shard *shard = &tracker->shards[i];
        if (mt_shard_lock(tracker, shard)) {
            kept += kept_events(&shard->history, &tracker->pool);
            mt_shard_unlock(shard);
        }
    }
    return kept;
}

static void add_shards(const struct cut *cut, struct mt_tracker_stats *ret)
{
    const struct mt_tracker *tracker = cut->tracker;
    uint64_t kept = 0;
    for (size_t i = 0; i < MT_SHARDS_ALL; i++) {
        const struct mt_shard *shard = &tracker->shards[i];
        if (cut->has[i]) {
            add_rare(ret, &shard->rare);
            ret->live_count += shard->live.count;
            ret->events += shard->history.events;
            ret->memory_bytes += mt_live_bytes(&shard->live) + mt_history_bytes(&shard->history);
            kept += kept_events(&shard->history, &tracker->pool);
        }
    }
    ret->events_dropped = ret->events - (kept < tracker->history_events ? kept : tracker->history_events);
    ret->memory_bytes += sizeof *tracker + tracker->pool.chunks.mapped_bytes + mt_stacks_bytes(&tracker->stacks);
    ret->records_dropped = mt_load_relaxed(&tracker->records_dropped);
    ret->stacks_dropped = mt_load_relaxed(&tracker->stacks_dropped);
}

void mt_stats_get_all(struct mt_tracker *tracker, struct mt_tracker_stats *ret, struct mt_tracker_stats *ret_kinds,
                      uint32_t capacity)
{
    struct cut cut;
    memset(ret, 0, sizeof *ret);
    lock_all(&cut, tracker);
    uint32_t count = mt_tracker_kind_count(tracker);
    for (uint32_t kind = 0; kind < count; kind++) {
        struct mt_kind_totals totals = kind_totals(&cut, kind);
        add_kind(ret, &totals);
        if (kind < capacity) {
            memset(&ret_kinds[kind], 0, sizeof ret_kinds[kind]);
            add_kind(&ret_kinds[kind], &totals);
            ret_kinds[kind].peak_bytes = mt_level_peak(mt_kinds_level(&tracker->kinds, kind));
        }
    }
    add_shards(&cut, ret);
    ret->peak_bytes = mt_level_peak(mt_kinds_level_all(&tracker->kinds));
    unlock_all(&cut);
}

void mt_stats_get(struct mt_tracker *tracker, struct mt_tracker_stats *ret)
{
    mt_stats_get_all(tracker, ret, NULL, 0);
}

void mt_stats_get_kind(struct mt_tracker *tracker, const char *kind, struct mt_tracker_stats *ret)
{
    struct cut cut;
    int32_t number = mt_kinds_find(&tracker->kinds, kind, strlen(kind));
    memset(ret, 0, sizeof *ret);
    if (number < 0) {
        return;
    }
    lock_all(&cut, tracker);
    struct mt_kind_totals totals = kind_totals(&cut, (uint32_t)number);
    add_kind(ret, &totals);
    ret->peak_bytes = mt_level_peak(mt_kinds_level(&tracker->kinds, (uint32_t)number));
    unlock_all(&cut);
}

static void reset(struct mt_level *level)
{
    mt_store_relaxed(&level->peak, mt_load_relaxed(&level->current));
}

void mt_tracker_reset_peak(struct mt_tracker *tracker)
{
    struct cut cut;
    lock_all(&cut, tracker);
    uint32_t kinds = mt_tracker_kind_count(tracker);
    reset(mt_kinds_level_all(&tracker->kinds));
    for (uint32_t kind = 0; kind < kinds; kind++) {
        reset(mt_kinds_level(&tracker->kinds, kind));
    }
    unlock_all(&cut);
}
