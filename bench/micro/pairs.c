/* pairs.c: malloc + free of 8..300 B at the end of eight frames: the cheapest thing a hook can be compared with.
 *
 * Usage: pairs [PAIRS [THREADS [READS]]]. The blocks come from glibc's tcache, the call site is always the same, so what a
 * profiler adds is its fixed price. The frames have different sizes and no frame pointer; each call is made anew for every
 * pair. THREADS do it at once, PAIRS each. READS other than 0: the time stamp counter is read in order after each malloc and before
 * each free, and nothing else is done with it: the least that ordering the events of threads by it can add.
 */
#include "micro.h"

#include <pthread.h>
#include <stdbool.h>

enum { THREADS_MAX = 16 };

static uint64_t pairs;
static bool reads;
static pthread_barrier_t start;

static inline void read_in_order(void)
{
#if defined(__x86_64__)
    uint32_t low, high;
    __asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
#endif
}

static NOINLINE uint32_t leaf(uint32_t size)
{
    unsigned char *block = malloc(size);
    if (reads) {
        read_in_order();
    }
    block[0] = (unsigned char)size;
    escape(block);
    if (reads) {
        read_in_order();
    }
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

static void *allocate(void *argument)
{
    uint64_t state = 88172645463325252u + (uint64_t)(uintptr_t)argument;
    uint64_t sum = 0;
    (void)pthread_barrier_wait(&start);
    for (uint64_t i = 0; i < pairs; i++) {
        sum += frame1(8u + random_below(&state, 293u));
    }
    escape(&sum);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t others[THREADS_MAX];
    pairs = parse_count(argc, argv, 1, 1000000);
    uint64_t threads = parse_count(argc, argv, 2, 1);
    reads = parse_count(argc, argv, 3, 0) != 0;
    if (threads < 1 || threads > THREADS_MAX || pthread_barrier_init(&start, NULL, (unsigned)threads) != 0) {
        abort();
    }
    struct timer timer;
    timer_start(&timer);
    for (uint64_t i = 1; i < threads; i++) {
        if (pthread_create(&others[i], NULL, allocate, (void *)(uintptr_t)i) != 0) {
            abort();
        }
    }
    (void)allocate(NULL);
    for (uint64_t i = 1; i < threads; i++) {
        pthread_join(others[i], NULL);
    }
    timer_stop(&timer);
    print_result("pairs", &timer, threads * pairs);
    return 0;
}
