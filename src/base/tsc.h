/* tsc.h: the processor's time stamp counter as a clock.
 *
 * Decides: how the counter is read so that the value is in order with what the threads tell each other, and how it becomes
 * nanoseconds of CLOCK_MONOTONIC. A plain rdtsc may run ahead of the load by which this thread learnt that another one is
 * done; one of ten spin handovers then looks as if it went backwards. The fence before it waits for all earlier loads; later
 * stores become visible after it has retired, as stores do. So of two stamps, one made before an event that the other was
 * made after, the first is smaller, wherever the two threads ran: the kernel vouches for that when the counter is its own
 * clock. The price: 15 to 18 ns.
 * Context: any, async-signal safe, unless said otherwise.
 */
#ifndef MT_BASE_TSC_H
#define MT_BASE_TSC_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* One moment on both clocks. */
struct mt_tsc_moment {
    uint64_t ticks;
    uint64_t ns;
};

/* Nanoseconds are a straight line over ticks: ns of the origin and 2^-32 ns a tick from there on. scale 0: no line. */
struct mt_tsc_line {
    struct mt_tsc_moment origin;
    uint64_t scale;
};

MT_INLINE uint64_t mt_tsc_read(void)
{
    uint64_t low, high;
    __asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (high << 32) + low;
}

/* ns after the origin. That is (ticks * scale) >> 32; multiplied by 2^4 and 2^28 more, it is the upper half of the product, which
 * the processor gives for nothing where a shift of both halves takes it three more cycles. past: below 2^60 ticks. */
MT_INLINE uint64_t mt_tsc_ticks_to_ns(uint64_t past, uint64_t scale)
{
    return (uint64_t)(((unsigned __int128)(past << 4) * (scale << 28)) >> 64);
}

/* Rises with ticks; ticks must not be before the origin. */
MT_INLINE uint64_t mt_tsc_to_ns(const struct mt_tsc_line *line, uint64_t ticks)
{
    return line->origin.ns + mt_tsc_ticks_to_ns(ticks - line->origin.ticks, line->scale);
}

/* Is the counter a clock: does it run at one rate in all states of the processor, and does the kernel keep its own time by
 * it, so that it is the same on every processor? Opens a file of /sys. Context: [agent], [tool]. */
bool mt_tsc_is_a_clock(void);
/* The counter and CLOCK_MONOTONIC at one moment, to about 20 ns. Reads the counter (mt_os_tsc_is_allowed). */
struct mt_tsc_moment mt_tsc_now(void);
enum { MT_TSC_BASE_NS = 1000 * 1000 };
/* The line through two moments; if less than MT_TSC_BASE_NS has passed since first, spins until it has: an error of 20 ns
 * then makes one of 20 ms in a quarter of an hour. */
struct mt_tsc_line mt_tsc_line_since(const struct mt_tsc_moment *first);

#endif
