/* closed.c: a daemon that has closed 0, 1 and 2 and goes on printing: every write must fail. One thread prints while two
 * allocate, so that a descriptor of anybody else's at one of these numbers is found. Ends with the truth on a copy of the
 * output. Exit status: 0, or 3 when a write has succeeded.
 */
#include "truth.h"

#include <pthread.h>

enum { BLOCKS = 100000, WORKERS = 2 };

static int g_stop;
static int g_written;

static void *print(void *unused)
{
    while (!__atomic_load_n(&g_stop, __ATOMIC_ACQUIRE)) {
        for (int fd = 1; fd <= 2; fd++) {
            g_written += write(fd, "words\n", 6) > 0;
        }
    }
    return unused;
}

CASE static void *case_worker(void *unused)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        free(TRUTH_ALLOC(malloc(100 + i % 1000), 100 + i % 1000));
        TRUTH_FREED(100 + i % 1000);
    }
    return unused;
}

int main(void)
{
    pthread_t printer, workers[WORKERS];
    int out = dup(1);
    for (int fd = 0; fd < 3; fd++) {
        close(fd);
    }
    pthread_create(&printer, NULL, print, NULL);
    for (int i = 0; i < WORKERS; i++) {
        pthread_create(&workers[i], NULL, case_worker, NULL);
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i], NULL);
    }
    __atomic_store_n(&g_stop, 1, __ATOMIC_RELEASE);
    pthread_join(printer, NULL);
    truth_print(out);
    return g_written > 0 ? 3 : 0;
}
