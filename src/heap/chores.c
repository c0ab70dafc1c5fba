/* chores.c: see chores.h. */
#include "heap/chores.h"

#include "base/tick.h"
#include "heap/budget.h"
#include "heap/cost.h"
#include "heap/footprint.h"
#include "heap/left_out.h"
#include "heap/snapshot.h"
#include "heap/state.h"
#include "heap/touch.h"

static uint64_t g_chores_ns; /* processor time they took; writer: whoever does them */
static struct mt_budget g_budget; /* writers: whoever does the chores; parts: [agent] before anything is recorded */

void mt_chores_begin(const struct mt_engine_config *config)
{
    g_chores_ns = 0;
    mt_budget_begin(&g_budget, config->mode == MT_MODE_SAMPLE ? config->budget_parts : 0, config->rate_bytes);
}

/* Not while sampling is paused: who did that decides when it goes on. */
static void keep_budget(void)
{
    uint64_t rate = mt_engine_rate();
    if (g_budget.parts == 0 || rate == 0 || mt_mode() != MT_MODE_SAMPLE) {
        return;
    }
    struct mt_budget_look now = mt_cost_look();
    now.own_ns -= g_chores_ns; /* they are done as often at any rate */
    now.passing_ns += g_chores_ns;
    uint64_t wanted = mt_budget_decide(&g_budget, &now, rate);
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
    g_chores_ns += mt_engine_work_ends(from_ns);
    keep_budget();
}
