/* tsc.c: see tsc.h. Sources: Intel SDM 17.17, AMD APM 13.2.4 (invariant TSC: CPUID 8000_0007h EDX bit 8); prctl(2). */
#include "base/tsc.h"

#include "base/atomic.h"
#include "base/os.h"

#include <cpuid.h>
#include <string.h>

enum { TRIES = 8, SOURCE_BYTES = 32 };
#define CLOCK_SOURCE "/sys/devices/system/clocksource/clocksource0/current_clocksource"

static bool rate_is_invariant(void)
{
    enum { POWER_LEAF = 0x80000007, INVARIANT = 1 << 8 };
    uint32_t a, b, c, d;
    return __get_cpuid(POWER_LEAF, &a, &b, &c, &d) == 1 && (d & INVARIANT) != 0;
}

static bool kernel_keeps_time_by_it(void)
{
    char source[SOURCE_BYTES];
    size_t bytes = 0;
    int fd = -1;
    if (mt_os_open(CLOCK_SOURCE, MT_OPEN_READ, &fd) != MT_OK) {
        return false;
    }
    mt_status status = mt_os_read(fd, source, sizeof source, &bytes);
    mt_os_close(fd);
    return status == MT_OK && bytes == 4 && memcmp(source, "tsc\n", 4) == 0;
}

bool mt_tsc_is_a_clock(void)
{
    return rate_is_invariant() && kernel_keeps_time_by_it();
}

struct mt_tsc_moment mt_tsc_now(void)
{
    struct mt_tsc_moment best = { 0 };
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < TRIES; i++) {
        uint64_t before = mt_tsc_read();
        uint64_t ns = mt_os_monotonic_ns();
        uint64_t width = mt_tsc_read() - before;
        if (width < least) {
            least = width;
            best = (struct mt_tsc_moment){ .ticks = before + width / 2, .ns = ns };
        }
    }
    return best;
}

struct mt_tsc_line mt_tsc_line_since(const struct mt_tsc_moment *first)
{
    while (mt_os_monotonic_ns() - first->ns < MT_TSC_BASE_NS) {
        mt_cpu_relax();
    }
    struct mt_tsc_moment now = mt_tsc_now();
    unsigned __int128 ns = (unsigned __int128)(now.ns - first->ns) << 32;
    return (struct mt_tsc_line){ .origin = now, .scale = (uint64_t)(ns / (now.ticks - first->ticks)) };
}
