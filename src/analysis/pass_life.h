/* pass_life.h: what the beginning and the end of an allocation do to its site and to the heap. Private to analysis/pass*.c.
 *
 * Inline: a pass does this for every event. Context: [tool].
 */
#ifndef MT_ANALYSIS_PASS_LIFE_H
#define MT_ANALYSIS_PASS_LIFE_H

#include "analysis/pass.h"

MT_INLINE double mt_pass_seconds(uint64_t time_ns)
{
    return (double)(int64_t)time_ns * 1e-9;
}

/* For the growth of sites: from where on the trace knows all that was held. */
MT_INLINE double mt_pass_known_seconds(const struct mt_pass *p, uint64_t time_ns)
{
    return time_ns > p->horizon_ns ? mt_pass_seconds(time_ns - p->horizon_ns) : 0;
}

MT_INLINE bool mt_pass_in_window(const struct mt_pass *p, uint64_t born_ns)
{
    return born_ns >= p->window_start_ns;
}

/* The amount a site had at the current peak must be kept before it changes. */
MT_INLINE void mt_pass_rebase(struct mt_pass *p, struct mt_pass_site *s)
{
    if (s->peak_number != p->heap->peak_number) {
        s->peak_number = p->heap->peak_number;
        s->peak_bytes = s->live_bytes;
        s->peak_count = s->live_count;
        if (MT_UNLIKELY(p->scale_bits != 0)) {
            struct mt_pass_rest *rest = &p->rest[s - p->sites];
            rest->peak = rest->live;
        }
    }
}

MT_INLINE void mt_pass_add_variance(struct mt_variances *to, const struct mt_variances *v, double sign)
{
    to->bytes += sign * v->bytes;
    to->count += sign * v->count;
}

/* Adds units to site s; born_ns: time of the allocation. count is 0 when a block only grows. */
MT_INLINE void mt_pass_grow_life(struct mt_pass *p, struct mt_pass_site *s, struct mt_units units, uint64_t born_ns)
{
    mt_pass_rebase(p, s);
    s->live_bytes += units.bytes;
    s->live_count += units.count;
    s->total.bytes += units.bytes;
    s->total.count += units.count;
    if (p->window_start_ns > 0 && mt_pass_in_window(p, born_ns)) {
        s->window.bytes += units.bytes;
        s->window.count += units.count;
    }
    if (MT_UNLIKELY(p->edges != NULL)) {
        mt_pass_change_edges(p, s, born_ns, (int64_t)units.bytes, (int64_t)units.count);
    }
    double t = mt_pass_known_seconds(p, p->now_ns);
    double bytes_t = (double)units.bytes * t;
    s->area -= bytes_t;
    s->moment -= 0.5 * bytes_t * t;
    s->lifetime -= (double)units.count * mt_pass_seconds(p->now_ns);
    if (s->storage == MT_STORAGE_HEAP) {
        struct mt_run_heap *h = p->heap;
        h->current += units.bytes;
        h->current_count += units.count;
        h->rise_ns = units.bytes > 0 ? p->now_ns : h->rise_ns;
        h->timeline_max = h->current > h->timeline_max ? h->current : h->timeline_max;
    }
}

/* Something of size bytes that stands for `units` began at site s. */
MT_INLINE void mt_pass_begin_life(struct mt_pass *p, struct mt_pass_site *s, uint64_t size, struct mt_units units)
{
    mt_pass_grow_life(p, s, units, p->now_ns);
    if (s->storage == MT_STORAGE_HEAP) {
        struct mt_units *bucket = &p->histogram[mt_bucket(size)];
        bucket->bytes += units.bytes;
        bucket->count += units.count;
    }
}

/* Takes units away from site s; born_ns: time of the allocation. count is 0 while other pieces of a mapping remain. */
MT_INLINE void mt_pass_shrink_life(struct mt_pass *p, struct mt_pass_site *s, struct mt_units units, uint64_t born_ns)
{
    if (s->storage == MT_STORAGE_HEAP) {
        mt_run_heap_before_fall(p->heap);
        p->heap->current -= units.bytes;
        p->heap->current_count -= units.count;
    }
    mt_pass_rebase(p, s);
    s->live_bytes -= units.bytes;
    s->live_count -= units.count;
    if (p->window_start_ns > 0 && mt_pass_in_window(p, born_ns)) {
        s->window.bytes -= units.bytes;
        s->window.count -= units.count;
    }
    if (MT_UNLIKELY(p->edges != NULL)) {
        mt_pass_change_edges(p, s, born_ns, -(int64_t)units.bytes, -(int64_t)units.count);
    }
    double t = mt_pass_known_seconds(p, p->now_ns);
    double bytes_t = (double)units.bytes * t;
    s->area += bytes_t;
    s->moment += 0.5 * bytes_t * t;
    s->lifetime += (double)units.count * mt_pass_seconds(p->now_ns);
}

/* The allocation is over: was it temporary, how long did it live? */
MT_INLINE bool mt_pass_end_life(struct mt_pass *p, struct mt_pass_site *s, struct mt_units units, uint64_t born_ns,
                                uint32_t ordinal)
{
    uint32_t between = p->threads[s->thread].ordinal - ordinal;
    bool temporary = between <= p->options->temporary_max;
    if (temporary) {
        s->temporary.bytes += units.bytes;
        s->temporary.count += units.count;
    }
    if (s->storage == MT_STORAGE_HEAP) {
        p->lifetimes[mt_bucket(p->now_ns > born_ns ? p->now_ns - born_ns : 0)]++;
    }
    return temporary;
}

MT_INLINE struct mt_units mt_pass_exact_units(const struct mt_pass *p, uint64_t bytes)
{
    return (struct mt_units){ bytes << p->scale_bits, (uint64_t)1 << p->scale_bits };
}

#endif
