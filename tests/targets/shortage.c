/* shortage.c: one allocation of a known size fails, in a case_ function, while a known amount is held; afterwards most of it is
 * freed, more fails, and errno is what the failure left. Usage: shortage CASE. Prints {"asked", "held", "errno"}. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { KEPT = 200, BLOCK = 10007 };
static void *g_kept[KEPT];
static const size_t g_huge = (size_t)1 << 45;

__attribute__((noinline)) static void keep(void)
{
    for (int i = 0; i < KEPT; i++) {
        g_kept[i] = malloc(BLOCK);
    }
}

__attribute__((noinline)) static size_t case_malloc(void) { return malloc(g_huge) == NULL ? g_huge : 0; }
__attribute__((noinline)) static size_t case_calloc(void) { return calloc(g_huge / 8, 8) == NULL ? g_huge : 0; }
__attribute__((noinline)) static size_t case_realloc(void) { return realloc(g_kept[0], g_huge) == NULL ? g_huge : 0; }
__attribute__((noinline)) static size_t case_aligned(void)
{
    return aligned_alloc(64, g_huge) == NULL ? g_huge : 0;
}
__attribute__((noinline)) static size_t case_mmap(void)
{
    void *got = mmap(NULL, g_huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return got == MAP_FAILED ? g_huge : 0;
}

/* No more address space than there is: the first block too many. Nothing else may be wanted from here on. */
__attribute__((noinline)) static size_t case_limit(void)
{
    enum { PIECE = 1 << 20 };
    struct rlimit none = { 0, RLIM_INFINITY }, all;
    (void)getrlimit(RLIMIT_AS, &all);
    none.rlim_max = all.rlim_max;
    (void)setrlimit(RLIMIT_AS, &none);
    void *got = malloc(PIECE);
    int error = errno;
    (void)setrlimit(RLIMIT_AS, &all);
    errno = error;
    return got == NULL ? PIECE : 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        size_t (*run)(void);
    } cases[] = { { "malloc", case_malloc },   { "calloc", case_calloc }, { "realloc", case_realloc },
                  { "aligned", case_aligned }, { "mmap", case_mmap },     { "limit", case_limit } };
    size_t asked = 0;
    int error = 0;
    setvbuf(stdout, NULL, _IONBF, 0);
    keep();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (argc > 1 && strcmp(argv[1], cases[i].name) == 0) {
            errno = 0;
            asked = cases[i].run();
            error = errno;
        }
    }
    for (int i = 1; i < KEPT; i++) {
        free(g_kept[i]);
    }
    (void)case_malloc(); /* not the first */
    printf("{\"asked\": %zu, \"held\": %d, \"errno\": %d}\n", asked, KEPT * BLOCK, error);
    return 0;
}
