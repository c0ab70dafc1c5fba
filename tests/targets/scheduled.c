/* scheduled.c: what the tests of times record: one thread that allocates at a steady pace for some ticks of the clock.
 *
 * Usage: scheduled. Allocates a block of 1000, 1001 … bytes every half a millisecond or later, for a tenth of a second at least, and
 * keeps them; then sleeps longer than a tick, and allocates ten blocks of 5000 bytes at once.
 */
#include "truth.h"

#include <stdint.h>
#include <time.h>

enum { PACE_NS = 500000, LENGTH_NS = 100000000, BLOCKS_MAX = LENGTH_NS / PACE_NS, LAST = 10 };

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(void)
{
    uint64_t begin = now(), due = begin;
    for (size_t i = 0; i < BLOCKS_MAX && due < begin + LENGTH_NS; i++) {
        while (now() < due) {}
        truth_keep(malloc(1000 + i));
        due = now() + PACE_NS;
    }
    nanosleep(&(struct timespec){ .tv_nsec = LENGTH_NS }, NULL);
    for (size_t i = 0; i < LAST; i++) {
        truth_keep(malloc(5000));
    }
    return 0;
}
