/* pass_moment.c: what a process held at a moment of its life, kept while the pass goes on. Context: [tool].
 *
 * Everything else a pass counts is of the whole process: it must not end where a program's code does. So amounts of LIVE and
 * WINDOW, and ages, are copied at the moment; places that come later held nothing then.
 */
#include "analysis/pass_life.h"

#include "util/memory.h"

#include <stdlib.h>

/* An embedding program that holds more than this of what it allocated after it had ended Python went on: it had not ended. */
enum { WENT_ON_BYTES = 64 * 1024 };

void mt_pass_hold(struct mt_pass *p, uint64_t time_ns)
{
    free(p->held);
    p->held = mt_alloc((p->site_count + 1) * sizeof *p->held);
    p->held_count = p->site_count;
    p->held_ns = time_ns;
    uint64_t *oldest_ns = mt_alloc((p->site_count + 1) * sizeof *oldest_ns);
    mt_pass_ages(p, oldest_ns);
    for (size_t i = 0; i < p->site_count; i++) {
        const struct mt_pass_site *s = &p->sites[i];
        const struct mt_pass_rest *rest = &p->rest[i];
        p->held[i] = (struct mt_held){ .live = { s->live_bytes, s->live_count },
                                       .window = s->window,
                                       .live_variances = rest->live,
                                       .window_variances = rest->window,
                                       .oldest_ns = oldest_ns[i],
                                       .area = s->area + (double)s->live_bytes * mt_pass_known_seconds(p, time_ns) };
    }
    free(oldest_ns);
}

void mt_pass_hold_unless_it_went_on(struct mt_pass *p)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i <= p->alive.blocks.mask; i++) {
        const struct mt_live *entry = &p->alive.blocks.entries[i];
        bytes += entry->addr != 0 && entry->clock > p->held_ns ? entry->size : 0;
    }
    if (bytes > WENT_ON_BYTES) {
        free(p->held);
        p->held = NULL;
    }
}

struct mt_held mt_pass_held(const struct mt_pass *p, size_t site, uint64_t oldest_ns)
{
    if (p->held == NULL) {
        const struct mt_pass_site *s = &p->sites[site];
        const struct mt_pass_rest *rest = &p->rest[site];
        return (struct mt_held){ { s->live_bytes, s->live_count }, s->window, rest->live, rest->window, oldest_ns, s->area };
    }
    return site < p->held_count ? p->held[site] : (struct mt_held){ .oldest_ns = UINT64_MAX };
}
