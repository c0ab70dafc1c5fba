/* trapped.c: a program that traps every floating-point exception and, then, rounds up: allocating leaves that as it is.
 *
 * Usage: trapped COUNT. Exit status 0; 3: the state has changed; SIGFPE: somebody calculated on its thread. Blocks are of many
 * sizes, up to 100 KB, grow and shrink; half are made by a second thread.
 */
#include <pthread.h>
#include <stdlib.h>
#include <xmmintrin.h>

enum { ALL_TRAPPED = 0, ROUNDS_UP = _MM_MASK_MASK | _MM_ROUND_UP, KEPT = 64, LARGE = 100000 };

static volatile unsigned long g_count;

/* Integers only: what traps is not ours. */
static void allocate(void)
{
    void *kept[KEPT] = { NULL };
    for (unsigned long i = 0; i < g_count; i++) {
        void **place = &kept[i % KEPT];
        free(*place);
        *place = malloc(i % 3 == 0 ? LARGE : 1 + i * 37 % 5000);
        *place = realloc(*place, 1 + i * 101 % LARGE);
    }
    for (int i = 0; i < KEPT; i++) {
        free(kept[i]);
    }
}

static void *allocate_with(void *state)
{
    unsigned wanted = (unsigned)(unsigned long)state;
    _mm_setcsr(wanted);
    allocate();
    unsigned left = _mm_getcsr();
    _mm_setcsr(_MM_MASK_MASK);
    return (void *)(unsigned long)(left != wanted);
}

/* The new thread begins with the state that its maker has. */
static int runs_unchanged(unsigned state)
{
    pthread_t thread;
    void *changed = NULL;
    _mm_setcsr(state);
    if (pthread_create(&thread, NULL, allocate_with, (void *)(unsigned long)state) != 0) {
        return 0;
    }
    int here = allocate_with((void *)(unsigned long)state) == NULL;
    pthread_join(thread, &changed);
    return here && changed == NULL;
}

int main(int argc, char **argv)
{
    g_count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    return runs_unchanged(ALL_TRAPPED) && runs_unchanged(ROUNDS_UP) ? 0 : 3;
}
