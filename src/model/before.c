/* before.c: what a trace with a horizon knows of the time before it (trace.md section 2, BEFORE, SITE and POINT). Context: [tool]. */
#include "model/trace_private.h"
#include "util/memory.h"
#include "wire/records.h"

#include <math.h>
#include <string.h>

const struct mt_trace_before *mt_trace_before(const struct mt_trace *trace)
{
    return trace->has_before && mt_reader_header(trace->reader)->horizon_clock != 0 ? &trace->before : NULL;
}

bool mt_trace_load_before(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_record_before r;
    if (!mt_record_get_before(b, &r)) {
        return false;
    }
    t->has_before = true;
    t->before = (struct mt_trace_before){ .peak_clock = r.peak_clock, .peak_units = r.peak_units };
    return true;
}

static double variance_of(uint32_t bits)
{
    float variance;
    memcpy(&variance, &bits, sizeof variance);
    return isfinite(variance) ? (double)variance : 0;
}

bool mt_trace_load_site(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_record_site r;
    if (!mt_record_get_site(b, &r) || r.stack >= t->stack_count) {
        return false;
    }
    t->sites = mt_alloc_grow(t->sites, &t->site_capacity, t->before.site_count + 1, sizeof *t->sites);
    t->sites[t->before.site_count++] = (struct mt_trace_site){
        .stack = r.stack,
        .stream = r.stream,
        .label = r.label,
        .allocator = r.allocator < MT_ALLOCATOR__COUNT ? (uint8_t)r.allocator : (uint8_t)MT_ALLOCATOR_UNKNOWN,
        .rate_bytes = r.rate_bytes,
        .total = { r.total_bytes, r.total_count, variance_of(r.total_bytes_variance), variance_of(r.total_count_variance) },
        .peak = { r.peak_bytes, r.peak_count, variance_of(r.peak_bytes_variance), variance_of(r.peak_count_variance) },
    };
    t->before.sites = t->sites;
    return true;
}

bool mt_trace_load_point(struct mt_trace *t, struct mt_bytes *b)
{
    struct mt_record_point r;
    size_t count = t->before.point_count;
    if (!mt_record_get_point(b, &r) || (count > 0 && r.clock < t->points[count - 1].clock)) {
        return false;
    }
    t->points = mt_alloc_grow(t->points, &t->point_capacity, count + 1, sizeof *t->points);
    t->points[count] = (struct mt_trace_point){ r.clock, r.held_bytes, r.most_bytes, r.held_count };
    t->before.points = t->points;
    t->before.point_count = count + 1;
    return true;
}
