/* clock.c: the hybrid logical clock of events (docs/formats/trace.md 4) and the RSS samples taken on its ticks.
 *
 * Pairing C1: a thread that frees an address raises its region's clock before the real free; the thread that gets the
 * address next reads the region after its real malloc. The allocator's own synchronisation lies between, so a relaxed
 * compare-and-swap maximum is enough.
 */
#include "heap/meta.h"
#include "heap/thread.h"
#include "heap/touch.h"

enum { RSS_INTERVAL_NS = 50 * 1000 * 1000, STATM_BYTES = 128 };

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

/* Second field of /proc/self/statm, in pages; 0 when unreadable. */
static uint64_t resident_pages(void)
{
    int fd = -1;
    char text[STATM_BYTES];
    size_t bytes = 0;
    if (mt_os_open("/proc/self/statm", MT_OPEN_READ, &fd) != MT_OK) {
        return 0;
    }
    mt_status status = mt_os_read(fd, text, sizeof text - 1, &bytes);
    mt_os_close(fd);
    if (status != MT_OK) {
        return 0;
    }
    size_t at = 0;
    while (at < bytes && text[at] != ' ') {
        at++;
    }
    uint64_t pages = 0;
    for (at++; at < bytes && text[at] >= '0' && text[at] <= '9'; at++) {
        pages = pages * 10 + (uint64_t)(text[at] - '0');
    }
    return pages;
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
    uint64_t bytes = resident_pages() * mt_os_page_bytes();
    if (bytes == 0 || !mt_meta_lock()) {
        return;
    }
    struct mt_meta_builder *record = mt_meta_new_locked();
    mt_meta_u64(record, clock);
    mt_meta_u64(record, bytes);
    if (mt_meta_append_locked(MT_META_RSS, record) && bytes > g_mt.header->rss_peak_bytes) {
        g_mt.header->rss_peak_bytes = bytes;
    }
    mt_meta_unlock();
}
