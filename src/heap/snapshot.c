/* snapshot.c: see snapshot.h. */
#include "heap/snapshot.h"

#include "base/tick.h"
#include "heap/marks.h"

static uint64_t g_answered; /* shared: requests on the clock page that have their mark */
static uint32_t g_pending;  /* shared: a signal came in the middle of something */

static uint64_t asked_for(void)
{
    const volatile uint64_t *page = g_mt.config.tick;
    return page != NULL ? page[MT_TICK_SNAPSHOTS] : 0;
}

void mt_snapshot_begin(void)
{
    mt_store_relaxed(&g_answered, asked_for());
    mt_store_relaxed(&g_pending, 0u);
}

static bool take_request(uint64_t asked)
{
    uint64_t answered = mt_load_relaxed(&g_answered);
    return asked != answered && mt_cas_acq_rel(&g_answered, &answered, asked);
}

static bool take_pending(void)
{
    uint32_t pending = mt_load_relaxed(&g_pending);
    return pending != 0 && mt_cas_acq_rel(&g_pending, &pending, 0u);
}

void mt_snapshot_look(uint64_t clock)
{
    uint64_t asked = asked_for();
    if (take_request(asked)) {
        mt_marks_leave_before(clock, MT_MARK_SNAPSHOT, asked);
    }
    if (take_pending()) {
        mt_marks_leave_before(clock, MT_MARK_SNAPSHOT, 0);
    }
}

void mt_engine_snapshot(void)
{
    if (!mt_marks_are_kept()) {
        return;
    }
    if (t_mt.depth != 0 || (t_mt.state & MT_THREAD_HAS_BLOCK) == 0) {
        mt_store_relaxed(&g_pending, 1u);
        return;
    }
    mt_engine_enter();
    mt_marks_leave(MT_MARK_SNAPSHOT, 0, "", 0);
    mt_engine_leave();
}

void mt_engine_snapshot_now(void)
{
    if (mt_marks_are_kept()) {
        mt_marks_leave(MT_MARK_SNAPSHOT, 0, "", 0);
    }
}
