/* totals_time.c: how much was held when, since the trace began: the timeline of before a horizon (totals.h).
 *
 * An interval ends with the first change after it, as in the reader's (analysis/run_heap.c): held at its end, and at most in it. When all
 * places are taken two intervals become one and all that follow are twice as long, so that there are always between half and all of them.
 */
#include "heap/totals_private.h"

enum { FIRST_STEP_NS = 1 << 20 };

void mt_totals_begin_time(struct mt_totals_state *s, uint64_t clock)
{
    s->point_count = 0;
    s->step_ns = FIRST_STEP_NS;
    s->due_clock = clock + FIRST_STEP_NS;
    s->most = 0;
}

static struct mt_totals_point present(const struct mt_totals_state *s, uint64_t clock)
{
    return (struct mt_totals_point){ clock, s->current, s->most, s->current_count };
}

static struct mt_totals_point joined(const struct mt_totals_point *points, size_t count)
{
    struct mt_totals_point all = points[count - 1];
    for (size_t i = 0; i < count; i++) {
        all.most = points[i].most > all.most ? points[i].most : all.most;
    }
    return all;
}

static void join_pairs(struct mt_totals_state *s)
{
    for (size_t i = 0; i < MT_TOTALS_POINTS / 2; i++) {
        s->points[i] = joined(&s->points[2 * i], 2);
    }
    s->point_count = MT_TOTALS_POINTS / 2;
    s->step_ns *= 2;
}

void mt_totals_pass_time_locked(struct mt_totals_state *s, uint64_t clock)
{
    while (clock > s->due_clock) {
        s->points[s->point_count++] = present(s, s->due_clock);
        s->most = s->current;
        if (s->point_count == MT_TOTALS_POINTS) {
            join_pairs(s);
        }
        s->due_clock += s->step_ns;
    }
}

size_t mt_totals_copy_points_locked(struct mt_totals_state *s, struct mt_totals_point *to, size_t most, uint64_t horizon)
{
    mt_totals_pass_time_locked(s, horizon);
    size_t count = s->point_count, parts = count / most + 1, copied = 0;
    for (size_t from = 0; from < count; from += parts) {
        to[copied++] = joined(&s->points[from], from + parts < count ? parts : count - from);
    }
    to[copied++] = present(s, horizon);
    return copied;
}
