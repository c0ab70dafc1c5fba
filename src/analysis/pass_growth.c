/* pass_growth.c: reallocs of sampled blocks, where a trace samples what a block grew by.
 *
 * A block stands for size / p and 1 / p blocks of the size it has now. "Allocated in total" are the sizes of new blocks and what
 * blocks grew by: a realloc is no allocation and no deallocation, and what a sample adds to the total by growing is the
 * difference of what it stands for. In sum over the life of a block that is what it stood for at its largest, and so is the
 * variance. Context: [tool].
 */
#include "analysis/pass_life.h"

static struct mt_pass_thread *thread_of(struct mt_pass *p, const struct mt_event *e)
{
    uint32_t thread = mt_pass_thread(p, e->stream); /* may move p->threads */
    return &p->threads[thread];
}

void mt_pass_shrink_variances(struct mt_pass *p, struct mt_pass_site *s, const struct mt_unit_weight *w,
                              bool temporary, uint64_t born_ns)
{
    struct mt_pass_rest *rest = &p->rest[s - p->sites];
    mt_pass_add_variance(&rest->live, &w->variance, -1);
    if (s->live_count == 0) {
        rest->live = (struct mt_variances){ 0 }; /* rounding does not outlive the last sample */
    }
    mt_pass_vary_edges(p, s, born_ns, -w->variance.bytes);
    if (mt_pass_in_window(p, born_ns)) {
        mt_pass_add_variance(&rest->window, &w->variance, -1);
    }
    if (temporary) {
        mt_pass_add_variance(&rest->temporary, &w->variance, 1);
    }
}

void mt_pass_change_size(struct mt_pass *p, const struct mt_event *e, const struct mt_live *entry, const struct mt_unit_weight *w)
{
    struct mt_pass_site *s = &p->sites[entry->site];
    mt_pass_shrink_life(p, s, w->units, entry->clock);
    mt_pass_shrink_variances(p, s, w, false, entry->clock);
    struct mt_pass_thread *thread = thread_of(p, e);
    thread->grows = (e->flags & MT_EVENT_GOES_ON) != 0;
    thread->grown_units = w->units;
    thread->grown_variance = w->variance;
}

void mt_pass_count_growth(struct mt_pass *p, const struct mt_event *e, struct mt_pass_site *s, const struct mt_unit_weight *w)
{
    struct mt_pass_thread *thread = thread_of(p, e);
    struct mt_units before = thread->grows ? thread->grown_units : (struct mt_units){ 0 };
    struct mt_variances sure = { .bytes = thread->grows ? thread->grown_variance.bytes : 0, .count = w->variance.count };
    uint64_t known = before.bytes < w->units.bytes ? before.bytes : w->units.bytes;
    struct mt_units *bucket = &p->histogram[mt_bucket(e->size)];
    thread->grows = false;
    s->total.bytes -= known;
    s->total.count -= w->units.count;
    bucket->bytes -= known;
    bucket->count -= w->units.count;
    mt_pass_add_variance(&p->rest[s - p->sites].total, &sure, -1);
    mt_pass_add_variance(&p->histogram_variance[mt_bucket(e->size)], &sure, -1);
}
