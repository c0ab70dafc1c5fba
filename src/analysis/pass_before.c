/* pass_before.c: what a trace with a horizon knows of the time before it.
 *
 * Its base has a row a site: what was allocated there in total, and what was alive there when most was (model/trace.h). They begin the
 * pass. What was still alive at the horizon comes once more as events, for its place and age: in the totals it is already, so these
 * begin anew when the horizon is passed. Meanwhile the heap rises to what was alive at the
 * horizon, which was no more than the peak. Context: [tool].
 */
#include "analysis/pass_life.h"

static struct mt_variances variances_of(const struct mt_trace_sum *sum)
{
    return (struct mt_variances){ sum->bytes_variance, sum->count_variance };
}

static struct mt_pass_site *site_of(struct mt_pass *p, const struct mt_trace_site *from)
{
    const struct mt_event of = { .stack = from->stack, .stream = from->stream, .label = from->label };
    return mt_pass_site(p, &of, from->allocator, MT_STORAGE_HEAP, from->rate_bytes);
}

static void add_total(struct mt_pass *p, const struct mt_trace_site *from)
{
    struct mt_pass_site *s = site_of(p, from);
    const struct mt_variances variances = variances_of(&from->total);
    s->total.bytes += from->total.bytes;
    s->total.count += from->total.count;
    mt_pass_add_variance(&p->rest[s - p->sites].total, &variances, 1);
}

static void add_peak(struct mt_pass *p, const struct mt_trace_site *from)
{
    struct mt_pass_site *s = site_of(p, from);
    const struct mt_variances variances = variances_of(&from->peak);
    s->peak_bytes += from->peak.bytes;
    s->peak_count += from->peak.count;
    s->peak_number = p->heap->peak_number;
    mt_pass_add_variance(&p->rest[s - p->sites].peak, &variances, 1);
}

void mt_pass_begin_before(struct mt_pass *p)
{
    const struct mt_trace_before *before = mt_trace_before(p->trace);
    if (before == NULL || p->scale_bits != MT_WEIGHT_SCALE_BITS || p->options->only_tid != 0) {
        return;
    }
    p->base_clock = mt_trace_info(p->trace)->horizon_clock;
    if (p->heap->alone) {
        p->heap->peak = before->peak_units;
        p->heap->peak_ns = mt_span_time(&p->span, before->peak_clock);
        p->heap->peak_number++;
    }
    for (size_t i = 0; i < before->site_count; i++) {
        add_total(p, &before->sites[i]);
        if (p->heap->alone) {
            add_peak(p, &before->sites[i]);
        }
    }
}

void mt_pass_forget_repeated(struct mt_pass *p)
{
    const struct mt_trace_before *before = mt_trace_before(p->trace);
    for (size_t i = 0; i < p->site_count; i++) {
        p->sites[i].total = (struct mt_units){ 0 };
        p->rest[i].total = (struct mt_variances){ 0 };
    }
    for (size_t i = 0; i < before->site_count; i++) {
        add_total(p, &before->sites[i]);
    }
}
