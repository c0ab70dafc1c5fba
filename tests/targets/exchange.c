/* exchange.c: threads exchange blocks and realloc what others made, so that addresses are reused across threads all the
 * time. What is alive at the end is known exactly.
 *
 * Usage: exchange [THREADS [ROUNDS [SEED]]]. Each thread swaps a block of its own into a shared slot, takes what was
 * there, and reallocs or frees it. Blocks carry their size and the number of the function that made them, so the truth is
 * by function although any thread may free them. At the end each slot holds at most one block.
 */
#include "truth.h"

#include <pthread.h>

enum { SLOTS = 64, THREADS_MAX = 64, SIZE_MIN = sizeof(struct truth) };
struct block {
    const char *maker;
    uint64_t bytes;
};
static struct block *g_slots[SLOTS];
static unsigned g_rounds = 20000;
static uint64_t g_seed = 1;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static struct block *stamp(struct block *b, const char *maker, uint64_t bytes)
{
    b->maker = maker;
    b->bytes = bytes;
    return b;
}

CASE static struct block *case_make(uint64_t bytes)
{
    return stamp(TRUTH_ALLOC(malloc(bytes), bytes), __func__, bytes);
}

CASE static struct block *case_resize(struct block *b, uint64_t bytes)
{
    const char *maker = b->maker;
    uint64_t old = b->bytes;
    b = TRUTH_ALLOC(realloc(b, bytes), bytes);
    truth_free(maker, old);
    return stamp(b, __func__, bytes);
}

CASE static void case_drop(struct block *b)
{
    truth_free(b->maker, b->bytes);
    free(b);
}

static void *thread_main(void *argument)
{
    uint64_t state = g_seed * 0x9E3779B97F4A7C15u + (uint64_t)(uintptr_t)argument * 77 + 1;
    for (unsigned i = 0; i < g_rounds; i++) {
        uint64_t r = next_random(&state);
        uint64_t bytes = SIZE_MIN + (r >> 32) % (r % 16 == 0 ? 70000 : 200);
        struct block *mine = case_make(bytes);
        struct block *theirs = __atomic_exchange_n(&g_slots[r % SLOTS], mine, __ATOMIC_ACQ_REL);
        if (theirs == NULL) {
            continue;
        }
        if (r & 0x10000) {
            theirs = case_resize(theirs, SIZE_MIN + (r >> 20) % 3000);
            theirs = __atomic_exchange_n(&g_slots[(r >> 8) % SLOTS], theirs, __ATOMIC_ACQ_REL);
        }
        if (theirs != NULL) {
            case_drop(theirs);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned threads = argc > 1 ? (unsigned)atoi(argv[1]) : 4;
    g_rounds = argc > 2 ? (unsigned)atoi(argv[2]) : g_rounds;
    g_seed = argc > 3 ? (uint64_t)atoll(argv[3]) : g_seed;
    pthread_t ids[THREADS_MAX];
    if (threads > THREADS_MAX) {
        return 2;
    }
    for (unsigned i = 0; i < threads; i++) {
        if (pthread_create(&ids[i], NULL, thread_main, (void *)(uintptr_t)i) != 0) {
            abort();
        }
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
    }
    truth_print(1);
    return 0;
}
