/* pass_resize.c: blocks that change their size where they are.
 *
 * A sampled block stands for as many blocks as when it was sampled, all of the size it has now: the size it was sampled with
 * is kept beside the live set, of those few blocks only. Context: [tool].
 */
#include "analysis/pass_life.h"

/* Remembers the size a sampled block was sampled with, before the first change of it. */
static void note_size(struct mt_pass *p, const struct mt_live *entry)
{
    if (p->resized.entries == NULL) {
        mt_liveset_init(&p->resized);
    }
    struct mt_live *origin = mt_liveset_place(&p->resized, entry->addr);
    if (origin->addr == 0) {
        *origin = *entry;
    }
}

const struct mt_unit_weight *mt_pass_resized_weight(struct mt_pass *p, const struct mt_live *entry, bool over,
                                                    struct mt_unit_weight *ret)
{
    struct mt_live *origin = mt_liveset_find(&p->resized, entry->addr);
    uint64_t rate_bytes = p->rates[p->sites[entry->site].rate];
    *ret = *mt_pass_weight(p, origin != NULL ? origin->size : entry->size, rate_bytes);
    if (origin != NULL) {
        double size = (double)entry->size;
        double bytes = size * mt_weight_of(origin->size, rate_bytes).count;
        ret->units.bytes = mt_weight_units(bytes, p->scale_bits);
        ret->variance.bytes = size * size * ret->variance.count;
        if (over) {
            mt_liveset_remove(&p->resized, origin);
        }
    }
    return ret;
}

static void resize_variances(struct mt_pass *p, struct mt_pass_site *s, double bytes, uint64_t born_ns)
{
    struct mt_pass_rest *rest = &p->rest[s - p->sites];
    const struct mt_variances change = { .bytes = bytes };
    mt_pass_add_variance(&rest->live, &change, 1);
    mt_pass_vary_edges(p, s, born_ns, bytes);
    if (mt_pass_in_window(p, born_ns)) {
        mt_pass_add_variance(&rest->window, &change, 1);
    }
    if (bytes > 0) {
        mt_pass_add_variance(&rest->total, &change, 1);
    }
}

void mt_pass_resize(struct mt_pass *p, const struct mt_live *was, const struct mt_live *entry)
{
    struct mt_pass_site *s = &p->sites[entry->site];
    struct mt_unit_weight before, after;
    bool sampled = p->scale_bits != 0 && p->rates[s->rate] != 0;
    if (sampled) {
        note_size(p, was);
        (void)mt_pass_resized_weight(p, was, false, &before);
        (void)mt_pass_resized_weight(p, entry, false, &after);
    } else {
        before.units = mt_pass_exact_units(p, was->size);
        after.units = mt_pass_exact_units(p, entry->size);
    }
    if (after.units.bytes >= before.units.bytes) {
        mt_pass_grow_life(p, s, (struct mt_units){ .bytes = after.units.bytes - before.units.bytes }, entry->clock);
    } else {
        mt_pass_shrink_life(p, s, (struct mt_units){ .bytes = before.units.bytes - after.units.bytes }, entry->clock);
    }
    if (sampled) {
        resize_variances(p, s, after.variance.bytes - before.variance.bytes, entry->clock);
    }
}
