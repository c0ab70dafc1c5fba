/* unwind.c: nanoseconds of one native stack capture. Not a test: prints a table, takes about 5 s.
 *
 *   cc -O2 -g -std=gnu17 -D_GNU_SOURCE -Isrc -Itests/unit/heap -c -fomit-frame-pointer -fno-optimize-sibling-calls \
 *       tests/unit/heap/nofp_shapes.c -o nofp.o
 *   cc -O2 -g -std=gnu17 -D_GNU_SOURCE -Isrc -Itests/unit/heap -fno-omit-frame-pointer bench/micro/unwind.c nofp.o \
 *       src/heap/{cfi,cfi_program,rowcache,modules,modules_map,modules_elf,stackbounds,unwind,unwind_hash,unwind_rare}.c \
 *       src/base/{os_linux,lock,status,hash,objects}.c -o bench-unwind && taskset -c 1 ./bench-unwind
 *
 * Columns, medians of 9 rounds: `same` the same stack again and again (verified only); `paths` random call paths of
 * plain and register-rich frames, capturing at every depth on the way (what a program that allocates at every level
 * does); `walk` the same stack with the memo switched off (row cache only); `cold` the row cache empty as well.
 */
#include "base/os.h"
#include "heap/rowcache.h"
#include "heap/unwind.h"
#include "heap/unwind_state.h"
#include "nofp_shapes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 9, REPEATS = 200000, COLD_REPEATS = 2001 };

static struct mt_unwinder g_unwinder;
static uint64_t g_captures;
static uint64_t g_frames;
static uint64_t g_ns;
static enum { MEMO, WALK, COUNT_ONLY } g_mode;

/* CPU time of the process: the machine has other work to do. */
static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static __attribute__((noinline)) void capture(void)
{
    MT_CAPTURE_CALLER(regs);
    (void)mt_unwind_capture(&g_unwinder, &regs);
}

static void leaf_repeat(void *context)
{
    struct mt_unwind_state *state = mt_unwind_state_of(&g_unwinder);
    int repeats = *(const int *)context;
    uint64_t start = now_ns();
    for (int i = 0; i < repeats; i++) {
        if (g_mode != MEMO) {
            state->usable = 0;
        }
        capture();
    }
    g_ns += now_ns() - start;
    g_captures += (uint64_t)repeats;
    g_frames += (uint64_t)repeats * g_unwinder.count;
}

/* Wall time of single captures with an empty row cache, 25 ns of clock included; the median is robust to preemption. */
static void leaf_cold(void *context)
{
    double *ns = context;
    for (int i = 0; i < COLD_REPEATS; i++) {
        mt_unwind_state_of(&g_unwinder)->usable = 0;
        memset(mt_g_rows, 0, sizeof mt_g_rows);
        uint64_t before = mt_os_monotonic_ns();
        capture();
        ns[i] = (double)(mt_os_monotonic_ns() - before);
    }
    g_captures = 1;
    g_frames = g_unwinder.count;
}

static void leaf_once(void *context)
{
    (void)context;
    if (g_mode != COUNT_ONLY) {
        capture();
        g_frames += g_unwinder.count;
    }
    g_captures++;
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1Du;
}

static double paths_once(uint32_t depth)
{
    enum { RUNS = 4000 };
    static uint8_t paths[RUNS][64];
    uint64_t seed = 42;
    for (int i = 0; i < RUNS; i++) {
        for (uint32_t k = 0; k < depth; k++) {
            paths[i][k] = (uint8_t)(random_next(&seed) % 2);
        }
    }
    double ns[2];
    for (int pass = 0; pass < 2; pass++) {
        g_mode = pass == 0 ? COUNT_ONLY : MEMO;
        g_captures = 0;
        g_frames = 0;
        uint64_t start = now_ns();
        for (int i = 0; i < RUNS; i++) {
            struct nofp_plan plan = { paths[i], depth, depth / 4, leaf_once, NULL };
            nofp_run(&plan);
        }
        ns[pass] = (double)(now_ns() - start);
    }
    return (ns[1] - ns[0]) / (double)g_captures;
}

/* Calls leaf at the end of a path of about depth frames. */
static void at_depth(uint32_t depth, void (*leaf)(void *), void *context)
{
    uint8_t path[64] = { 0 };
    uint32_t dispatch = depth > 6 ? (depth - 6) / 2 : 1; /* two frames an entry, six from main to the base and here */
    for (uint32_t k = 0; k < dispatch; k++) {
        path[k] = (uint8_t)(k % 2);
    }
    struct nofp_plan plan = { path, dispatch, 0, leaf, context };
    nofp_run(&plan);
}

static double repeat_once(uint32_t depth, int mode)
{
    int repeats = REPEATS;
    g_mode = mode;
    g_ns = g_captures = g_frames = 0;
    at_depth(depth, leaf_repeat, &repeats);
    return (double)g_ns / (double)g_captures;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    static const uint32_t depths[] = { 8, 20, 60 };
    void *memory;
    if (mt_os_map_anonymous(mt_unwinder_memory_bytes(), &memory) != MT_OK) {
        return 1;
    }
    mt_unwinder_init(&g_unwinder, memory);
    printf("%-8s %10s %10s %10s %12s %14s\n", "frames", "same", "walk", "cold", "paths", "(mean frames)");
    for (size_t d = 0; d < sizeof depths / sizeof depths[0]; d++) {
        double same[ROUNDS], walk[ROUNDS], paths[ROUNDS];
        double path_frames = 0;
        for (int round = 0; round < ROUNDS; round++) {
            same[round] = repeat_once(depths[d], MEMO);
            walk[round] = repeat_once(depths[d], WALK);
            paths[round] = paths_once(depths[d] > 8 ? (depths[d] - 6) / 2 : 4);
            path_frames = (double)g_frames / (double)g_captures;
        }
        static double cold[COLD_REPEATS];
        at_depth(depths[d], leaf_cold, cold);
        qsort(cold, COLD_REPEATS, sizeof cold[0], by_value);
        double frames = (double)g_frames / (double)g_captures;
        qsort(same, ROUNDS, sizeof same[0], by_value);
        qsort(walk, ROUNDS, sizeof walk[0], by_value);
        qsort(paths, ROUNDS, sizeof paths[0], by_value);
        printf("%-8.0f %7.1f ns %7.1f ns %7.0f ns %9.1f ns %14.1f\n", frames, same[ROUNDS / 2], walk[ROUNDS / 2],
               cold[COLD_REPEATS / 2], paths[ROUNDS / 2], path_frames);
    }
    return 0;
}
