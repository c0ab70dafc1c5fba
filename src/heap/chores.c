/* chores.c: see chores.h. */
#include "heap/chores.h"

#include "base/tick.h"
#include "heap/footprint.h"
#include "heap/left_out.h"
#include "heap/snapshot.h"
#include "heap/state.h"
#include "heap/touch.h"

void mt_chores_do(uint64_t clock)
{
    const volatile uint64_t *page = g_mt.config.tick;
    if (page != NULL && page[MT_TICK_STOP] != 0) {
        mt_engine_stop(MT_STATE_STOPPED);
        return;
    }
    mt_left_out_look(false);
    mt_snapshot_look(clock);
    mt_touch_ticked(clock);
    mt_footprint_sample(clock, false);
}
