/* pass.c: applies events. The hot path of every report: one live-table look-up and one site a record.
 *
 * Clocks in entries and mappings are times on the run's axis.
 *
 * An entry of the live table is one cache miss and a site another: entries are prefetched 2 AHEAD events early, the
 * sites of what is freed AHEAD early; about a dozen misses fit in flight.
 * Context: [tool].
 */
#include "analysis/pass_life.h"

#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

enum { AHEAD = 8 };

bool mt_pass_is_sampled(const struct mt_trace *trace)
{
    const struct mt_trace_info *info = mt_trace_info(trace);
    size_t count;
    const struct mt_trace_rate *rates = mt_trace_rates(trace, &count);
    bool sampled = (info->flags & MT_TRACE_SAMPLE) != 0 || info->rate_bytes != 0;
    for (size_t i = 0; i < count; i++) {
        sampled = sampled || rates[i].rate_bytes != 0;
    }
    return sampled;
}

void mt_pass_init(struct mt_pass *p, const struct mt_trace *trace, const struct mt_analysis_options *options,
                  struct mt_run_heap *heap, const struct mt_span *span)
{
    const struct mt_trace_info *info = mt_trace_info(trace);
    memset(p, 0, sizeof *p);
    p->trace = trace;
    p->options = options;
    p->heap = heap;
    p->span = *span;
    p->now_ns = span->start_ns;
    p->window_start_ns = options->window_start_ns;
    p->horizon_ns = info->horizon_clock != 0 ? mt_span_time(span, info->horizon_clock) : 0;
    p->scale_bits = heap->scale_bits;
    p->arenas_counted = (info->flags & MT_TRACE_PYTHON_ALLOCATORS) == 0;
    /* Estimates are rounded a site: totals are the same whatever was asked for only if the sites are. */
    p->stack_count = options->totals_only && heap->scale_bits == 0 ? 0 : (uint32_t)mt_trace_stack_count(trace);
    p->weights = mt_alloc_zero(MT_WEIGHT_CACHE, sizeof *p->weights);
    p->edges = options->edge_count > 0 ? mt_edges_new(options->edges_ns, options->edge_count) : NULL;
    mt_alive_init(&p->alive, heap->scale_bits != 0 && (info->flags & MT_TRACE_GROWTH) != 0);
    mt_pass_begin_before(p);
}

void mt_pass_fini(struct mt_pass *p)
{
    mt_alive_fini(&p->alive);
    mt_liveset_fini(&p->resized);
    mt_ranges_fini(&p->ranges);
    mt_index_fini(&p->site_index);
    mt_index_fini(&p->thread_index);
    free(p->sites);
    free(p->rest);
    free(p->threads);
    free(p->rates);
    free(p->weights);
    free(p->held);
    mt_edges_free(p->edges);
}

static MT_NOINLINE void grow_variances(struct mt_pass *p, struct mt_pass_site *s, const struct mt_unit_weight *w,
                                       unsigned bucket)
{
    struct mt_pass_rest *rest = &p->rest[s - p->sites];
    mt_pass_add_variance(&rest->live, &w->variance, 1);
    mt_pass_add_variance(&rest->total, &w->variance, 1);
    mt_pass_vary_edges(p, s, p->now_ns, w->variance.bytes);
    if (mt_pass_in_window(p, p->now_ns)) {
        mt_pass_add_variance(&rest->window, &w->variance, 1);
    }
    if (s->storage == MT_STORAGE_HEAP) {
        mt_pass_add_variance(&p->histogram_variance[bucket], &w->variance, 1);
    }
}

MT_INLINE void end_block(struct mt_pass *p, const struct mt_live *entry)
{
    struct mt_pass_site *s = &p->sites[entry->site];
    struct mt_units units = mt_pass_exact_units(p, entry->size);
    struct mt_unit_weight again;
    const struct mt_unit_weight *w = NULL;
    if (MT_UNLIKELY(p->scale_bits != 0 && p->rates[s->rate] != 0)) {
        w = p->resized.count == 0 ? mt_pass_weight(p, entry->size, p->rates[s->rate])
                                  : mt_pass_resized_weight(p, entry, true, &again);
        units = w->units;
    }
    mt_pass_shrink_life(p, s, units, entry->clock);
    bool temporary = mt_pass_end_life(p, s, units, entry->clock, entry->ordinal);
    p->deallocations += units.count;
    if (MT_UNLIKELY(w != NULL)) {
        mt_pass_shrink_variances(p, s, w, temporary, entry->clock);
    }
}

static void count_deallocation(struct mt_pass *p, uint32_t stream)
{
    uint32_t thread = mt_pass_thread(p, stream); /* may move p->threads */
    p->threads[thread].deallocations++;
}

/* ---- blocks (alive.h) ------------------------------------------------------------------------------------------- */

MT_INLINE void block_began(void *context, const struct mt_event *e, struct mt_live *entry)
{
    struct mt_pass *p = context;
    uint8_t allocator = e->allocator < MT_ALLOCATOR__COUNT ? e->allocator : MT_ALLOCATOR_UNKNOWN;
    uint64_t rate_bytes = p->scale_bits != 0 ? e->rate_bytes : 0;
    struct mt_pass_site *s = mt_pass_site(p, e, allocator, MT_STORAGE_HEAP, rate_bytes);
    entry->site = (uint32_t)(s - p->sites);
    entry->ordinal = ++p->threads[s->thread].ordinal;
    if (MT_UNLIKELY(p->scale_bits != 0 && p->rates[s->rate] != 0)) {
        const struct mt_unit_weight *w = mt_pass_weight(p, e->size, p->rates[s->rate]);
        mt_pass_begin_life(p, s, e->size, w->units);
        grow_variances(p, s, w, mt_bucket(e->size));
        if (p->alive.growth && (e->flags & MT_EVENT_OF_REALLOC) != 0) {
            mt_pass_count_growth(p, e, s, w);
        }
        return;
    }
    mt_pass_begin_life(p, s, e->size, mt_pass_exact_units(p, e->size));
}

MT_INLINE void block_ended(void *context, const struct mt_event *e, const struct mt_live *entry, enum mt_alive_end how)
{
    struct mt_pass *p = context;
    if (MT_UNLIKELY(how == MT_ALIVE_GOES_ON || how == MT_ALIVE_THINNED)) {
        mt_pass_change_size(p, e, entry, mt_pass_weight(p, entry->size, p->rates[p->sites[entry->site].rate]));
        return;
    }
    end_block(p, entry);
    if (MT_UNLIKELY((e->flags & MT_EVENT_OF_REALLOC) != 0) && how == MT_ALIVE_FREED && p->rates[p->sites[entry->site].rate] == 0) {
        p->rest[entry->site].moved++;
    }
    if (how == MT_ALIVE_FREED) {
        count_deallocation(p, e->stream);
    }
}

static void block_resized(void *context, const struct mt_event *e, const struct mt_live *before, struct mt_live *entry)
{
    (void)e;
    mt_pass_resize(context, before, entry);
}

static const struct mt_alive_counter blocks = { block_began, block_ended, block_resized };

/* ---- ranges of address space (ranges.h) -------------------------------------------------------------------------- */

/* A piece of a mapping went away. */
static void piece_gone(void *context, const struct mt_mapping *m, uint64_t lost)
{
    struct mt_pass *p = context;
    struct mt_pass_site *s = &p->sites[m->site];
    bool over = m->mapped == 0;
    struct mt_units units = { lost << p->scale_bits, over ? (uint64_t)1 << p->scale_bits : 0 };
    mt_pass_shrink_life(p, s, units, m->clock);
    p->gone_storage = s->storage;
    if (over) {
        struct mt_units whole = { m->bytes << p->scale_bits, units.count };
        (void)mt_pass_end_life(p, s, whole, m->clock, m->ordinal);
        p->deallocations += s->storage == MT_STORAGE_HEAP ? units.count : 0;
    }
}

static struct mt_pass_thread *thread_of(struct mt_pass *p, const struct mt_event *e)
{
    uint32_t thread = mt_pass_thread(p, e->stream); /* may move p->threads */
    return &p->threads[thread];
}

static uint8_t storage_of(struct mt_pass *p, const struct mt_event *e)
{
    switch (e->allocator) {
    case MT_MAP_FILE:
        return MT_STORAGE_FILE;
    case MT_MAP_STACK:
        return MT_STORAGE_STACK;
    case MT_MAP_ARENA:
        return p->arenas_counted ? MT_STORAGE_HEAP : MT_STORAGE_ARENA;
    case MT_MAP_ALLOCATOR:
        return MT_STORAGE_ARENA;
    case MT_MAP_RESERVED:
        return MT_STORAGE_RESERVED;
    case MT_MAP_MREMAP:
        return thread_of(p, e)->moved_storage;
    default:
        return MT_STORAGE_HEAP;
    }
}

/* A mapping made now, counted at its site. */
static struct mt_mapping new_mapping(struct mt_pass *p, const struct mt_event *e, uint8_t allocator, uint8_t storage)
{
    struct mt_pass_site *s = mt_pass_site(p, e, allocator, storage, 0);
    uint32_t *ordinal = &p->threads[s->thread].ordinal;
    *ordinal += storage == MT_STORAGE_HEAP;
    return (struct mt_mapping){ .clock = p->now_ns, .site = (uint32_t)(s - p->sites), .ordinal = *ordinal };
}

/* Memory that can be used no more and holds nothing: a reservation again. */
static bool is_given_up(const void *context, const struct mt_mapping *m, unsigned state)
{
    const struct mt_pass *p = context;
    return state == MT_PIECE_BOTH && p->sites[m->site].storage == MT_STORAGE_HEAP;
}

static bool is_reserved(const void *context, const struct mt_mapping *m, unsigned state)
{
    const struct mt_pass *p = context;
    (void)state;
    return p->sites[m->site].storage == MT_STORAGE_RESERVED;
}

/* The pieces chosen in e's range are a mapping of another storage from here on. */
static void change_storage(struct mt_pass *p, const struct mt_event *e, struct mt_piece_choice choice, uint8_t storage)
{
    uint64_t bytes = mt_ranges_chosen(&p->ranges, e->addr, e->size, choice);
    if (bytes == 0) {
        return;
    }
    struct mt_mapping mapping = new_mapping(p, e, MT_ALLOCATOR_MMAP, storage);
    mt_ranges_give(&p->ranges, e->addr, e->size, choice, mapping, piece_gone, p);
    mt_pass_begin_life(p, &p->sites[mapping.site], bytes, mt_pass_exact_units(p, bytes));
    if (storage == MT_STORAGE_RESERVED) {
        count_deallocation(p, e->stream);
    }
}

/* mprotect and madvise: what is mapped there stays mapped. */
static void apply_access(struct mt_pass *p, const struct mt_event *e)
{
    if (e->allocator == MT_MAP_OPENED) {
        mt_ranges_mark(&p->ranges, e->addr, e->size, MT_PIECE_BOTH, 0);
        change_storage(p, e, (struct mt_piece_choice){ is_reserved, p }, MT_STORAGE_HEAP);
        return;
    }
    unsigned state = e->allocator == MT_MAP_CLOSED ? MT_PIECE_CLOSED : MT_PIECE_EMPTIED;
    mt_ranges_mark(&p->ranges, e->addr, e->size, 0, state);
    change_storage(p, e, (struct mt_piece_choice){ is_given_up, p }, MT_STORAGE_RESERVED);
}

static void apply_map(struct mt_pass *p, const struct mt_event *e)
{
    uint8_t storage = storage_of(p, e);
    if (e->size > (uint64_t)1 << 57 || e->addr + e->size <= e->addr) {
        return; /* larger than any address space: a damaged record */
    }
    if (e->allocator >= MT_MAP_OPENED && e->allocator <= MT_MAP_EMPTIED) {
        apply_access(p, e);
        return;
    }
    (void)mt_ranges_unmap(&p->ranges, e->addr, e->size, piece_gone, p);
    uint8_t allocator = e->allocator == MT_MAP_BRK ? MT_ALLOCATOR_SBRK : MT_ALLOCATOR_MMAP;
    struct mt_mapping mapping = new_mapping(p, e, allocator, storage);
    (void)mt_ranges_map(&p->ranges, e->addr, e->size, mapping);
    mt_pass_begin_life(p, &p->sites[mapping.site], e->size, mt_pass_exact_units(p, e->size));
    thread_of(p, e)->moved_storage = MT_STORAGE_HEAP;
}

static void apply_unmap(struct mt_pass *p, const struct mt_event *e)
{
    p->gone_storage = MT_STORAGE_HEAP;
    if (mt_ranges_unmap(&p->ranges, e->addr, e->size, piece_gone, p) > 0) {
        count_deallocation(p, e->stream);
    }
    if (e->allocator == MT_MAP_MREMAP) {
        thread_of(p, e)->moved_storage = p->gone_storage;
    }
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

/* One thread alone is looked at, and this is another one's allocation: what was at its place is gone. */
static bool is_anothers(struct mt_pass *p, const struct mt_event *e)
{
    const struct mt_trace_thread *thread = mt_trace_thread(p->trace, e->stream);
    if ((e->kind != MT_EVENT_ALLOC && e->kind != MT_EVENT_MAP) || (thread != NULL && thread->tid == p->options->only_tid)) {
        return false;
    }
    if (e->kind == MT_EVENT_ALLOC) {
        mt_alive_replace(&p->alive, e, &blocks, p);
    } else if (e->allocator < MT_MAP_OPENED) {
        (void)mt_ranges_unmap(&p->ranges, e->addr, e->size, piece_gone, p);
    }
    return true;
}

MT_INLINE void apply_one(struct mt_pass *p, const struct mt_event *e)
{
    p->now_ns = mt_span_time(&p->span, e->clock);
    if (MT_UNLIKELY(p->options->only_tid != 0) && is_anothers(p, e)) {
        return;
    }
    if (MT_UNLIKELY(p->now_ns > p->heap->due_ns)) {
        mt_run_heap_pass_time(p->heap, p->now_ns);
    }
    if (mt_alive_apply(&p->alive, e, p->now_ns, &blocks, p)) {
        return;
    }
    if (e->kind == MT_EVENT_MAP) {
        apply_map(p, e);
    } else if (e->kind == MT_EVENT_UNMAP) {
        apply_unmap(p, e);
    }
}

/* A free will need the site of what it frees: the entry, prefetched a while ago, says which. A wrong guess (another
 * address in its home place) only costs the guess. */
MT_INLINE void prefetch_site(const struct mt_pass *p, const struct mt_event *e)
{
    const struct mt_live *entry = &p->alive.blocks.entries[mt_liveset_home(&p->alive.blocks, e->addr)];
    if (e->kind == MT_EVENT_FREE && entry->addr == e->addr) {
        const struct mt_pass_site *s = &p->sites[entry->site];
        __builtin_prefetch(s, 1);
        __builtin_prefetch((const char *)s + 64, 1);
    }
}

static void apply_all(struct mt_pass *p, const struct mt_event *events, size_t count)
{
    size_t early = count < 2 * AHEAD ? count : 2 * AHEAD;
    for (size_t i = 0; i < early; i++) {
        mt_liveset_prefetch(&p->alive.blocks, events[i].addr);
    }
    for (size_t i = 0; i < count; i++) {
        if (i + 2 * AHEAD < count) {
            mt_liveset_prefetch(&p->alive.blocks, events[i + 2 * AHEAD].addr);
        }
        if (i + AHEAD < count) {
            prefetch_site(p, &events[i + AHEAD]);
        }
        apply_one(p, &events[i]);
    }
    p->events += count;
}

/* Those at the front that are of the base. */
static size_t count_repeated(const struct mt_pass *p, const struct mt_event *events, size_t count)
{
    size_t repeated = 0;
    while (repeated < count && events[repeated].clock < p->base_clock) {
        repeated++;
    }
    return repeated;
}

void mt_pass_apply(struct mt_pass *p, const struct mt_event *events, size_t count)
{
    if (MT_UNLIKELY(p->base_clock != 0)) {
        size_t repeated = count_repeated(p, events, count);
        apply_all(p, events, repeated);
        mt_pass_forget_repeated(p);
        p->base_clock = repeated < count ? 0 : p->base_clock;
        events += repeated;
        count -= repeated;
    }
    apply_all(p, events, count);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static void note_mapping_age(void *context, const struct mt_mapping *m)
{
    uint64_t *oldest_ns = context;
    oldest_ns[m->site] = m->clock < oldest_ns[m->site] ? m->clock : oldest_ns[m->site];
}

void mt_pass_ages(const struct mt_pass *p, uint64_t *oldest_ns)
{
    for (size_t i = 0; i < p->site_count; i++) {
        oldest_ns[i] = UINT64_MAX;
    }
    for (size_t i = 0; i <= p->alive.blocks.mask; i++) {
        const struct mt_live *entry = &p->alive.blocks.entries[i];
        if (entry->addr != 0 && entry->clock < oldest_ns[entry->site]) {
            oldest_ns[entry->site] = entry->clock;
        }
    }
    mt_ranges_each(&p->ranges, note_mapping_age, oldest_ns);
}

static void keep_ages(struct mt_pass *p)
{
    uint64_t *oldest_ns = mt_alloc((p->site_count + 1) * sizeof *oldest_ns);
    mt_pass_ages(p, oldest_ns);
    for (size_t i = 0; i < p->site_count; i++) {
        p->rest[i].oldest_ns = oldest_ns[i];
    }
    free(oldest_ns);
}

void mt_pass_end(struct mt_pass *p, uint64_t end_ns)
{
    struct mt_units held = { 0 };
    keep_ages(p);
    mt_run_heap_before_fall(p->heap);
    for (size_t i = 0; i < p->site_count; i++) {
        struct mt_pass_site *s = &p->sites[i];
        mt_pass_rebase(p, s);
        if (s->storage == MT_STORAGE_HEAP) {
            held.bytes += s->live_bytes;
            held.count += s->live_count;
        }
    }
    mt_run_heap_fall(p->heap, held.bytes, held.count, end_ns);
    if (p->edges != NULL) {
        mt_edges_end(p->edges, end_ns);
    }
    p->now_ns = end_ns;
    p->ended = true;
    mt_alive_fini(&p->alive);
    mt_ranges_fini(&p->ranges);
}
