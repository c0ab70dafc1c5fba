/* handover.c: main allocates a block for each of N threads (default 300); freeing it is the first thing the thread does.
 *
 * The first record of each stream is then a free of another stream's block.
 */
#include "truth.h"

#include <pthread.h>

CASE static void *case_give(void)
{
    return TRUTH_ALLOC(malloc(1234), 1234);
}

CASE static void case_take(void *block)
{
    truth_free("case_give", 1234);
    free(block);
    TRUTH_ALLOC(malloc(77), 77);
}

static void *thread_main(void *block)
{
    case_take(block);
    return NULL;
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 300;
    for (int i = 0; i < threads; i++) {
        pthread_t id;
        if (pthread_create(&id, NULL, thread_main, case_give()) != 0 || pthread_join(id, NULL) != 0) {
            abort();
        }
    }
    truth_print(1);
    return 0;
}
