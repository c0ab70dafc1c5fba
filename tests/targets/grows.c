/* grows.c: what the accuracy tests of realloc sample: RUNS times COUNT blocks that get their size by reallocs.
 *
 * Usage: grows HOW SIZE RUNS COUNT freed|kept. HOW: `doubled` from 64 bytes, `stepped` from 64 by 64, `shrunk` from 4 * SIZE by
 * halves, `handed`: begun by the main thread, a quarter of SIZE, and doubled by the run's. Every run is a thread of its own,
 * named run-N, one after the other. `freed`: each block is freed at once (case_freed); `kept`: all stay (case_kept). Large
 * blocks are never touched. SIZE is 64 times a power of two.
 */
#include "truth.h"

#include <pthread.h>

enum { FIRST = 64, COUNT_MAX = 1 << 16 };
enum how { DOUBLED, STEPPED, SHRUNK, HANDED, HOWS };
static const char *const g_names[HOWS] = { "doubled", "stepped", "shrunk", "handed" };

static enum how g_how;
static size_t g_size;
static unsigned long g_count;
static int g_kept;
static void *g_begun[COUNT_MAX]; /* handed: the blocks of the next run */

static void *resized(void *block, size_t size)
{
    block = truth_keep(realloc(block, size));
    if (block == NULL) {
        abort();
    }
    return block;
}

static size_t first_size(void)
{
    return g_how == SHRUNK ? 4 * g_size : g_how == HANDED ? g_size / 4 : FIRST;
}

static size_t next_size(size_t size)
{
    return g_how == SHRUNK ? size / 2 : g_how == STEPPED ? size + FIRST : 2 * size;
}

/* Inlined into its case, which is the caller of realloc then. */
static inline __attribute__((always_inline)) void *make(unsigned long i)
{
    size_t size = first_size();
    void *block = g_how == HANDED ? g_begun[i] : truth_keep(malloc(size));
    while (size != g_size) {
        size = next_size(size);
        block = resized(block, size);
    }
    return block;
}

CASE static void case_freed(void)
{
    for (unsigned long i = 0; i < g_count; i++) {
        free(make(i));
    }
}

CASE static void case_kept(void)
{
    for (unsigned long i = 0; i < g_count; i++) {
        truth_keep(make(i));
    }
}

static void *run_main(void *argument)
{
    char name[16];
    snprintf(name, sizeof name, "run-%u", (unsigned)(uintptr_t)argument);
    pthread_setname_np(pthread_self(), name);
    (g_kept ? case_kept : case_freed)();
    return NULL;
}

static void begin_blocks(void)
{
    for (unsigned long i = 0; g_how == HANDED && i < g_count; i++) {
        g_begun[i] = truth_keep(malloc(first_size()));
    }
}

int main(int argc, char **argv)
{
    while (argc == 6 && g_how < HOWS && strcmp(argv[1], g_names[g_how]) != 0) {
        g_how++;
    }
    if (argc != 6 || g_how == HOWS || atol(argv[4]) > COUNT_MAX) {
        return 2;
    }
    g_size = (size_t)atoll(argv[2]);
    unsigned long runs = (unsigned long)atol(argv[3]);
    g_count = (unsigned long)atol(argv[4]);
    g_kept = strcmp(argv[5], "kept") == 0;
    for (unsigned long run = 0; run < runs; run++) {
        pthread_t thread;
        begin_blocks();
        if (pthread_create(&thread, NULL, run_main, (void *)(uintptr_t)run) != 0) {
            abort();
        }
        pthread_join(thread, NULL);
    }
    return 0;
}
