/* pc.c: one thread allocates, another frees: what shared tables of a profiler cost when their lines change cores.
 *
 * Usage: pc [BLOCKS]. Blocks of 8..300 B are handed over in batches of 1,024; a side with nothing to do sleeps, so the
 * CPU time holds no waiting. Two threads do not interleave the same way twice: read the minimum over rounds.
 */
#include "micro.h"

#include <pthread.h>

enum { BATCH = 1024, BATCHES = 8 };

static void *ring[BATCHES][BATCH];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint64_t produced; /* batches, under lock, as is consumed */
static uint64_t consumed;
static uint64_t total;

static void publish(uint64_t *counter)
{
    pthread_mutex_lock(&lock);
    ++*counter;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

/* Waits until at least min_lead and fewer than max_lead batches lie between the two sides. */
static void wait_for_lead(uint64_t min_lead, uint64_t max_lead)
{
    pthread_mutex_lock(&lock);
    while (produced - consumed < min_lead || produced - consumed >= max_lead) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
}

static void *consume(void *unused)
{
    for (uint64_t batch = 0; batch < total; batch++) {
        wait_for_lead(1, BATCHES + 1u);
        void **blocks = ring[batch % BATCHES];
        for (int i = 0; i < BATCH; i++) {
            free(blocks[i]);
        }
        publish(&consumed);
    }
    return unused;
}

static void produce(void)
{
    uint64_t state = 6364136223846793005u;
    for (uint64_t batch = 0; batch < total; batch++) {
        wait_for_lead(0, BATCHES);
        void **blocks = ring[batch % BATCHES];
        for (int i = 0; i < BATCH; i++) {
            blocks[i] = malloc(8u + random_below(&state, 293u));
        }
        publish(&produced);
    }
}

int main(int argc, char **argv)
{
    total = parse_count(argc, argv, 1, 4000000) / BATCH;
    pthread_t consumer;
    struct timer timer;
    timer_start(&timer);
    if (pthread_create(&consumer, NULL, consume, NULL) != 0) {
        return 1;
    }
    produce();
    pthread_join(consumer, NULL);
    timer_stop(&timer);
    print_result("pc", &timer, total * BATCH);
    return 0;
}
