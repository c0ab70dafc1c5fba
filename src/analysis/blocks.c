/* blocks.c: see blocks.h. Context: [tool]. */
#include "analysis/blocks.h"

#include "analysis/pass.h"

enum { BATCH_EVENTS = 1024, EVENTS_A_QUESTION = 64 * BATCH_EVENTS };

struct telling {
    struct mt_pass *pass;
    const struct mt_blocks_visit *visit;
};

static struct mt_block block_of_site(const struct mt_pass *p, uint32_t site)
{
    const struct mt_pass_site *s = &p->sites[site];
    return (struct mt_block){ .stack = s->stack,
                              .label = s->label,
                              .stream = p->threads[s->thread].stream,
                              .allocator = s->allocator };
}

static void tell_block(const struct telling *t, const struct mt_live *entry)
{
    struct mt_pass *p = t->pass;
    const struct mt_pass_site *s = &p->sites[entry->site];
    struct mt_block block = block_of_site(p, entry->site);
    block.addr = entry->addr;
    block.size = entry->size;
    block.born_ns = entry->clock;
    block.bytes = (double)entry->size;
    block.count = 1;
    if (p->scale_bits != 0 && p->rates[s->rate] != 0) {
        struct mt_unit_weight again;
        const struct mt_unit_weight *w = p->resized.count == 0 ? mt_pass_weight(p, entry->size, p->rates[s->rate])
                                                               : mt_pass_resized_weight(p, entry, false, &again);
        block.bytes = (double)w->units.bytes / (double)(1u << p->scale_bits);
        block.count = (double)w->units.count / (double)(1u << p->scale_bits);
    }
    t->visit->each(t->visit->context, &block);
}

static void tell_mapping(void *context, const struct mt_mapping *m)
{
    const struct telling *t = context;
    if (t->pass->sites[m->site].storage != MT_STORAGE_HEAP) {
        return;
    }
    struct mt_block block = block_of_site(t->pass, m->site);
    block.addr = UINT64_MAX;
    block.size = m->mapped;
    block.born_ns = m->clock;
    block.bytes = (double)m->mapped;
    block.count = 1;
    t->visit->each(t->visit->context, &block);
}

static void tell_all(struct mt_pass *p, const struct mt_blocks_visit *visit)
{
    struct telling telling = { p, visit };
    const struct mt_liveset *blocks = &p->alive.blocks;
    for (size_t i = 0; i <= blocks->mask; i++) {
        if (blocks->entries[i].addr != 0) {
            tell_block(&telling, &blocks->entries[i]);
        }
    }
    mt_ranges_each(&p->ranges, tell_mapping, &telling);
}

static mt_status replay(struct mt_pass *p, struct mt_cursor *cursor, const struct mt_blocks_visit *visit)
{
    struct mt_event batch[BATCH_EVENTS];
    size_t count, unasked = 0;
    while ((count = mt_cursor_next(cursor, batch, BATCH_EVENTS)) > 0) {
        mt_pass_apply(p, batch, count);
        unasked += count;
        if (unasked >= EVENTS_A_QUESTION && visit->interrupted != NULL && visit->interrupted(visit->context)) {
            return MT_E_INTERRUPTED;
        }
        unasked %= EVENTS_A_QUESTION;
    }
    return mt_cursor_status(cursor);
}

mt_status mt_blocks_alive(const struct mt_trace *trace, const struct mt_span *span, uint64_t stop_clock,
                          const struct mt_blocks_visit *visit)
{
    static const struct mt_analysis_options options = { .stop_ns = UINT64_MAX, .temporary_max = 1 };
    struct mt_cursor *cursor;
    struct mt_run_heap heap;
    struct mt_pass pass;
    if ((mt_trace_info(trace)->flags & MT_TRACE_AGGREGATE) != 0) {
        return MT_E_UNSUPPORTED;
    }
    mt_status status = mt_cursor_new(trace, stop_clock, &cursor);
    if (status != MT_OK) {
        return status;
    }
    mt_run_heap_init(&heap, mt_pass_is_sampled(trace) ? MT_WEIGHT_SCALE_BITS : 0, NULL, 0, 0);
    mt_pass_init(&pass, trace, &options, &heap, span);
    status = replay(&pass, cursor, visit);
    if (status == MT_OK) {
        tell_all(&pass, visit);
    }
    if (visit->losses != NULL) {
        *visit->losses = *mt_cursor_losses(cursor);
    }
    mt_pass_fini(&pass);
    mt_cursor_free(cursor);
    return status;
}
