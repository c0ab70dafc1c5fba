/* collect.c: from the units of a pass to the amounts of an analysis. Context: [tool]. */
#include "analysis/pass_life.h"
#include "base/hash.h"
#include "util/memory.h"

#include <stdlib.h>

void mt_amount_add(struct mt_amount *to, const struct mt_amount *amount)
{
    to->bytes += amount->bytes;
    to->count += amount->count;
    to->bytes_variance += amount->bytes_variance;
    to->count_variance += amount->count_variance;
}

static uint64_t rounded(uint64_t units, unsigned scale_bits)
{
    return scale_bits == 0 ? units : (units + ((uint64_t)1 << (scale_bits - 1))) >> scale_bits;
}

static double not_negative(double variance)
{
    return variance > 0 ? variance : 0;
}

static struct mt_amount amount_of(struct mt_units units, struct mt_variances variances, unsigned scale_bits)
{
    return (struct mt_amount){ .bytes = rounded(units.bytes, scale_bits),
                               .count = rounded(units.count, scale_bits),
                               .bytes_variance = not_negative(variances.bytes),
                               .count_variance = not_negative(variances.count) };
}

static void fold_units(struct mt_units *to, struct mt_units from)
{
    to->bytes += from.bytes;
    to->count += from.count;
}

static void fold_variances(struct mt_variances *to, struct mt_variances from)
{
    to->bytes += from.bytes;
    to->count += from.count;
}

/* A site with its rest, to be sorted together. */
struct place {
    uint32_t stream;
    struct mt_pass_site site;
    struct mt_pass_rest rest;
};

/* The same place at another sampling rate. */
static void fold(struct place *to, const struct place *from)
{
    to->site.live_bytes += from->site.live_bytes;
    to->site.live_count += from->site.live_count;
    to->site.peak_bytes += from->site.peak_bytes;
    to->site.peak_count += from->site.peak_count;
    fold_units(&to->site.total, from->site.total);
    fold_units(&to->site.temporary, from->site.temporary);
    fold_units(&to->site.window, from->site.window);
    fold_variances(&to->rest.live, from->rest.live);
    fold_variances(&to->rest.peak, from->rest.peak);
    fold_variances(&to->rest.total, from->rest.total);
    fold_variances(&to->rest.temporary, from->rest.temporary);
    fold_variances(&to->rest.window, from->rest.window);
    to->site.area += from->site.area;
    to->site.moment += from->site.moment;
    to->site.lifetime += from->site.lifetime;
    to->rest.held_area += from->rest.held_area;
    to->rest.moved += from->rest.moved;
    to->rest.first_ns = from->rest.first_ns < to->rest.first_ns ? from->rest.first_ns : to->rest.first_ns;
    if (from->rest.oldest_ns < to->rest.oldest_ns) {
        to->rest.oldest_ns = from->rest.oldest_ns;
    }
}

static int compare_places(const void *a, const void *b)
{
    const struct place *p = a, *q = b;
    const struct mt_pass_site *x = &p->site, *y = &q->site;
    if (x->stack != y->stack) {
        return x->stack < y->stack ? -1 : 1;
    }
    if (p->stream != q->stream) {
        return p->stream < q->stream ? -1 : 1;
    }
    if (x->label != y->label) {
        return x->label < y->label ? -1 : 1;
    }
    if (x->allocator != y->allocator) {
        return x->allocator < y->allocator ? -1 : 1;
    }
    return x->storage < y->storage ? -1 : x->storage > y->storage;
}

/* A pass being looked at. */
struct look {
    const struct mt_pass *p;
    const struct mt_collect_as *as;
    uint64_t *oldest_ns; /* of each site while the process lives; NULL: it has ended */
};

/* What is alive counts as freed at the end. */
static void close_integrals(const struct mt_pass *p, struct mt_pass_site *s, uint64_t end_ns)
{
    double end = mt_pass_known_seconds(p, end_ns);
    s->area += (double)s->live_bytes * end;
    s->moment += 0.5 * (double)s->live_bytes * end * end;
    s->lifetime += (double)s->live_count * mt_pass_seconds(end_ns);
}

/* What the site held at the peak (pass.h). */
static void settle_peak(const struct look *l, struct place *place)
{
    struct mt_pass_site *s = &place->site;
    const struct mt_run_heap *h = l->p->heap;
    if (!l->p->ended && (mt_run_heap_at_peak(h) || s->peak_number != h->peak_number)) {
        s->peak_bytes = s->live_bytes;
        s->peak_count = s->live_count;
        place->rest.peak = place->rest.live;
    } else if (s->peak_number != h->peak_number) { /* the process had ended before the peak */
        s->peak_bytes = s->peak_count = 0;
        place->rest.peak = (struct mt_variances){ 0 };
    }
}

static struct place place_of(const struct look *l, size_t site)
{
    const struct mt_pass *p = l->p;
    struct place place = { p->threads[p->sites[site].thread].stream, p->sites[site], p->rest[site] };
    uint64_t oldest_ns = l->oldest_ns != NULL ? l->oldest_ns[site] : place.rest.oldest_ns;
    struct mt_held held = mt_pass_held(p, site, oldest_ns);
    settle_peak(l, &place);
    close_integrals(p, &place.site, l->as->end_ns);
    place.rest.held_area = p->held != NULL ? held.area : place.site.area;
    place.site.live_bytes = held.live.bytes;
    place.site.live_count = held.live.count;
    place.site.window = held.window;
    place.rest.live = held.live_variances;
    place.rest.window = held.window_variances;
    place.rest.oldest_ns = held.oldest_ns;
    return place;
}

/* All sites, one a place whatever the rates. *ret_count: how many. */
static struct place *fold_rates(const struct look *l, size_t *ret_count)
{
    const struct mt_pass *p = l->p;
    struct place *places = mt_alloc(p->site_count * sizeof *places);
    for (size_t i = 0; i < p->site_count; i++) {
        places[i] = place_of(l, i);
    }
    qsort(places, p->site_count, sizeof *places, compare_places);
    size_t kept = 0;
    for (size_t i = 0; i < p->site_count; i++) {
        if (kept > 0 && compare_places(&places[kept - 1], &places[i]) == 0) {
            fold(&places[kept - 1], &places[i]);
        } else {
            places[kept++] = places[i];
        }
    }
    *ret_count = kept;
    return places;
}

/* Least-squares slope of a function of time on [0, T] from its integral and its first moment: 12/T^3 (moment - T/2
 * area). */
static double slope(double area, double moment, double duration_s)
{
    return duration_s > 0 ? 12 * (moment - 0.5 * duration_s * area) / (duration_s * duration_s * duration_s) : 0;
}

static struct mt_site site_of(const struct mt_pass *p, const struct place *place, const struct mt_collect_as *as)
{
    const struct mt_pass_site *s = &place->site;
    const struct mt_pass_rest *rest = &place->rest;
    unsigned bits = p->scale_bits;
    struct mt_units live = { s->live_bytes, s->live_count };
    struct mt_units peak = { s->peak_bytes, s->peak_count };
    double unit = (double)((uint64_t)1 << bits);
    bool told_apart = p->own_stacks != NULL;
    struct mt_site site = { .trace_idx = as->trace_idx,
                            .stack = told_apart ? 0 : s->stack,
                            .own = told_apart && s->stack == 1,
                            .stream = place->stream,
                            .label = s->label,
                            .allocator = s->allocator,
                            .storage = s->storage };
    site.amount[MT_MEASURE_PEAK] = amount_of(peak, rest->peak, bits);
    site.amount[MT_MEASURE_LIVE] = amount_of(live, rest->live, bits);
    site.amount[MT_MEASURE_TOTAL] = amount_of(s->total, rest->total, bits);
    site.amount[MT_MEASURE_TEMPORARY] = amount_of(s->temporary, rest->temporary, bits);
    site.amount[MT_MEASURE_WINDOW] =
        p->window_start_ns > 0 ? amount_of(s->window, rest->window, bits) : site.amount[MT_MEASURE_LIVE];
    site.oldest_ns = rest->oldest_ns;
    if (as->gone) {
        site.amount[MT_MEASURE_LIVE] = site.amount[MT_MEASURE_WINDOW] = (struct mt_amount){ 0 };
        site.oldest_ns = UINT64_MAX;
    }
    /* as exact as a summary keeps them (summary.h) */
    site.growth_bytes_per_s = (double)(float)slope(s->area / unit, s->moment / unit, mt_pass_known_seconds(p, as->run_ns));
    site.lifetime_s = s->total.count > 0 ? (double)(float)(s->lifetime / (double)s->total.count) : 0;
    site.moved_count = rest->moved;
    site.first_ns = rest->first_ns;
    site.held_byte_s = (double)(float)(rest->held_area / unit);
    return site;
}

static void collect_totals(const struct mt_pass *p, struct mt_totals *t)
{
    for (size_t b = 0; b < MT_HISTOGRAM_BUCKETS; b++) {
        struct mt_amount amount = amount_of(p->histogram[b], p->histogram_variance[b], p->scale_bits);
        mt_amount_add(&t->size_histogram[b], &amount);
        t->lifetime_histogram[b] += p->lifetimes[b];
    }
    t->deallocations += rounded(p->deallocations, p->scale_bits);
    t->unknown_frees += p->alive.unknown_frees;
    t->double_allocations += p->alive.double_allocations;
    t->events += p->events;
}

/* The place of each site of a pass, in places that were sorted and folded. */
static uint32_t place_number(const struct mt_pass *p, size_t site, const struct place *places, size_t count)
{
    struct place key = { .stream = p->threads[p->sites[site].thread].stream, .site = p->sites[site] };
    const struct place *found = bsearch(&key, places, count, sizeof key, compare_places);
    return (uint32_t)(found - places);
}

/* Cells of a pass, whose sites are sites of the analysis from first on. */
static void collect_cells(const struct mt_pass *p, const struct place *places, size_t count, size_t first, struct mt_analysis *a)
{
    const struct mt_edges *e = p->edges;
    a->cells = mt_alloc_grow(a->cells, &a->cell_capacity, a->cell_count + e->cell_count, sizeof *a->cells);
    for (size_t i = 0; i < e->cell_count; i++) {
        struct mt_edge_cell cell = e->cells[i];
        cell.site = (uint32_t)first + (places != NULL ? place_number(p, cell.site, places, count) : cell.site);
        a->cells[a->cell_count++] = cell;
    }
    a->cell_scale_bits = p->scale_bits;
}

void mt_pass_collect(const struct mt_pass *p, const struct mt_collect_as *as, struct mt_analysis *a,
                     size_t *site_capacity, size_t *thread_capacity)
{
    struct look look = { .p = p, .as = as };
    size_t count = p->site_count;
    if (!p->ended) {
        look.oldest_ns = mt_alloc((count + 1) * sizeof *look.oldest_ns);
        mt_pass_ages(p, look.oldest_ns);
    }
    struct place *places = p->rate_count > 1 && count > 0 ? fold_rates(&look, &count) : NULL;
    a->sites = mt_alloc_grow(a->sites, site_capacity, a->site_count + count, sizeof *a->sites);
    for (size_t i = 0; i < count; i++) {
        struct place place = places != NULL ? places[i] : place_of(&look, i);
        a->sites[a->site_count++] = site_of(p, &place, as);
    }
    if (p->edges != NULL) {
        collect_cells(p, places, count, a->site_count - count, a);
    }
    free(places);
    free(look.oldest_ns);
    a->threads = mt_alloc_grow(a->threads, thread_capacity, a->thread_count + p->thread_count, sizeof *a->threads);
    for (size_t i = 0; i < p->thread_count; i++) {
        a->threads[a->thread_count++] = (struct mt_thread_totals){ .trace_idx = as->trace_idx,
                                                                   .stream = p->threads[i].stream,
                                                                   .deallocations = p->threads[i].deallocations };
    }
    collect_totals(p, &a->totals);
    a->sampled = a->sampled || p->scale_bits != 0;
}

static int compare_threads(const void *a, const void *b)
{
    const struct mt_thread_totals *x = a, *y = b;
    if (x->trace_idx != y->trace_idx) {
        return x->trace_idx < y->trace_idx ? -1 : 1;
    }
    return x->stream < y->stream ? -1 : x->stream > y->stream;
}

static struct mt_thread_totals *thread_of(struct mt_analysis *a, const struct mt_site *site)
{
    struct mt_thread_totals key = { .trace_idx = site->trace_idx, .stream = site->stream };
    return bsearch(&key, a->threads, a->thread_count, sizeof key, compare_threads);
}

/* Estimates are rounded, deallocations once and temporary ones at each of their places: the sum of those can come out larger than the
 * whole that they are a part of. */
static void keep_above_temporary(struct mt_totals *t)
{
    uint64_t temporary = t->heap[MT_MEASURE_TEMPORARY].count;
    t->deallocations = t->deallocations > temporary ? t->deallocations : temporary;
}

void mt_analysis_sum_sites(struct mt_analysis *a, size_t first)
{
    if (a->thread_count > 0) {
        qsort(a->threads, a->thread_count, sizeof *a->threads, compare_threads);
    }
    for (size_t i = first; i < a->site_count; i++) {
        const struct mt_site *s = &a->sites[i];
        struct mt_thread_totals *thread = a->thread_count > 0 ? thread_of(a, s) : NULL;
        for (size_t m = 0; m < MT_MEASURE__COUNT; m++) {
            mt_amount_add(&a->totals.storage[s->storage][m], &s->amount[m]);
            if (s->storage == MT_STORAGE_HEAP) {
                mt_amount_add(&a->totals.heap[m], &s->amount[m]);
                mt_amount_add(&a->totals.allocator[s->allocator][m], &s->amount[m]);
                if (thread != NULL) {
                    mt_amount_add(&thread->amount[m], &s->amount[m]);
                }
            }
        }
    }
    keep_above_temporary(&a->totals);
}
