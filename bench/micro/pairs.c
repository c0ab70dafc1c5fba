/* pairs.c: malloc + free of 8..300 B at the end of eight frames: the cheapest thing a hook can be compared with.
 *
 * Usage: pairs [PAIRS]. The blocks come from glibc's tcache, the call site is always the same, so what a profiler adds
 * is its fixed price. The frames have different sizes and no frame pointer; each call is made anew for every pair.
 */
#include "micro.h"

static NOINLINE uint32_t leaf(uint32_t size)
{
    unsigned char *block = malloc(size);
    block[0] = (unsigned char)size;
    escape(block);
    free(block);
    return size;
}

#define FRAME(name, callee, bytes)                                                                                     \
    static NOINLINE uint32_t name(uint32_t size)                                                                       \
    {                                                                                                                  \
        unsigned char pad[bytes];                                                                                      \
        escape(pad);                                                                                                   \
        return callee(size) + 1u;                                                                                      \
    }

FRAME(frame7, leaf, 16)
FRAME(frame6, frame7, 48)
FRAME(frame5, frame6, 32)
FRAME(frame4, frame5, 96)
FRAME(frame3, frame4, 16)
FRAME(frame2, frame3, 64)
FRAME(frame1, frame2, 160)

int main(int argc, char **argv)
{
    uint64_t pairs = parse_count(argc, argv, 1, 1000000);
    uint64_t state = 88172645463325252u;
    uint64_t sum = 0;
    struct timer timer;
    timer_start(&timer);
    for (uint64_t i = 0; i < pairs; i++) {
        sum += frame1(8u + random_below(&state, 293u));
    }
    timer_stop(&timer);
    escape(&sum);
    print_result("pairs", &timer, pairs);
    return 0;
}
