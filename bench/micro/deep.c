/* deep.c: malloc + free at 10..60 frames along one of 4,096 call paths: what a stack costs when it keeps changing.
 *
 * Usage: deep [PAIRS]. A path is a depth and a bit string: every fourth frame it says which of four functions is next,
 * in between they follow in order. It is drawn anew for every pair, so a cache of whole stacks rarely helps. Choosing at
 * every frame would put 0.5 us of branch mispredictions into the baseline and hide what is measured. The four functions
 * have different frame sizes and no frame pointer.
 */
#include "micro.h"

enum { PATHS = 4096, SHALLOWEST = 10, DEPTHS = 51 };

typedef uint32_t (*step_function)(uint64_t path, uint32_t left);

static uint32_t step0(uint64_t path, uint32_t left);
static uint32_t step1(uint64_t path, uint32_t left);
static uint32_t step2(uint64_t path, uint32_t left);
static uint32_t step3(uint64_t path, uint32_t left);

static const step_function steps[4] = {step0, step1, step2, step3};

static NOINLINE uint32_t leaf(uint64_t path)
{
    size_t size = 8u + (path & 255u);
    unsigned char *block = malloc(size);
    block[0] = (unsigned char)path;
    escape(block);
    free(block);
    return (uint32_t)size;
}

#define STEP(name, bytes, follower)                                                                                    \
    static NOINLINE uint32_t name(uint64_t path, uint32_t left)                                                        \
    {                                                                                                                  \
        unsigned char pad[bytes];                                                                                      \
        escape(pad);                                                                                                   \
        if (left == 0) {                                                                                               \
            return leaf(path) + 1u;                                                                                    \
        }                                                                                                              \
        if (left % 4u != 0) {                                                                                          \
            return follower(path, left - 1u) + 1u;                                                                     \
        }                                                                                                              \
        uint64_t next = (path >> 2) | (path << 62);                                                                    \
        return steps[next & 3u](next, left - 1u) + 1u;                                                                 \
    }

STEP(step0, 16, step1)
STEP(step1, 40, step2)
STEP(step2, 88, step3)
STEP(step3, 152, step0)

int main(int argc, char **argv)
{
    uint64_t pairs = parse_count(argc, argv, 1, 500000);
    static uint64_t paths[PATHS];
    uint64_t state = 1181783497276652981u;
    for (int i = 0; i < PATHS; i++) {
        paths[i] = next_random(&state);
    }
    uint64_t sum = 0;
    struct timer timer;
    timer_start(&timer);
    for (uint64_t i = 0; i < pairs; i++) {
        uint32_t which = random_below(&state, PATHS);
        /* main, the last step and leaf are three of the frames */
        sum += step0(paths[which], SHALLOWEST - 3u + which % DEPTHS);
    }
    timer_stop(&timer);
    escape(&sum);
    print_result("deep", &timer, pairs);
    return 0;
}
