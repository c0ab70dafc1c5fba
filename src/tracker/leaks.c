/* leaks.c: what is alive for too long.
 *
 * Decides: a candidate is a live block at least so old, with kind and stack; the largest first, because that is where to
 * look, equal ones by age and then address, so that a report is the same twice. Each shard is read under its lock; the copy is
 * sorted outside (merge sort: no recursion, no worst case, memory from the same mapping). Context: [tool].
 */
#include "tracker/private.h"

#include <string.h>

#define NS_PER_MS 1000000u

void mt_leaks_release(struct mt_tracker_leaks *leaks)
{
    mt_os_unmap(leaks->items, leaks->mapped_bytes);
    *leaks = (struct mt_tracker_leaks){ 0 };
}

static bool is_before(const struct mt_tracker_leak *a, const struct mt_tracker_leak *b)
{
    if (a->size_bytes != b->size_bytes) {
        return a->size_bytes > b->size_bytes;
    }
    return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->address < b->address;
}

static void merge(const struct mt_tracker_leak *from, struct mt_tracker_leak *to, size_t left, size_t middle, size_t right)
{
    size_t a = left;
    size_t b = middle;
    for (size_t i = left; i < right; i++) {
        bool take_a = a < middle && (b >= right || !is_before(&from[b], &from[a]));
        to[i] = take_a ? from[a++] : from[b++];
    }
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* items[0..count) sorted, with spare[0..count) as scratch; the result is in items. */
static void sort(struct mt_tracker_leak *items, struct mt_tracker_leak *spare, size_t count)
{
    struct mt_tracker_leak *from = items;
    struct mt_tracker_leak *to = spare;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t left = 0; left < count; left += 2 * width) {
            merge(from, to, left, smaller(left + width, count), smaller(left + 2 * width, count));
        }
        struct mt_tracker_leak *swapped = from;
        from = to;
        to = swapped;
    }
    if (from != items) {
        memcpy(items, from, count * sizeof *items);
    }
}

static void copy_shard_locked(const struct mt_shard *shard, uint64_t now_ns, uint64_t before_ns, size_t room,
                              struct mt_tracker_leaks *leaks)
{
    for (uint32_t i = 0; i < shard->live.blocks.count && leaks->count < room; i++) {
        const struct mt_live_block *block = mt_segvec_at(&shard->live.blocks, i);
        if (!mt_live_is_used(block) || block->time_ns > before_ns) {
            continue;
        }
        leaks->items[leaks->count++] = (struct mt_tracker_leak){
            .address = block->address,
            .size_bytes = block->size,
            .time_ns = block->time_ns,
            .age_ns = now_ns > block->time_ns ? now_ns - block->time_ns : 0,
            .kind = mt_live_kind(block),
            .stack = mt_live_stack(block),
        };
    }
}

static mt_status copy_all(struct mt_tracker *tracker, uint64_t now_ns, uint64_t before_ns, size_t room,
                          struct mt_tracker_leaks *leaks)
{
    for (size_t i = 0; i < MT_SHARDS; i++) {
        struct mt_shard *shard = &tracker->shards[i];
        if (!mt_shard_lock(tracker, shard)) {
            return MT_E_BUSY;
        }
        copy_shard_locked(shard, now_ns, before_ns, room, leaks);
        mt_shard_unlock(shard);
    }
    return MT_OK;
}

int mt_leaks_detect(struct mt_tracker *tracker, int64_t min_age_ms, struct mt_tracker_leaks *ret)
{
    struct mt_tracker_stats stats;
    void *memory = NULL;
    uint64_t age_ns = (min_age_ms < 0 ? MT_TRACKER_LEAK_AGE_MS : (uint64_t)min_age_ms) * NS_PER_MS;
    uint64_t now = mt_os_monotonic_ns();
    mt_stats_get(tracker, &stats);
    size_t room = stats.live_count + 1; /* younger than now are not wanted, so nothing later has to fit */
    size_t bytes = 2 * room * sizeof(struct mt_tracker_leak);
    mt_status status = mt_os_map_anonymous(bytes, &memory);
    if (status != MT_OK) {
        return mt_tracker_code_of(status);
    }
    struct mt_tracker_leaks leaks = { .items = memory, .mapped_bytes = bytes };
    status = age_ns > now ? MT_OK : copy_all(tracker, now, now - age_ns, room, &leaks);
    if (status != MT_OK) {
        mt_leaks_release(&leaks);
        return mt_tracker_code_of(status);
    }
    sort(leaks.items, leaks.items + room, leaks.count);
    *ret = leaks;
    return MT_TRACKER_OK;
}
