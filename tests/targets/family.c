/* family.c: a random tree of processes that keep one book of what all of them hold together.
 *
 * Usage: family SEED. Every allocation, free, fork, exec and end happens under one lock in shared memory, so the order is total
 * and the largest sum is known to the byte. A process ends by _exit with the lock in its hands; whoever waits for the
 * lock and is its parent reaps it and gives the lock on, so that nothing happens between the last moment of a process
 * and its end. Children come by fork, and by fork, vfork and posix_spawn with an exec behind it; a process may also become this
 * program anew, by exec with the lock in its hands, which the new one gives back. Half of the execs clean the environment.
 * Prints TRUTH PEAK. Nothing else in it allocates.
 *
 * After exec: family SEED BOOK DEPTH CHILDREN HAS_LOCK, where BOOK is the descriptor of the shared memory.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCKS = 16, STEPS = 60, PROCESSES = 12, EXECS = 6, DEPTH = 3, PAGE = 4096, TEXT = 24 };
enum birth { BY_FORK, BY_FORK_EXEC, BY_VFORK, BY_SPAWN, BIRTHS };

struct book {
    atomic_int locked;
    atomic_int dying_parent, dying; /* the lock is held by this process, which has ended or is about to */
    uint64_t held, peak;
    int processes, execs;
};
static struct book *g_book;
static int g_book_fd;
static uint64_t g_seed;
static char g_self[4096];
extern char **environ;
static char *g_no_environment[] = { NULL };

static uint64_t below(uint64_t limit)
{
    uint64_t z = (g_seed += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (z ^ (z >> 31)) % limit;
}

/* ---- the lock ----------------------------------------------------------------------------------------------------------- */

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

/* ---- blocks ------------------------------------------------------------------------------------------------------------- */

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

static void strike_out(const struct block *blocks)
{
    for (int i = 0; i < BLOCKS; i++) {
        g_book->held -= blocks[i].at != NULL ? blocks[i].bytes : 0;
    }
}

/* ---- text --------------------------------------------------------------------------------------------------------------- */

/* Decimal, at the end of the room. */
static char *decimal(uint64_t value, char room[TEXT])
{
    char *at = room + TEXT - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + value % 10);
    } while ((value /= 10) > 0);
    return at;
}

struct arguments {
    char text[5][TEXT];
    char *argv[7];
};

static void set_arguments(struct arguments *a, uint64_t seed, int depth, int children, bool has_lock)
{
    const uint64_t values[] = { seed, (uint64_t)g_book_fd, (uint64_t)depth, (uint64_t)children, has_lock };
    a->argv[0] = g_self;
    for (int i = 0; i < 5; i++) {
        a->argv[i + 1] = decimal(values[i], a->text[i]);
    }
    a->argv[6] = NULL;
}

/* ---- processes ------------------------------------------------------------------------------------------------------------ */

static void end(const struct block *blocks)
{
    take_lock();
    strike_out(blocks);
    atomic_store(&g_book->dying, getpid());
    atomic_store(&g_book->dying_parent, getppid());
    _exit(0);
}

/* With the lock; the blocks go. */
static void become_anew(const struct block *blocks, int depth, int children)
{
    struct arguments a;
    strike_out(blocks);
    set_arguments(&a, below(UINT64_MAX), depth, children, true);
    execve(g_self, a.argv, below(2) == 0 ? environ : g_no_environment);
    abort();
}

/* With the lock. Returns 0 in a child that goes on by itself. */
static pid_t bear(enum birth birth, uint64_t seed, int depth)
{
    struct arguments a;
    char **environment = below(2) == 0 ? environ : g_no_environment;
    pid_t pid = -1;
    set_arguments(&a, seed, depth, 0, false);
    if (birth == BY_FORK) {
        return fork();
    }
    if (birth == BY_SPAWN) {
        if (posix_spawn(&pid, g_self, NULL, NULL, a.argv, environment) != 0) {
            abort();
        }
        return pid;
    }
    pid = birth == BY_VFORK ? vfork() : fork();
    if (pid == 0) {
        execve(g_self, a.argv, environment);
        _exit(9);
    }
    return pid;
}

/* Returns in the first process only. What a child inherits is its parent's. */
static void live(int depth, int children)
{
    struct block blocks[BLOCKS] = { { NULL, 0 } };
    for (int step = 0; step < STEPS; step++) {
        take_lock();
        change(&blocks[below(BLOCKS)]);
        if (g_book->execs < EXECS && below(50) == 0) {
            g_book->execs++;
            become_anew(blocks, depth, children);
        }
        bool bears = depth < DEPTH && g_book->processes < PROCESSES && below(8) == 0;
        g_book->processes += bears;
        uint64_t seed = below(UINT64_MAX);
        enum birth birth = (enum birth)below(BIRTHS);
        if (bears && bear(birth, seed, depth + 1) == 0) {
            g_seed = seed;
            live(depth + 1, 0);
        }
        children += bears;
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
    static const char truth[] = "TRUTH ";
    char room[TEXT];
    char *text = decimal(value, room);
    room[TEXT - 1] = '\n';
    if (write(1, truth, sizeof truth - 1) < 0 || write(1, text, (size_t)(room + TEXT - text)) < 0) {
        abort();
    }
}

int main(int argc, char **argv)
{
    bool anew = argc == 6;
    g_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    g_book_fd = anew ? atoi(argv[2]) : memfd_create("book", 0);
    if (readlink("/proc/self/exe", g_self, sizeof g_self - 1) <= 0 || (!anew && ftruncate(g_book_fd, PAGE) != 0)) {
        return 1;
    }
    g_book = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, g_book_fd, 0); /* of a file: nothing that is held */
    if (g_book == MAP_FAILED) {
        return 1;
    }
    if (anew && argv[5][0] == '1') {
        give_lock();
    }
    live(anew ? atoi(argv[3]) : 0, anew ? atoi(argv[4]) : 0);
    print(g_book->peak);
    return 0;
}
