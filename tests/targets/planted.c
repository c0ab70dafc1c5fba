/* planted.c: what `memtap ask` is asked about: programs with one thing wrong with their memory, each on a line of its own, marked PLANTED.
 *
 * Usage: planted FAULT [LIBRARY]. fragmentation, stacks, mmap, reservation, tensor. LIBRARY is loaded first: a stand-in for torch's libc10.so, by its name
 * alone. Then it prints "ready PID" and waits for a line.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BLOCKS = 30000, THREADS = 40, STACK_BYTES = 600000 };
static pthread_barrier_t g_there, g_end;

static void *touched(void *block, size_t bytes)
{
    return memset(block, 1, bytes);
}

static void fragmentation(void)
{
    static void *gone[BLOCKS], *kept[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        gone[i] = touched(malloc(1500), 1500); /* PLANTED fragmentation */
        kept[i] = touched(malloc(40), 40);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        free(gone[i]);
    }
    free(kept[0]);
}

static void *deep(void *argument)
{
    char frame[STACK_BYTES];
    (void)touched(frame, sizeof frame);
    __asm__ volatile("" : : "r"(frame) : "memory");
    (void)pthread_barrier_wait(&g_there);
    (void)pthread_barrier_wait(&g_end);
    return argument;
}

static void stacks(void)
{
    pthread_t thread;
    (void)pthread_barrier_init(&g_there, NULL, THREADS + 1);
    (void)pthread_barrier_init(&g_end, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_create(&thread, NULL, deep, NULL); /* PLANTED stacks */
    }
    (void)pthread_barrier_wait(&g_there);
}

static void *map(size_t bytes, int access, int flags)
{
    return mmap(NULL, bytes, access, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0); /* PLANTED map */
}

static void tensor(void)
{
    void *storage;
    if (posix_memalign(&storage, 64, 40 << 20) == 0) { /* PLANTED tensor */
        (void)touched(storage, 40 << 20);
    }
}

int main(int argc, char **argv)
{
    const char *fault = argc > 1 ? argv[1] : "";
    if (argc > 2 && dlopen(argv[2], RTLD_NOW) == NULL) {
        return 1;
    }
    if (strcmp(fault, "fragmentation") == 0) {
        fragmentation();
    } else if (strcmp(fault, "stacks") == 0) {
        stacks();
    } else if (strcmp(fault, "mmap") == 0) {
        (void)touched(map(50 << 20, PROT_READ | PROT_WRITE, 0), 50 << 20);
    } else if (strcmp(fault, "reservation") == 0) {
        (void)map((size_t)16 << 30, PROT_NONE, MAP_NORESERVE);
    } else if (strcmp(fault, "tensor") == 0) {
        tensor();
    }
    printf("ready %d\n", (int)getpid());
    (void)fflush(stdout);
    (void)getchar();
    return 0;
}
