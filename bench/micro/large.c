/* large.c: blocks of 64 KiB..4 MiB, eight alive at a time: a profiler that moves sampled blocks pays page faults here.
 *
 * Usage: large [BLOCKS]. Sizes are log-uniform; the first and the last byte are touched. Nearly every block is larger
 * than the sampling rate allows to miss, so this is the slow path of a sampler, called every time.
 */
#include "micro.h"

enum { LIVE = 8, SMALLEST_LOG2 = 16, OCTAVES = 6 };

static size_t draw_size(uint64_t *state)
{
    uint32_t octave = random_below(state, OCTAVES);
    size_t base = (size_t)1 << (SMALLEST_LOG2 + octave);
    return base + random_below(state, (uint32_t)base);
}

int main(int argc, char **argv)
{
    uint64_t blocks = parse_count(argc, argv, 1, 100000);
    unsigned char *live[LIVE] = {0};
    uint64_t state = 1442695040888963407u;
    struct timer timer;
    timer_start(&timer);
    for (uint64_t i = 0; i < blocks; i++) {
        uint32_t slot = random_below(&state, LIVE);
        size_t size = draw_size(&state);
        free(live[slot]);
        live[slot] = malloc(size);
        live[slot][0] = 1;
        live[slot][size - 1] = 1;
    }
    timer_stop(&timer);
    for (int i = 0; i < LIVE; i++) {
        free(live[i]);
    }
    print_result("large", &timer, blocks);
    return 0;
}
