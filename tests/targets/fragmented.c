/* fragmented.c: what `memtap memory` is asked about: heaps of glibc that know how fragmented they are.
 *
 * Usage: fragmented THREADS. The main thread and THREADS others, each in an arena of its own, keep blocks of many sizes and free two of
 * three, so that hardly any two free ones are neighbours; two blocks are so large that malloc maps them, and one mapping is the program's own.
 * All written to. Then it prints, as one line of JSON, what malloc_info says of all arenas together, and what it mapped, and waits for a line:
 * "trim" calls malloc_trim(0) and prints the same again, anything else ends it.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BLOCKS = 30000, LARGE_BYTES = 3 << 20, OWN_BYTES = 5 << 20, THREADS_MAX = 8 };

static pthread_barrier_t g_made, g_end;

static void fragment(unsigned seed)
{
    static __thread void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = 24 + (size_t)(rand_r(&seed) % 2000) * (i % 16 == 0 ? 8 : 1);
        blocks[i] = malloc(size);
        memset(blocks[i], 1, size);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        if (i % 3 != 0) {
            free(blocks[i]);
        }
    }
}

static void *work(void *number)
{
    fragment((unsigned)(uintptr_t)number);
    (void)pthread_barrier_wait(&g_made);
    (void)pthread_barrier_wait(&g_end);
    return NULL;
}

/* The number in the last ATTRIBUTE="…" behind the last TAG: the sum over all arenas stands at the end. */
static unsigned long long last_number(const char *text, const char *tag, const char *attribute)
{
    const char *found = NULL;
    for (const char *at = strstr(text, tag); at != NULL; at = strstr(at + 1, tag)) {
        found = at;
    }
    found = found != NULL ? strstr(found, attribute) : NULL;
    return found != NULL ? strtoull(found + strlen(attribute), NULL, 10) : 0;
}

static void print_truth(void)
{
    static char text[1 << 20]; /* not malloc's, which is being measured */
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    if (out == NULL || malloc_info(0, out) != 0) {
        abort();
    }
    (void)fclose(out);
    printf("{\"pid\": %d, \"system\": %llu, \"fast\": %llu, \"rest\": %llu, \"mmap\": %llu, \"large\": %d, \"own\": %d}\n", (int)getpid(),
           last_number(text, "<system type=\"current\"", "size=\""), last_number(text, "<total type=\"fast\"", "size=\""),
           last_number(text, "<total type=\"rest\"", "size=\""), last_number(text, "<total type=\"mmap\"", "size=\""), 2 * LARGE_BYTES, OWN_BYTES);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    static char output[4096], line[64];
    pthread_t threads[THREADS_MAX];
    int count = argc > 1 ? atoi(argv[1]) : 0;
    (void)setvbuf(stdout, output, _IOLBF, sizeof output);
    (void)setvbuf(stdin, NULL, _IONBF, 0);
    if (count > THREADS_MAX) {
        return 2;
    }
    (void)pthread_barrier_init(&g_made, NULL, (unsigned)count + 1);
    (void)pthread_barrier_init(&g_end, NULL, (unsigned)count + 1);
    for (int i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)(i + 2)) != 0) {
            return 2;
        }
    }
    fragment(1);
    for (int i = 0; i < 2; i++) {
        memset(malloc(LARGE_BYTES), 1, LARGE_BYTES);
    }
    memset(mmap(NULL, OWN_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1, OWN_BYTES);
    (void)pthread_barrier_wait(&g_made);
    print_truth();
    while (fgets(line, sizeof line, stdin) != NULL && strcmp(line, "trim\n") == 0) {
        (void)malloc_trim(0);
        print_truth();
    }
    (void)pthread_barrier_wait(&g_end);
    for (int i = 0; i < count; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    return 0;
}
