/* sampleset.c: see sampleset.h. Context: [tool]. */
#include "reader/sampleset.h"

#include "analysis/estimate.h"
#include "base/hash.h"
#include "util/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD = 12, FIRST_FREED = 1024 };

void mt_sampleset_init(struct mt_sampleset *set, uint64_t since_clock, size_t freed_limit, size_t stack_count, bool growth)
{
    *set = (struct mt_sampleset){ .since_clock = since_clock, .freed_limit = freed_limit };
    mt_sampleset_grow(set, stack_count);
    mt_alive_init(&set->alive, growth);
}

void mt_sampleset_grow(struct mt_sampleset *set, size_t stack_count)
{
    if (stack_count <= set->stack_count) {
        return;
    }
    set->stack_seen = mt_alloc_grow(set->stack_seen, &set->stack_capacity, stack_count, sizeof *set->stack_seen);
    memset(set->stack_seen + set->stack_count, 0, stack_count - set->stack_count);
    set->stack_count = stack_count;
}

void mt_sampleset_fini(struct mt_sampleset *set)
{
    mt_alive_fini(&set->alive);
    mt_index_fini(&set->origin_index);
    free(set->stack_seen);
    free(set->origins);
    free(set->freed);
}

uint64_t mt_sampleset_weight(uint64_t size_bytes, uint64_t rate_bytes)
{
    if (rate_bytes == 0) {
        return size_bytes;
    }
    double bytes = round(mt_weight_of(size_bytes, rate_bytes).bytes);
    bool itself = size_bytes / 64 > rate_bytes; /* certain to be sampled: no rounding of large sizes */
    return itself || bytes >= 0x1p64 ? size_bytes : (uint64_t)bytes;
}

static uint64_t origin_hash(const struct mt_origin *o)
{
    uint64_t thread = mt_hash_pair((uint64_t)o->stream << 32 | o->label, (uint64_t)o->allocator << 1 | o->counted);
    return mt_hash_pair(o->rate_bytes, thread);
}

static bool same_origin(const struct mt_origin *a, const struct mt_origin *b)
{
    return a->stream == b->stream && a->label == b->label && a->rate_bytes == b->rate_bytes && a->allocator == b->allocator &&
           a->counted == b->counted;
}

static uint32_t add_origin(struct mt_sampleset *set, const struct mt_origin *origin)
{
    set->origins = mt_alloc_grow(set->origins, &set->origin_capacity, set->origin_count + 1, sizeof *set->origins);
    set->origins[set->origin_count] = *origin;
    mt_index_add(&set->origin_index, origin_hash(origin), (uint32_t)set->origin_count);
    return (uint32_t)set->origin_count++;
}

static uint32_t find_origin(struct mt_sampleset *set, const struct mt_origin *origin)
{
    uint64_t hash = origin_hash(origin);
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&set->origin_index, hash, &probe)) != MT_INDEX_NONE) {
        if (same_origin(&set->origins[at], origin)) {
            return at;
        }
    }
    return add_origin(set, origin);
}

static uint32_t origin_of(struct mt_sampleset *set, const struct mt_event *e)
{
    struct mt_origin origin = { .rate_bytes = e->rate_bytes,
                                .stream = e->stream,
                                .label = e->label,
                                .allocator = e->allocator,
                                .counted = e->clock >= set->since_clock };
    if (set->origin_count == 0 || !same_origin(&set->origins[set->last_origin], &origin)) {
        set->last_origin = find_origin(set, &origin);
    }
    return set->last_origin;
}

/* The place in the ring for one more; the ring grows to its limit by need. */
static struct mt_freed_sample *next_freed(struct mt_sampleset *set)
{
    if (set->freed_count >= set->freed_capacity && set->freed_capacity < set->freed_limit) {
        size_t wanted = set->freed_capacity == 0 ? FIRST_FREED : 2 * set->freed_capacity;
        wanted = wanted < set->freed_limit ? wanted : set->freed_limit;
        set->freed = mt_alloc_grow(set->freed, &set->freed_capacity, wanted, sizeof *set->freed);
        set->freed_capacity = wanted;
    }
    return &set->freed[set->freed_count % set->freed_capacity];
}

/* It is no more among what is alive, if it was counted there; returns whether it was. */
static bool take_from_live(struct mt_sampleset *set, const struct mt_live *entry)
{
    const struct mt_origin *origin = &set->origins[entry->ordinal];
    if (origin->counted) {
        set->live_count--;
        set->live_size -= entry->size;
        set->live_weight -= mt_sampleset_weight(entry->size, origin->rate_bytes);
    }
    return origin->counted;
}

static void end_sample(struct mt_sampleset *set, const struct mt_live *entry, uint64_t clock)
{
    if (!take_from_live(set, entry)) {
        return;
    }
    if (set->freed_limit > 0) {
        *next_freed(set) = (struct mt_freed_sample){ *entry, clock };
    }
    set->freed_count++;
}

static void count_sample(struct mt_sampleset *set, const struct mt_live *entry, uint64_t rate_bytes)
{
    uint64_t weight = mt_sampleset_weight(entry->size, rate_bytes);
    set->live_count++;
    set->live_size += entry->size;
    set->live_weight += weight;
    set->total_count++;
    set->total_weight += (double)weight;
    if (entry->site != 0 && set->stack_seen[entry->site] == 0) {
        set->stack_seen[entry->site] = 1;
        set->unique_stacks++;
    }
}

/* The same sample is about to be counted with another size. */
static void suspend_sample(struct mt_sampleset *set, const struct mt_live *entry)
{
    if (take_from_live(set, entry)) {
        set->total_count--;
        set->total_weight -= (double)mt_sampleset_weight(entry->size, set->origins[entry->ordinal].rate_bytes);
    }
}

MT_INLINE void sample_began(void *context, const struct mt_event *e, struct mt_live *entry)
{
    struct mt_sampleset *set = context;
    entry->site = e->stack < set->stack_count ? e->stack : 0;
    entry->ordinal = origin_of(set, e);
    set->rate_bytes = e->rate_bytes;
    set->rate_known = true;
    if (!set->alive.growth || (e->flags & MT_EVENT_OF_REALLOC) == 0) {
        set->total_blocks += mt_weight_of(e->size, e->rate_bytes).count;
    }
    if (set->origins[entry->ordinal].counted) {
        count_sample(set, entry, e->rate_bytes);
    }
}

MT_INLINE void sample_ended(void *context, const struct mt_event *e, const struct mt_live *entry, enum mt_alive_end how)
{
    if (how == MT_ALIVE_GOES_ON) {
        suspend_sample(context, entry);
    } else {
        end_sample(context, entry, e->clock);
    }
}

MT_INLINE void sample_resized(void *context, const struct mt_event *e, const struct mt_live *before, struct mt_live *entry)
{
    struct mt_sampleset *set = context;
    const struct mt_origin *origin = &set->origins[entry->ordinal];
    (void)e;
    if (origin->counted) {
        set->live_size += entry->size - before->size;
        set->live_weight +=
            mt_sampleset_weight(entry->size, origin->rate_bytes) - mt_sampleset_weight(before->size, origin->rate_bytes);
    }
}

static const struct mt_alive_counter samples = { sample_began, sample_ended, sample_resized };

void mt_sampleset_apply(struct mt_sampleset *set, const struct mt_event *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i + AHEAD < count) {
            mt_liveset_prefetch(&set->alive.blocks, events[i + AHEAD].addr);
        }
        (void)mt_alive_apply(&set->alive, &events[i], events[i].clock, &samples, set);
    }
    set->events += count;
    if (count > 0) {
        set->last_clock = events[count - 1].clock;
    }
}

size_t mt_sampleset_freed_kept(const struct mt_sampleset *set)
{
    return set->freed_count < set->freed_capacity ? (size_t)set->freed_count : set->freed_capacity;
}

const struct mt_freed_sample *mt_sampleset_freed(const struct mt_sampleset *set, size_t index)
{
    size_t kept = mt_sampleset_freed_kept(set);
    size_t first = kept < set->freed_capacity ? 0 : (size_t)(set->freed_count % set->freed_capacity);
    return &set->freed[(first + index) % set->freed_capacity];
}
