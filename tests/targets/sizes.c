/* sizes.c: what the accuracy tests sample: RUNS times COUNT allocations of SIZE bytes.
 *
 * Usage: sizes SIZE RUNS COUNT freed|kept. Every run is a thread of its own, named run-N, one after the other, so that
 * reports can tell the runs apart by thread; the sampler of each starts afresh. `freed`: each block is freed at once
 * (case_freed). `kept`: all stay (case_kept). Large blocks are never touched.
 */
#include "truth.h"

#include <pthread.h>

static size_t g_size;
static unsigned long g_count;
static int g_kept;

CASE static void case_freed(size_t size, unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        free(truth_keep(malloc(size)));
    }
}

CASE static void case_kept(size_t size, unsigned long count)
{
    for (unsigned long i = 0; i < count; i++) {
        if (truth_keep(malloc(size)) == NULL) {
            abort();
        }
    }
}

static void *run_main(void *argument)
{
    char name[16];
    snprintf(name, sizeof name, "run-%u", (unsigned)(uintptr_t)argument);
    pthread_setname_np(pthread_self(), name);
    (g_kept ? case_kept : case_freed)(g_size, g_count);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        return 2;
    }
    g_size = (size_t)atoll(argv[1]);
    unsigned long runs = (unsigned long)atol(argv[2]);
    g_count = (unsigned long)atol(argv[3]);
    g_kept = strcmp(argv[4], "kept") == 0;
    for (unsigned long run = 0; run < runs; run++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, run_main, (void *)(uintptr_t)run) != 0) {
            abort();
        }
        pthread_join(thread, NULL);
    }
    return 0;
}
