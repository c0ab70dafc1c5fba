/* family.c: a random tree of processes that keep one book of what all of them hold together.
 *
 * Usage: family SEED. Every allocation, free, fork and end happens under one lock in shared memory, so the order is total
 * and the largest sum is known to the byte. A process ends by _exit with the lock in its hands; whoever waits for the
 * lock and is its parent reaps it and gives the lock on, so that nothing happens between the last moment of a process
 * and its end. Prints the peak. Nothing else in it allocates.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCKS = 16, STEPS = 60, PROCESSES = 12, DEPTH = 3, PAGE = 4096 };

struct book {
    atomic_int locked;
    atomic_int dying_parent, dying; /* the lock is held by this process, which has ended or is about to */
    uint64_t held, peak;
    int processes;
};
static struct book *g_book;
static uint64_t g_seed;

static uint64_t below(uint64_t limit)
{
    uint64_t z = (g_seed += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (z ^ (z >> 31)) % limit;
}

static void reap_who_holds_the_lock(void)
{
    if (atomic_load(&g_book->dying_parent) == getpid()) {
        waitpid(atomic_load(&g_book->dying), NULL, 0);
        atomic_store(&g_book->dying_parent, 0);
        atomic_store(&g_book->locked, 0);
    }
}

static void take_lock(void)
{
    while (atomic_exchange(&g_book->locked, 1) != 0) {
        reap_who_holds_the_lock();
        sched_yield();
    }
}

static void give_lock(void)
{
    atomic_store(&g_book->locked, 0);
}

struct block {
    void *at;
    uint64_t bytes;
};

static void change(struct block *block)
{
    if (block->at != NULL) {
        g_book->held -= block->bytes;
        free(block->at);
        block->at = NULL;
        return;
    }
    block->bytes = 1 + below(below(4) == 0 ? 1000000 : 5000);
    block->at = malloc(block->bytes);
    g_book->held += block->bytes;
    g_book->peak = g_book->held > g_book->peak ? g_book->held : g_book->peak;
}

static void end(const struct block *blocks)
{
    take_lock();
    for (int i = 0; i < BLOCKS; i++) {
        g_book->held -= blocks[i].at != NULL ? blocks[i].bytes : 0;
    }
    atomic_store(&g_book->dying, getpid());
    atomic_store(&g_book->dying_parent, getppid());
    _exit(0);
}

/* Returns in the first process only. What a child inherits is its parent's. */
static void live(int depth)
{
    struct block blocks[BLOCKS] = { { NULL, 0 } };
    int children = 0;
    for (int step = 0; step < STEPS; step++) {
        take_lock();
        change(&blocks[below(BLOCKS)]);
        bool forks = depth < DEPTH && g_book->processes < PROCESSES && below(8) == 0;
        g_book->processes += forks;
        uint64_t seed = below(UINT64_MAX);
        pid_t pid = forks ? fork() : -1;
        if (pid == 0) {
            g_seed = seed;
            live(depth + 1);
        }
        children += forks;
        give_lock();
    }
    while (children > 0 && (waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED | WNOWAIT) == 0)) {
        reap_who_holds_the_lock();
    }
    if (depth > 0) {
        end(blocks);
    }
}

static void print(uint64_t value)
{
    char text[24];
    size_t at = sizeof text;
    text[--at] = '\n';
    do {
        text[--at] = (char)('0' + value % 10);
    } while ((value /= 10) > 0);
    if (write(1, text + at, sizeof text - at) < 0) {
        abort();
    }
}

int main(int argc, char **argv)
{
    g_book = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    if (g_book == MAP_FAILED) {
        return 1;
    }
    g_book->held = PAGE; /* the book itself is the first process's */
    live(0);
    print(g_book->peak);
    return 0;
}
