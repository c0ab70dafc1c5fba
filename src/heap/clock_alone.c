/* clock_alone.c: phases in which one thread of several is the only one to record, and counts as it would without the others.
 *
 * An ordered reading of the time stamp counter costs an event as much as all the rest of it when stacks are short, and in most
 * programs with threads one works while the others wait. Such a phase ends by itself, without a barrier:
 *
 *     another thread                          the one alone
 *     alone = NULL                            (acquires what the other one released)
 *     reads the time, records                 alone == self ?  no: reads the time
 *     releases                                                 yes: counts on from the tick
 *
 * What the other one did is before this event only if it was released and acquired in between, and then alone = NULL is seen.
 * The other way round, a count never runs ahead of the time (an event takes longer than the ns it counts, and a tick has passed
 * when it is read), so that a reading after it is larger.
 *
 * It begins with one: another thread may have looked at alone just before, and is about to read the time. As in pairing R1,
 * alone = self comes first, then a barrier in all threads, then a look at everybody's recording section: whoever is in none will
 * see alone, and what was recorded before is before the reading of the time that comes next.
 * Begun when a thread has noted twice, a tick apart, that it records, and no other thread between. Not where other processes
 * are to be in order with this one: they do not see alone.
 * Contexts: [hook] in a recording section; allow, forbid: [agent].
 */
#include "base/os.h"
#include "heap/clock.h"

void mt_clock_allow_alone(void)
{
    if (mt_load_relaxed(&g_mt_clock.order) == MT_ORDER_TSC && !mt_load_relaxed(&g_mt_clock.is_shared)) {
        mt_store_relaxed(&g_mt_clock.may_be_alone, mt_os_prepare_barrier());
    }
}

void mt_clock_forbid_alone(void)
{
    mt_store_relaxed(&g_mt_clock.is_shared, true);
    mt_store_release(&g_mt_clock.may_be_alone, false);
    if (mt_load_relaxed(&g_mt_clock.order) != MT_ORDER_NONE) {
        mt_store_release(&g_mt_clock.alone, NULL);
    }
}

/* False: somebody else may be stamping an event, or everything has changed meanwhile. */
static bool is_alone(const struct mt_thread *t)
{
    return mt_os_try_barrier() && !mt_thread_others_record(t) && mt_load_acquire(&g_mt_clock.may_be_alone) &&
           mt_load_acquire(&g_mt_clock.order) == MT_ORDER_TSC;
}

uint64_t mt_clock_note(struct mt_thread *t, uint64_t clock)
{
    t->noted_clock = clock;
    if (!mt_load_relaxed(&g_mt_clock.may_be_alone) || t == g_mt.orphan) {
        return clock;
    }
    if (mt_load_relaxed(&g_mt_clock.noted) != t) {
        mt_store_relaxed(&g_mt_clock.noted, t);
        return clock;
    }
    mt_store_release(&g_mt_clock.alone, t);
    if (!is_alone(t)) {
        mt_store_release(&g_mt_clock.alone, NULL);
        return clock;
    }
    mt_engine_count(MT_COUNTER_TIMES_ALONE, 1);
    uint64_t now = mt_clock_ordered_time();
    t->patience = 0;
    return now > clock ? now : clock;
}
