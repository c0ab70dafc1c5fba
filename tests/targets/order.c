/* order.c: threads that hand blocks over by everything that threads can hand over by, and keep the books of it.
 *
 * Usage: order SEED ROUNDS THREADS [no-tsc]. A round is one of two. In turns: one thread at a time has the baton, takes and gives
 * back blocks, whoever took them, and passes the baton on to another. All at once: every thread takes blocks, or every
 * thread gives some back, and nobody goes on before all are done. In both the order of what counts is known: the largest
 * sum that was ever alive is right whatever the scheduler does. Prints `TRUTH PEAK ALLOCATIONS FREES`.
 * With no-tsc the threads take away their right to read the time stamp counter, one after another in the middle of the game.
 * Sizes are multiples of UNIT, which all that libc allocates for threads stays below: the peak of the process, cut to whole
 * units, is that of the blocks.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { UNIT = 16 * 1024, UNITS_MAX = 8, THREADS_MAX = 8, TURN_BLOCKS = 24, TURN_STEPS = 6, SPINS = 200 };

enum way { MUTEX, CONDITION, SEMAPHORE, PIPE, EVENT_FD, SPIN, FUTEX, RWLOCK, WAYS };

/* One thread's place to be woken at, by each of the ways. */
struct place {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    bool told;
    sem_t semaphore;
    int pipe[2];
    int event;
    atomic_uint spin;
    atomic_uint futex;
    pthread_rwlock_t rwlock;
    bool read_told;
    enum way way; /* how its thread is woken next; chosen with the baton in hand */
};

static struct place g_places[THREADS_MAX];
static unsigned g_threads;
static uint64_t g_rounds; /* left */
static uint64_t g_without_tsc = UINT64_MAX; /* rounds before the end from which on each player forbids it to itself */
static bool g_done;

/* The books: only the thread with the baton, or one behind the last barrier, touches them. */
static uint64_t g_random;
static void *g_blocks[TURN_BLOCKS + THREADS_MAX];
static uint32_t g_units[TURN_BLOCKS + THREADS_MAX];
static uint64_t g_live, g_peak, g_allocations, g_frees;

static uint32_t pick(uint32_t bound)
{
    g_random ^= g_random << 13;
    g_random ^= g_random >> 7;
    g_random ^= g_random << 17;
    return (uint32_t)(g_random >> 33) % bound;
}

__attribute__((noinline)) static void *case_order_take(uint32_t units)
{
    char *block = malloc((size_t)units * UNIT);
    block[0] = 1;
    return block;
}

__attribute__((noinline)) static void *case_order_change(void *block, uint32_t units)
{
    return realloc(block, (size_t)units * UNIT);
}

/* ---- waking each other ---------------------------------------------------------------------------------------------- */

static void check(bool holds, const char *what)
{
    if (!holds) {
        dprintf(2, "order: %s: %s\n", what, strerror(errno));
        _exit(3);
    }
}

static void open_place(struct place *p)
{
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->condition, NULL);
    pthread_rwlock_init(&p->rwlock, NULL);
    sem_init(&p->semaphore, 0, 0);
    p->event = eventfd(0, EFD_SEMAPHORE);
    check(p->event >= 0 && pipe(p->pipe) == 0, "no descriptors");
}

static long futex(atomic_uint *word, int operation, unsigned value)
{
    return syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

/* Until *word is not 0, and makes it 0 again. */
static void spin_on(atomic_uint *word)
{
    for (int spins = 0; atomic_load_explicit(word, memory_order_acquire) == 0; spins++) {
        if (spins == SPINS) {
            sched_yield();
            spins = 0;
        }
    }
    atomic_store_explicit(word, 0, memory_order_relaxed);
}

static void wake(struct place *p, enum way way)
{
    uint64_t one = 1;
    switch (way) {
    case CONDITION:
        pthread_mutex_lock(&p->mutex);
        p->told = true;
        pthread_cond_signal(&p->condition);
        pthread_mutex_unlock(&p->mutex);
        break;
    case MUTEX: /* seen by one who takes the lock again and again */
        pthread_mutex_lock(&p->mutex);
        p->told = true;
        pthread_mutex_unlock(&p->mutex);
        break;
    case SEMAPHORE:
        sem_post(&p->semaphore);
        break;
    case PIPE:
        check(write(p->pipe[1], "x", 1) == 1, "pipe");
        break;
    case EVENT_FD:
        check(write(p->event, &one, sizeof one) == sizeof one, "eventfd");
        break;
    case RWLOCK:
        pthread_rwlock_wrlock(&p->rwlock);
        p->read_told = true;
        pthread_rwlock_unlock(&p->rwlock);
        break;
    case FUTEX:
        atomic_store_explicit(&p->futex, 1, memory_order_release);
        futex(&p->futex, FUTEX_WAKE_PRIVATE, 1);
        break;
    case SPIN:
    case WAYS:
        atomic_store_explicit(&p->spin, 1, memory_order_release);
        break;
    }
}

static void wait_told(struct place *p, bool *told)
{
    for (bool seen = false; !seen;) {
        pthread_mutex_lock(&p->mutex);
        seen = *told;
        *told = false;
        pthread_mutex_unlock(&p->mutex);
        if (!seen) {
            sched_yield();
        }
    }
}

static void wait_read_told(struct place *p)
{
    for (bool seen = false; !seen;) {
        pthread_rwlock_rdlock(&p->rwlock);
        seen = p->read_told;
        pthread_rwlock_unlock(&p->rwlock);
        if (!seen) {
            sched_yield();
        }
    }
    p->read_told = false; /* the next who writes it has to be let go on first */
}

static void wait_condition(struct place *p)
{
    pthread_mutex_lock(&p->mutex);
    while (!p->told) {
        pthread_cond_wait(&p->condition, &p->mutex);
    }
    p->told = false;
    pthread_mutex_unlock(&p->mutex);
}

static void wait_futex(struct place *p)
{
    while (atomic_load_explicit(&p->futex, memory_order_acquire) == 0) {
        futex(&p->futex, FUTEX_WAIT_PRIVATE, 0);
    }
    atomic_store_explicit(&p->futex, 0, memory_order_relaxed);
}

static void sleep_until_woken(struct place *p, enum way way)
{
    uint64_t got;
    char byte;
    switch (way) {
    case CONDITION:
        wait_condition(p);
        break;
    case MUTEX:
        wait_told(p, &p->told);
        break;
    case SEMAPHORE:
        while (sem_wait(&p->semaphore) != 0) {
        }
        break;
    case PIPE:
        check(read(p->pipe[0], &byte, 1) == 1, "pipe");
        break;
    case EVENT_FD:
        check(read(p->event, &got, sizeof got) == sizeof got, "eventfd");
        break;
    case RWLOCK:
        wait_read_told(p);
        break;
    case FUTEX:
        wait_futex(p);
        break;
    case SPIN:
    case WAYS:
        spin_on(&p->spin);
        break;
    }
}

/* ---- turns ---------------------------------------------------------------------------------------------------------- */

static void enter_taken(unsigned slot, uint32_t units)
{
    g_units[slot] = units;
    g_live += (uint64_t)units * UNIT;
    g_peak = g_live > g_peak ? g_live : g_peak;
    g_allocations++;
}

static void enter_given_back(unsigned slot)
{
    g_live -= (uint64_t)g_units[slot] * UNIT;
    g_frees++;
}

static void change_size(unsigned slot)
{
    uint32_t units = 1 + pick(UNITS_MAX);
    g_blocks[slot] = case_order_change(g_blocks[slot], units);
    enter_given_back(slot);
    enter_taken(slot, units);
}

static void change_block(unsigned slot)
{
    if (g_blocks[slot] == NULL) {
        uint32_t units = 1 + pick(UNITS_MAX);
        g_blocks[slot] = case_order_take(units);
        enter_taken(slot, units);
    } else if (pick(4) == 0) {
        change_size(slot);
    } else {
        free(g_blocks[slot]);
        g_blocks[slot] = NULL;
        enter_given_back(slot);
    }
}

/* Small pairs between the blocks that count: threads do not go on at one pace. */
static void be_busy(void)
{
    for (uint32_t i = pick(4) == 0 ? pick(300) : 0; i > 0; i--) {
        void *volatile small = malloc(24);
        free(small);
    }
}

static void take_turn(void)
{
    for (uint32_t i = 1 + pick(TURN_STEPS); i > 0; i--) {
        change_block(pick(TURN_BLOCKS));
        be_busy();
    }
}

/* ---- all at once ---------------------------------------------------------------------------------------------------- */

/* What each thread does in a round of all: takes a block into its slot, or gives it back. */
static struct {
    bool wanted;
    bool takes;
    enum gathering { BARRIER, COUNT_SPIN, COUNT_CONDITION, COUNT_SEMAPHORE, COUNT_PIPE, CREATED, GATHERINGS } gathering;
    pthread_barrier_t barrier;
    atomic_uint arrived;
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    unsigned counted;
    sem_t semaphore;
    int pipe[2];
} g_all = { .mutex = PTHREAD_MUTEX_INITIALIZER, .condition = PTHREAD_COND_INITIALIZER };

static unsigned slot_of(unsigned thread)
{
    return TURN_BLOCKS + thread;
}

static void do_own_part(unsigned thread)
{
    unsigned slot = slot_of(thread);
    if (g_all.takes) {
        g_blocks[slot] = case_order_take(g_units[slot]);
    } else {
        free(g_blocks[slot]);
    }
}

static void arrive(void)
{
    switch (g_all.gathering) {
    case BARRIER:
        pthread_barrier_wait(&g_all.barrier);
        break;
    case COUNT_SPIN:
        atomic_fetch_add_explicit(&g_all.arrived, 1, memory_order_release);
        break;
    case COUNT_CONDITION:
        pthread_mutex_lock(&g_all.mutex);
        g_all.counted++;
        pthread_cond_broadcast(&g_all.condition);
        pthread_mutex_unlock(&g_all.mutex);
        break;
    case COUNT_SEMAPHORE:
        sem_post(&g_all.semaphore);
        break;
    case COUNT_PIPE:
        check(write(g_all.pipe[1], "x", 1) == 1, "pipe");
        break;
    case CREATED:
    case GATHERINGS:
        break;
    }
}

static void wait_for_spin(unsigned others)
{
    while (atomic_load_explicit(&g_all.arrived, memory_order_acquire) != others) {
        sched_yield();
    }
    atomic_store_explicit(&g_all.arrived, 0, memory_order_relaxed);
}

static void wait_for_count(unsigned others)
{
    pthread_mutex_lock(&g_all.mutex);
    while (g_all.counted != others) {
        pthread_cond_wait(&g_all.condition, &g_all.mutex);
    }
    g_all.counted = 0;
    pthread_mutex_unlock(&g_all.mutex);
}

static void wait_for_others(unsigned others)
{
    char byte;
    switch (g_all.gathering) {
    case BARRIER:
        pthread_barrier_wait(&g_all.barrier);
        break;
    case COUNT_SPIN:
        wait_for_spin(others);
        break;
    case COUNT_CONDITION:
        wait_for_count(others);
        break;
    case COUNT_SEMAPHORE:
        for (unsigned i = 0; i < others; i++) {
            while (sem_wait(&g_all.semaphore) != 0) {
            }
        }
        break;
    case COUNT_PIPE:
        for (unsigned i = 0; i < others; i++) {
            check(read(g_all.pipe[0], &byte, 1) == 1, "pipe");
        }
        break;
    case CREATED:
    case GATHERINGS:
        break;
    }
}

static void *do_part_and_end(void *argument)
{
    do_own_part((unsigned)(uintptr_t)argument);
    return NULL;
}

/* Threads made for one round, and joined. */
static void do_parts_in_new_threads(unsigned self)
{
    pthread_t threads[THREADS_MAX];
    for (unsigned i = 0; i < g_threads; i++) {
        if (i != self) {
            check(pthread_create(&threads[i], NULL, do_part_and_end, (void *)(uintptr_t)i) == 0, "pthread_create");
        }
    }
    do_own_part(self);
    for (unsigned i = 0; i < g_threads; i++) {
        if (i != self) {
            pthread_join(threads[i], NULL);
        }
    }
}

static void do_parts_in_all(unsigned self)
{
    g_all.wanted = true;
    for (unsigned i = 0; i < g_threads; i++) {
        if (i != self) {
            wake(&g_places[i], g_places[i].way);
        }
    }
    do_own_part(self);
    wait_for_others(g_threads - 1);
    g_all.wanted = false;
}

static void part_of_all(unsigned self)
{
    if (g_all.gathering == CREATED) {
        do_parts_in_new_threads(self);
    } else {
        do_parts_in_all(self);
    }
}

/* All take a block each, and then all give it back: the largest sum is between the two. */
static void all_at_once(unsigned self)
{
    for (unsigned i = 0; i < g_threads; i++) {
        g_units[slot_of(i)] = 1 + pick(UNITS_MAX);
    }
    g_all.takes = true;
    g_all.gathering = (enum gathering)pick(GATHERINGS);
    part_of_all(self);
    for (unsigned i = 0; i < g_threads; i++) {
        enter_taken(slot_of(i), g_units[slot_of(i)]);
    }
    g_all.takes = false;
    g_all.gathering = (enum gathering)pick(GATHERINGS);
    part_of_all(self);
    for (unsigned i = 0; i < g_threads; i++) {
        enter_given_back(slot_of(i));
    }
}

/* ---- threads -------------------------------------------------------------------------------------------------------- */

/* Only of the calling thread, and of those it makes. */
static void forbid_tsc(void)
{
    check(prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) == 0, "PR_SET_TSC");
}

/* With the baton in hand: a round, and on to another thread. */
static void play(unsigned self)
{
    if (g_rounds == 0) {
        g_done = true;
    } else {
        g_rounds--;
        if (g_rounds == g_without_tsc) {
            forbid_tsc();
            g_without_tsc -= g_without_tsc > 0 ? 1 : 0;
        }
        if (pick(8) == 0) {
            all_at_once(self);
        } else {
            take_turn();
        }
        g_places[self].way = (enum way)pick(WAYS);
    }
    unsigned next = g_done ? (self + 1) % g_threads : (self + 1 + pick(g_threads - 1)) % g_threads;
    wake(&g_places[next], g_places[next].way);
}

static void *live(void *argument)
{
    unsigned self = (unsigned)(uintptr_t)argument;
    enum way way = SEMAPHORE;
    for (;;) {
        sleep_until_woken(&g_places[self], way);
        if (g_done) {
            break;
        }
        if (g_all.wanted) {
            do_own_part(self);
            arrive();
        } else {
            play(self);
            way = g_places[self].way;
        }
    }
    unsigned next = (self + 1) % g_threads; /* each lets the next one end */
    wake(&g_places[next], g_places[next].way);
    return NULL;
}

int main(int argc, char **argv)
{
    check(argc == 4 || argc == 5, "usage: order SEED ROUNDS THREADS");
    g_random = strtoull(argv[1], NULL, 10) * 0x9E3779B97F4A7C15u + 1;
    g_rounds = strtoull(argv[2], NULL, 10);
    g_threads = (unsigned)strtoul(argv[3], NULL, 10);
    g_without_tsc = argc == 5 ? g_rounds / 2 : UINT64_MAX;
    check(g_threads >= 2 && g_threads <= THREADS_MAX, "2 to 8 threads");
    pthread_barrier_init(&g_all.barrier, NULL, g_threads);
    sem_init(&g_all.semaphore, 0, 0);
    check(pipe(g_all.pipe) == 0, "no descriptors");
    pthread_t threads[THREADS_MAX];
    for (unsigned i = 0; i < g_threads; i++) {
        open_place(&g_places[i]);
        g_places[i].way = SEMAPHORE;
    }
    for (unsigned i = 0; i < g_threads; i++) {
        check(pthread_create(&threads[i], NULL, live, (void *)(uintptr_t)i) == 0, "pthread_create");
    }
    wake(&g_places[0], SEMAPHORE);
    for (unsigned i = 0; i < g_threads; i++) {
        pthread_join(threads[i], NULL);
    }
    dprintf(1, "TRUTH %llu %llu %llu\n", (unsigned long long)g_peak, (unsigned long long)g_allocations,
            (unsigned long long)g_frees);
    return 0;
}
