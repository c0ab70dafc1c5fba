/* live.c: replace a random one of N live blocks of 8..300 B: the caches are cold for the allocator and for the profiler.
 *
 * Usage: live [REPLACEMENTS] [N]. With a million blocks the medians wander by 15 % (cache misses of the machine), so
 * nanosecond claims use the minimum of N = 20,000.
 */
#include "micro.h"

int main(int argc, char **argv)
{
    uint64_t replacements = parse_count(argc, argv, 1, 5000000);
    uint32_t count = (uint32_t)parse_count(argc, argv, 2, 20000);
    unsigned char **live = calloc(count, sizeof *live);
    uint64_t state = 2685821657736338717u;
    for (uint32_t i = 0; i < count; i++) {
        live[i] = malloc(8u + random_below(&state, 293u));
    }
    struct timer timer;
    timer_start(&timer);
    for (uint64_t i = 0; i < replacements; i++) {
        uint32_t slot = random_below(&state, count);
        free(live[slot]);
        live[slot] = malloc(8u + random_below(&state, 293u));
        live[slot][0] = 1;
    }
    timer_stop(&timer);
    for (uint32_t i = 0; i < count; i++) {
        free(live[i]);
    }
    free(live);
    print_result("live", &timer, replacements);
    return 0;
}
