/* tracker.c: what a report to the exact tracker costs (include/memtap/tracker.h).
 *
 * Usage: tracker [PAIRS] [THREADS] [DEPTH] [FRAME_POINTERS] [SHUFFLED]. Each thread reports PAIRS allocations of distinct
 * addresses, then their ends, in the order they came or, SHUFFLED 1, in another; DEPTH 0: without stacks. Prints the wall
 * and CPU time of both passes together, then what a live block costs in resident memory (one million of 1 KiB, history on).
 * FRAME_POINTERS 1 needs a build with -fno-omit-frame-pointer. Link with libmemtap:
 *   cc -O2 -Iinclude bench/micro/tracker.c build/lib/libmemtap.a -lpthread
 */
#include "memtap/tracker.h"
#include "micro.h"

#include <pthread.h>
#include <stdbool.h>

enum { THREADS_MAX = 64, STRIDE = 1024, LIVE = 1000000 };

struct job {
    struct mt_tracker *tracker;
    uint64_t pairs, base, stride; /* of the ends */
};

static NOINLINE void pass(struct job *job, int depth)
{
    if (depth > 0) {
        pass(job, depth - 1);
        escape(job);
        return;
    }
    for (uint64_t i = 0; i < job->pairs; i++) {
        (void)mt_track_allocation(job->tracker, job->base + i * STRIDE, STRIDE, "CPU");
    }
    for (uint64_t i = 0; i < job->pairs; i++) {
        uint64_t which = (i * job->stride) % job->pairs; /* 1, or a prime that no PAIRS is a multiple of: every block once */
        (void)mt_track_deallocation(job->tracker, job->base + which * STRIDE, STRIDE);
    }
}

static void *run_job(void *argument)
{
    pass(argument, 10);
    return NULL;
}

static void run(struct mt_tracker *tracker, uint64_t pairs, uint64_t threads, bool shuffled)
{
    pthread_t ids[THREADS_MAX];
    struct job jobs[THREADS_MAX];
    struct timer timer;
    timer_start(&timer);
    for (uint64_t i = 0; i < threads; i++) {
        jobs[i] = (struct job){ tracker, pairs, (i + 1) << 40, shuffled ? 7919 : 1 };
        pthread_create(&ids[i], NULL, run_job, &jobs[i]);
    }
    for (uint64_t i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
    }
    timer_stop(&timer);
    print_result("tracker", &timer, threads * pairs * 2);
}

static struct mt_tracker *make(uint64_t depth, uint64_t frame_pointers)
{
    struct mt_tracker_options options;
    struct mt_tracker *tracker = NULL;
    mt_tracker_defaults(&options);
    options.auto_snapshot = false;
    options.capture_stacks = depth > 0;
    options.frame_pointers = frame_pointers != 0;
    options.stack_depth = depth > 0 ? (uint32_t)depth : 10;
    if (mt_tracker_new(&options, &tracker) != 0) {
        exit(1);
    }
    return tracker;
}

int main(int argc, char **argv)
{
    uint64_t pairs = parse_count(argc, argv, 1, 500000);
    uint64_t threads = parse_count(argc, argv, 2, 1);
    uint64_t depth = parse_count(argc, argv, 3, 0);
    struct mt_tracker *tracker = make(depth, parse_count(argc, argv, 4, 0));
    run(tracker, pairs, threads < THREADS_MAX ? threads : THREADS_MAX, parse_count(argc, argv, 5, 0) != 0);
    mt_tracker_free(tracker);

    tracker = make(0, 0);
    long before = resident_kib();
    for (uint64_t i = 0; i < LIVE; i++) {
        (void)mt_track_allocation(tracker, 0x10000 + i * STRIDE, STRIDE, "CPU");
    }
    printf("BENCH {\"bench\": \"tracker-live\", \"bytes_per_block\": %.2f}\n", (double)(resident_kib() - before) * 1024 / LIVE);
    mt_tracker_free(tracker);
    return 0;
}
