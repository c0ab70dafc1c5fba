/* count.c: an independent count of a process's calls of malloc and its family; preloaded behind the agent.
 *
 * Counts what arrives at the next allocator: allocations and their requested bytes, frees of blocks; a realloc of a block is
 * both. Writes one line a process when it ends by exit(): `pid allocations bytes frees` into COUNT_FOLDER/pid.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_ulong g_allocations, g_bytes, g_frees;
static _Thread_local int t_inside; /* an allocator's own nested calls, and dlsym's */

#define REAL(name) ((__typeof__(name) *)real(#name, &g_##name))
static void *g_malloc, *g_calloc, *g_realloc, *g_free, *g_posix_memalign, *g_aligned_alloc, *g_memalign, *g_valloc, *g_pvalloc;
void *memalign(size_t align, size_t bytes);
void *pvalloc(size_t bytes);

static void *real(const char *name, void **slot)
{
    if (*slot == NULL) {
        t_inside++;
        *slot = dlsym(RTLD_NEXT, name);
        t_inside--;
    }
    return *slot;
}

static void *counted(void *block, size_t bytes)
{
    if (block != NULL && t_inside == 1) {
        atomic_fetch_add_explicit(&g_allocations, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&g_bytes, bytes, memory_order_relaxed);
    }
    t_inside--;
    return block;
}

#define CALL(call, bytes) (t_inside++, counted(call, bytes))

void *malloc(size_t bytes) { return CALL(REAL(malloc)(bytes), bytes); }
void *calloc(size_t count, size_t bytes) { return CALL(REAL(calloc)(count, bytes), count * bytes); }
void *aligned_alloc(size_t align, size_t bytes) { return CALL(REAL(aligned_alloc)(align, bytes), bytes); }
void *memalign(size_t align, size_t bytes) { return CALL(REAL(memalign)(align, bytes), bytes); }
void *valloc(size_t bytes) { return CALL(REAL(valloc)(bytes), bytes); }
void *pvalloc(size_t bytes) { return CALL(REAL(pvalloc)(bytes), bytes); }

int posix_memalign(void **ret, size_t align, size_t bytes)
{
    t_inside++;
    int status = REAL(posix_memalign)(ret, align, bytes);
    (void)counted(status == 0 ? *ret : NULL, bytes);
    return status;
}

static void count_free(void)
{
    if (t_inside == 1) {
        atomic_fetch_add_explicit(&g_frees, 1, memory_order_relaxed);
    }
}

void *realloc(void *old, size_t bytes)
{
    t_inside++;
    void *block = REAL(realloc)(old, bytes);
    if (old != NULL && (block != NULL || bytes == 0)) {
        count_free();
    }
    return counted(block, bytes);
}

void free(void *block)
{
    t_inside++;
    if (block != NULL) {
        count_free();
    }
    REAL(free)(block);
    t_inside--;
}

static char g_folder[256]; /* a copy: servers write their titles over the environment */

static void forked(void)
{
    g_allocations = g_bytes = g_frees = 0;
}

__attribute__((constructor)) static void start(void)
{
    t_inside++;
    const char *folder = getenv("COUNT_FOLDER");
    snprintf(g_folder, sizeof g_folder, "%s", folder != NULL ? folder : "");
    (void)pthread_atfork(NULL, NULL, forked);
    t_inside--;
}

__attribute__((destructor)) static void report(void)
{
    char path[512], line[128];
    t_inside++;
    if (g_folder[0] != 0) {
        snprintf(path, sizeof path, "%s/%d", g_folder, (int)getpid());
        int bytes = snprintf(line, sizeof line, "%d %lu %lu %lu\n", (int)getpid(), g_allocations, g_bytes, g_frees);
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
        if (fd >= 0) {
            if (write(fd, line, (size_t)bytes) < 0) {
                _exit(99);
            }
            close(fd);
        }
    }
    t_inside--;
}
