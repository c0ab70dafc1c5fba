/* clock.c: the hybrid logical clock of events (docs/formats/trace.md 4) and what is due on its ticks.
 *
 * Pairing C1: a thread that frees an address raises its region's clock before the real free; the thread that gets the
 * address next reads the region after its real malloc. The allocator's own synchronisation lies between, so a relaxed
 * compare-and-swap maximum is enough.
 */
#include "heap/footprint.h"
#include "heap/thread.h"
#include "heap/touch.h"

enum { RSS_INTERVAL_NS = 50 * 1000 * 1000 };

struct mt_region_clock g_mt_regions[MT_REGION_CLOCKS];

uint64_t mt_clock_region(uint64_t clock, uint64_t addr)
{
    uint64_t *shared = &g_mt_regions[(addr >> MT_REGION_SHIFT) % MT_REGION_CLOCKS].clock;
    uint64_t seen = mt_load_relaxed(shared);
    do {
        if (clock <= seen) {
            clock = seen + 1;
        }
    } while (!__atomic_compare_exchange_n(shared, &seen, clock, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return clock;
}

void mt_clock_ticked(uint64_t clock)
{
    uint64_t due = mt_load_relaxed(&g_mt.next_rss_clock);
    if (clock < due || !mt_cas_acq_rel(&g_mt.next_rss_clock, &due, clock + RSS_INTERVAL_NS)) {
        return; /* another thread takes this one */
    }
    if (g_mt.tick != NULL && g_mt.tick[MT_TICK_STOP] != 0) {
        mt_engine_stop(MT_STATE_STOPPED);
        return;
    }
    mt_touch_ticked(clock);
    mt_footprint_sample(clock, false);
}
