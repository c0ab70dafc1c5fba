/* mt.c: malloc + free in two threads at once against one thread: does a profiler serialise what the allocator does not?
 *
 * Usage: mt [PAIRS_PER_THREAD]. The two cases alternate in SLICES slices of one process, so that a busy machine slows
 * both. scaling = pairs a second of two threads / of one (wall clock, median of the slices); cpu_scaling is the same
 * from CPU time, which another process on the machine cannot disturb but which does not see sleeping on a lock.
 */
#include "micro.h"

#include <pthread.h>

enum { SLICES = 9, LIVE = 64 };

static uint64_t pairs_per_slice;

static void *allocate(void *argument)
{
    uint64_t state = (uint64_t)(uintptr_t)argument * 2654435761u + 1u;
    void *live[LIVE] = {0};
    for (uint64_t i = 0; i < pairs_per_slice; i++) {
        uint32_t slot = (uint32_t)i % LIVE;
        free(live[slot]);
        live[slot] = malloc(8u + random_below(&state, 293u));
        escape(live[slot]);
    }
    for (int i = 0; i < LIVE; i++) {
        free(live[i]);
    }
    return NULL;
}

static struct timer run_slice(unsigned threads)
{
    pthread_t ids[2];
    struct timer timer;
    timer_start(&timer);
    for (unsigned i = 0; i < threads; i++) {
        if (pthread_create(&ids[i], NULL, allocate, (void *)(uintptr_t)(i + 1u)) != 0) {
            abort();
        }
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
    }
    timer_stop(&timer);
    return timer;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *values)
{
    qsort(values, SLICES, sizeof values[0], compare);
    return values[SLICES / 2];
}

int main(int argc, char **argv)
{
    pairs_per_slice = parse_count(argc, argv, 1, 4000000) / SLICES;
    double scaling[SLICES];
    double cpu_scaling[SLICES];
    struct timer both = {0, 0};
    for (int i = 0; i < SLICES; i++) {
        struct timer one = run_slice(1);
        struct timer two = run_slice(2);
        scaling[i] = 2.0 * (double)one.wall_ns / (double)two.wall_ns;
        cpu_scaling[i] = 4.0 * (double)one.cpu_ns / (double)two.cpu_ns;
        both.cpu_ns += two.cpu_ns;
        both.wall_ns += two.wall_ns;
    }
    uint64_t ops = 2u * SLICES * pairs_per_slice;
    printf("BENCH {\"bench\": \"mt\", \"ops\": %llu, \"ns_per_op\": %.4f, \"scaling\": %.4f, \"cpu_scaling\": %.4f}\n",
           (unsigned long long)ops, (double)both.cpu_ns / (double)ops, median(scaling), median(cpu_scaling));
    return 0;
}
