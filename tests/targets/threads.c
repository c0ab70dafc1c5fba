/* threads.c: N threads (default 100) make exactly M allocations each (default 100): N * M in case_worker.
 *
 * Usage: threads [N [M [keep]]]. Without `keep` every block is freed by its thread. Threads are named worker-I. The array
 * of thread ids is static, so the only other allocations are those of pthread_create inside libc.
 */
#include "truth.h"

#include <pthread.h>

enum { THREADS_MAX = 8192 };
static pthread_t g_threads[THREADS_MAX];
static unsigned g_per_thread = 100;
static int g_keep;

CASE static void case_worker(size_t index)
{
    for (unsigned i = 0; i < g_per_thread; i++) {
        size_t size = 16 + (index * 31 + i * 7) % 500;
        void *p = TRUTH_ALLOC(malloc(size), size);
        if (!g_keep) {
            free(p);
            TRUTH_FREED(size);
        }
    }
}

static void *thread_main(void *argument)
{
    size_t index = (size_t)(uintptr_t)argument;
    char name[16];
    snprintf(name, sizeof name, "worker-%u", (unsigned)index);
    pthread_setname_np(pthread_self(), name);
    case_worker(index);
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned threads = argc > 1 ? (unsigned)atoi(argv[1]) : 100;
    g_per_thread = argc > 2 ? (unsigned)atoi(argv[2]) : 100;
    g_keep = argc > 3;
    if (threads > THREADS_MAX) {
        return 2;
    }
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 * 1024);
    for (unsigned i = 0; i < threads; i++) {
        if (pthread_create(&g_threads[i], &attributes, thread_main, (void *)(uintptr_t)i) != 0) {
            abort();
        }
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(g_threads[i], NULL);
    }
    truth_print(1);
    return 0;
}
