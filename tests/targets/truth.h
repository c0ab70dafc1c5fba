/* truth.h: how a target states what it did with memory.
 *
 * Decides: the form of the truth. Every case is a function of its own, named case_*; it calls truth_alloc / truth_free
 * with its own name for every block, and truth_print writes one JSON object to a descriptor when the program is done:
 *   {"case_x": {"allocations": 3, "bytes": 300, "frees": 1, "live": 2, "live_bytes": 200}, ...}
 * A block belongs to the function that allocated it, also when another one frees it.
 * Nothing here allocates: rows are static, numbers are formatted into a static buffer, output is write(2). So a program
 * whose cases do nothing makes no allocation at all.
 * Rows are added under a spin lock and found without it; counting is atomic, so cases may run in any number of threads
 * and in signal handlers (a handler must not be the first to name its row: call truth_row before).
 */
#ifndef TRUTH_H
#define TRUTH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* include this header first */
#endif

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CASE __attribute__((noinline, noclone, used))
enum { TRUTH_ROWS_MAX = 128 };

struct truth {
    const char *function;
    uint64_t allocations, bytes, frees, freed_bytes;
};
static struct truth g_truth[TRUTH_ROWS_MAX];
static unsigned g_truth_count;
static int g_truth_lock;

/* Stops the compiler from removing or merging what it can prove unused. */
static inline void *truth_keep(void *p)
{
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}

static struct truth *truth_find(const char *function)
{
    unsigned count = __atomic_load_n(&g_truth_count, __ATOMIC_ACQUIRE);
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(g_truth[i].function, function) == 0) {
            return &g_truth[i];
        }
    }
    return NULL;
}

static struct truth *truth_row(const char *function)
{
    struct truth *row = truth_find(function);
    if (row != NULL) {
        return row;
    }
    while (__atomic_exchange_n(&g_truth_lock, 1, __ATOMIC_ACQUIRE)) {
    }
    row = truth_find(function);
    if (row == NULL) {
        if (g_truth_count == TRUTH_ROWS_MAX) {
            abort();
        }
        row = &g_truth[g_truth_count];
        row->function = function;
        __atomic_store_n(&g_truth_count, g_truth_count + 1, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&g_truth_lock, 0, __ATOMIC_RELEASE);
    return row;
}

static inline void *truth_alloc(const char *function, void *block, uint64_t bytes)
{
    struct truth *row = truth_row(function);
    __atomic_add_fetch(&row->allocations, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&row->bytes, bytes, __ATOMIC_RELAXED);
    return truth_keep(block);
}

static inline void truth_free(const char *function, uint64_t bytes)
{
    struct truth *row = truth_row(function);
    __atomic_add_fetch(&row->frees, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&row->freed_bytes, bytes, __ATOMIC_RELAXED);
}

#define TRUTH_ALLOC(call, bytes) truth_alloc(__func__, (call), (bytes))
#define TRUTH_FREED(bytes) truth_free(__func__, (bytes))

static inline void truth_print(int fd)
{
    static char text[32 * 1024];
    size_t at = 0;
    text[at++] = '{';
    for (unsigned i = 0; i < g_truth_count; i++) {
        const struct truth *t = &g_truth[i];
        at += (size_t)snprintf(text + at, sizeof text - at,
                               "%s\"%s\":{\"allocations\":%llu,\"bytes\":%llu,\"frees\":%llu,\"live\":%llu,\"live_bytes\":%llu}",
                               i ? "," : "", t->function, (unsigned long long)t->allocations,
                               (unsigned long long)t->bytes, (unsigned long long)t->frees,
                               (unsigned long long)(t->allocations - t->frees),
                               (unsigned long long)(t->bytes - t->freed_bytes));
    }
    at += (size_t)snprintf(text + at, sizeof text - at, "}\n");
    (void)!write(fd, text, at);
}

#endif
