/* chores.c: see chores.h. */
#include "heap/chores.h"

#include "base/atomic.h"
#include "base/fpu.h"
#include "base/tick.h"
#include "heap/budget.h"
#include "heap/cost.h"
#include "heap/footprint.h"
#include "heap/left_out.h"
#include "heap/snapshot.h"
#include "heap/state.h"
#include "heap/touch.h"

static uint64_t g_chores_ns; /* shared, relaxed: processor time they took */
static uint32_t g_deciding;  /* pairing: release when done -> acquire by who is next; guards g_budget */
static struct mt_budget g_budget; /* parts: [agent] before anything is recorded */

void mt_chores_begin(const struct mt_engine_config *config)
{
    mt_store_relaxed(&g_chores_ns, (uint64_t)0);
    mt_store_relaxed(&g_deciding, 0u); /* a fork child: whoever decided in the parent is not here */
    mt_budget_begin(&g_budget, config->mode == MT_MODE_SAMPLE ? config->budget_parts : 0, config->rate_bytes);
}

/* Not while sampling is paused: who did that decides when it goes on. */
static void keep_budget(void)
{
    uint64_t rate = mt_engine_rate();
    if (g_budget.parts == 0 || rate == 0 || mt_mode() != MT_MODE_SAMPLE) {
        return;
    }
    if (mt_exchange_acq_rel(&g_deciding, 1u) != 0) { /* somebody is slow */
        return;
    }
    uint64_t chores_ns = mt_load_relaxed(&g_chores_ns);
    struct mt_budget_look now = mt_cost_look();
    now.own_ns -= chores_ns; /* they are done as often at any rate */
    now.passing_ns += chores_ns;
    uint32_t program = mt_fpu_enter();
    uint64_t wanted = mt_budget_decide(&g_budget, &now, rate);
    mt_fpu_leave(program);
    mt_store_release(&g_deciding, 0u);
    if (wanted != rate) {
        (void)(mt_engine_set_rate(wanted) == MT_OK);
    }
}

void mt_chores_do(uint64_t clock)
{
    const volatile uint64_t *page = g_mt.config.tick;
    if (page != NULL && page[MT_TICK_STOP] != 0) {
        mt_engine_stop(MT_STATE_STOPPED);
        return;
    }
    uint64_t from_ns = mt_engine_work_begins();
    mt_left_out_look(false);
    mt_snapshot_look(clock);
    mt_touch_ticked(clock);
    mt_footprint_sample(clock, false);
    (void)mt_fetch_add_relaxed(&g_chores_ns, mt_engine_work_ends(from_ns));
    keep_budget();
}
