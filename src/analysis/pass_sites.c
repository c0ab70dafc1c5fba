/* pass_sites.c: dictionaries of a pass: sites, threads, rates, weights. Context: [tool]. */
#include "analysis/pass.h"
#include "base/hash.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

/* What tells sites from each other. */
static uint64_t site_hash(const struct mt_pass_site *s)
{
    uint64_t kind = (uint64_t)s->allocator | (uint64_t)s->storage << 8 | (uint64_t)s->rate << 16 | (uint64_t)s->label << 32;
    return mt_hash_pair((uint64_t)s->thread << 32 | s->stack, kind);
}

static uint16_t rate_number(struct mt_pass *p, uint64_t rate_bytes)
{
    for (size_t i = p->rate_count; i-- > 0;) {
        if (p->rates[i] == rate_bytes) {
            return (uint16_t)i;
        }
    }
    if (p->rate_count == MT_RATES_MAX) {
        return (uint16_t)(p->rate_count - 1); /* nobody changes the rate that often */
    }
    p->rates = mt_alloc_grow(p->rates, &p->rate_capacity, p->rate_count + 1, sizeof *p->rates);
    p->rates[p->rate_count] = rate_bytes;
    return (uint16_t)p->rate_count++;
}

static void grow_sites(struct mt_pass *p)
{
    size_t capacity = p->site_capacity > 0 ? 2 * p->site_capacity : 64;
    void *grown = mt_alloc_aligned(sizeof *p->sites, capacity * sizeof *p->sites);
    if (p->site_count > 0) {
        memcpy(grown, p->sites, p->site_count * sizeof *p->sites);
    }
    free(p->sites);
    p->sites = grown;
    p->rest = mt_alloc_grow(p->rest, &p->site_capacity, capacity, sizeof *p->rest);
    p->site_capacity = capacity;
}

static bool is_site(const struct mt_pass_site *s, const struct mt_pass_site *key)
{
    return s->stack == key->stack && s->thread == key->thread && s->label == key->label && s->allocator == key->allocator &&
           s->storage == key->storage && s->rate == key->rate;
}

static bool is_own(const struct mt_pass *p, uint32_t stack)
{
    return stack < p->own_count && mt_own_stacks_has(p->own_stacks, stack);
}

struct mt_pass_site *mt_pass_site(struct mt_pass *p, const struct mt_event *event, uint8_t allocator, uint8_t storage,
                                  uint64_t rate_bytes)
{
    const struct mt_pass_site key = { .stack = event->stack < p->stack_count ? event->stack : is_own(p, event->stack),
                                      .label = event->label,
                                      .allocator = allocator,
                                      .storage = storage,
                                      .rate = rate_number(p, rate_bytes),
                                      .thread = mt_pass_thread(p, event->stream) };
    if (p->site_count > 0 && is_site(&p->sites[p->last_site], &key)) {
        return &p->sites[p->last_site];
    }
    uint64_t hash = site_hash(&key);
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&p->site_index, hash, &probe)) != MT_INDEX_NONE) {
        if (is_site(&p->sites[at], &key)) {
            p->last_site = at;
            return &p->sites[at];
        }
    }
    if (p->site_count == p->site_capacity) {
        grow_sites(p);
    }
    struct mt_pass_site *s = &p->sites[p->site_count];
    *s = key;
    p->rest[p->site_count] = (struct mt_pass_rest){ .oldest_ns = UINT64_MAX, .first_ns = p->now_ns };
    mt_index_add(&p->site_index, hash, (uint32_t)p->site_count++);
    return s;
}

static uint32_t find_thread(struct mt_pass *p, uint32_t stream)
{
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&p->thread_index, mt_hash_u64(stream), &probe)) != MT_INDEX_NONE) {
        if (p->threads[at].stream == stream) {
            return at;
        }
    }
    p->threads = mt_alloc_grow(p->threads, &p->thread_capacity, p->thread_count + 1, sizeof *p->threads);
    p->threads[p->thread_count] = (struct mt_pass_thread){ .stream = stream };
    at = (uint32_t)p->thread_count++;
    mt_index_add(&p->thread_index, mt_hash_u64(stream), at);
    return at;
}

uint32_t mt_pass_thread(struct mt_pass *p, uint32_t stream)
{
    if (p->thread_count == 0 || p->last_stream != stream) {
        p->last_thread = find_thread(p, stream);
        p->last_stream = stream;
    }
    return p->last_thread;
}

static struct mt_unit_weight make_weight(uint64_t size, uint64_t rate_bytes, unsigned scale_bits)
{
    struct mt_weight w = mt_weight_of(size, rate_bytes);
    return (struct mt_unit_weight){ .size = size,
                                    .rate_bytes = rate_bytes,
                                    .units = { .bytes = mt_weight_units(w.bytes, scale_bits),
                                               .count = mt_weight_units(w.count, scale_bits) },
                                    .variance = { w.bytes_variance, w.count_variance } };
}

const struct mt_unit_weight *mt_pass_weight(struct mt_pass *p, uint64_t size, uint64_t rate_bytes)
{
    struct mt_unit_weight *w = &p->weights[mt_hash_pair(size, rate_bytes) % MT_WEIGHT_CACHE];
    if (w->units.count == 0 || w->size != size || w->rate_bytes != rate_bytes) {
        *w = make_weight(size, rate_bytes, p->scale_bits);
    }
    return w;
}

void mt_pass_vary_edges(struct mt_pass *p, const struct mt_pass_site *s, uint64_t born_ns, double bytes_variance)
{
    if (p->edges != NULL && s->storage == MT_STORAGE_HEAP) {
        mt_edges_vary(p->edges, (uint32_t)(s - p->sites), born_ns, bytes_variance);
    }
}

void mt_pass_change_edges(struct mt_pass *p, const struct mt_pass_site *s, uint64_t born_ns, int64_t bytes, int64_t count)
{
    if (s->storage == MT_STORAGE_HEAP) {
        mt_edges_change(p->edges, (uint32_t)(s - p->sites), born_ns, p->now_ns, bytes, count);
    }
}
