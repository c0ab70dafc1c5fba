/* stats.c: adding the shards up.
 *
 * Decides: each shard is read under its lock, one after the other, so counts of calls under way may differ by these calls;
 * whatever has returned is in. Current bytes come from the same pass (allocated - freed), so the identity always holds; the
 * peak is raised to it if need be, so that peak >= current always holds too.
 */
#include "tracker/private.h"

#include <string.h>

struct sums {
    struct mt_kind_totals totals;
    struct mt_rare_counts rare;
    uint64_t live, events, kept, bytes;
};

static void add_kind(struct mt_kind_totals *to, const struct mt_kind_totals *from)
{
    to->allocated_bytes += from->allocated_bytes;
    to->freed_bytes += from->freed_bytes;
    to->allocations += from->allocations;
    to->deallocations += from->deallocations;
}

static void add_rare(struct mt_rare_counts *to, const struct mt_rare_counts *from)
{
    to->reallocations += from->reallocations;
    to->mismatches += from->mismatches;
    to->size_mismatches += from->size_mismatches;
    to->double_allocations += from->double_allocations;
    to->snapshots += from->snapshots;
    to->gc_time_ns += from->gc_time_ns;
    for (size_t i = 0; i < MT_TRACKER_GENERATIONS; i++) {
        to->gc_by_generation[i] += from->gc_by_generation[i];
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

static void add_shard_locked(struct mt_tracker *tracker, const struct mt_shard *shard, uint32_t kinds, struct sums *sums)
{
    for (uint32_t kind = 0; kind < kinds; kind++) {
        add_kind(&sums->totals, &shard->kinds[kind]);
    }
    add_rare(&sums->rare, &shard->rare);
    sums->live += shard->live.count;
    sums->events += shard->history.events;
    sums->kept += kept_events(&shard->history, &tracker->pool);
    sums->bytes += mt_live_bytes(&shard->live) + mt_history_bytes(&shard->history);
}

static void fill(struct mt_tracker_stats *ret, const struct mt_kind_totals *totals)
{
    ret->total_allocated_bytes = totals->allocated_bytes;
    ret->total_freed_bytes = totals->freed_bytes;
    ret->current_bytes = totals->allocated_bytes - totals->freed_bytes;
    ret->allocation_count = totals->allocations;
    ret->deallocation_count = totals->deallocations;
}

static uint64_t peak_at_least(struct mt_level *level, uint64_t current)
{
    uint64_t peak = mt_level_peak(level);
    return peak > current ? peak : current;
}

static void fill_rare(struct mt_tracker_stats *ret, const struct mt_rare_counts *rare)
{
    ret->reallocation_count = rare->reallocations;
    ret->mismatch_count = rare->mismatches;
    ret->size_mismatch_count = rare->size_mismatches;
    ret->double_allocation_count = rare->double_allocations;
    ret->snapshot_count = rare->snapshots;
    ret->gc_time_ns = rare->gc_time_ns;
    for (size_t i = 0; i < MT_TRACKER_GENERATIONS; i++) {
        ret->gc_count_by_generation[i] = rare->gc_by_generation[i];
        ret->gc_count += rare->gc_by_generation[i];
    }
}

void mt_stats_get(struct mt_tracker *tracker, struct mt_tracker_stats *ret)
{
    struct sums sums = { 0 };
    uint32_t kinds = mt_tracker_kind_count(tracker);
    for (size_t i = 0; i < MT_SHARDS_ALL; i++) {
        struct mt_shard *shard = &tracker->shards[i];
        if (mt_shard_lock(tracker, shard)) {
            add_shard_locked(tracker, shard, kinds, &sums);
            mt_shard_unlock(shard);
        }
    }
    memset(ret, 0, sizeof *ret);
    fill(ret, &sums.totals);
    fill_rare(ret, &sums.rare);
    ret->peak_bytes = peak_at_least(&tracker->level, ret->current_bytes);
    ret->live_count = sums.live;
    ret->events = sums.events;
    uint64_t kept = sums.kept < tracker->history_events ? sums.kept : tracker->history_events;
    ret->events_dropped = sums.events - kept;
    ret->records_dropped = mt_load_relaxed(&tracker->records_dropped);
    ret->stacks_dropped = mt_load_relaxed(&tracker->stacks_dropped);
    ret->memory_bytes = sizeof *tracker + sums.bytes + tracker->pool.chunks.mapped_bytes + mt_stacks_bytes(&tracker->stacks);
}

void mt_stats_get_kind(struct mt_tracker *tracker, const char *kind, struct mt_tracker_stats *ret)
{
    struct mt_kind_totals totals = { 0 };
    int32_t number = mt_kinds_find(&tracker->kinds, kind, strlen(kind));
    memset(ret, 0, sizeof *ret);
    if (number < 0) {
        return;
    }
    for (size_t i = 0; i < MT_SHARDS_ALL; i++) {
        struct mt_shard *shard = &tracker->shards[i];
        if (mt_shard_lock(tracker, shard)) {
            add_kind(&totals, &shard->kinds[number]);
            mt_shard_unlock(shard);
        }
    }
    fill(ret, &totals);
    ret->peak_bytes = peak_at_least(&tracker->kinds.levels[number], ret->current_bytes);
}

static void reset(struct mt_level *level)
{
    mt_store_relaxed(&level->peak, mt_load_relaxed(&level->current));
}

void mt_tracker_reset_peak(struct mt_tracker *tracker)
{
    uint32_t kinds = mt_tracker_kind_count(tracker);
    reset(&tracker->level);
    for (uint32_t kind = 0; kind < kinds; kind++) {
        reset(&tracker->kinds.levels[kind]);
    }
}
