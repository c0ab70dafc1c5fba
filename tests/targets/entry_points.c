/* entry_points.c: every C allocation entry point, with sizes that occur nowhere else.
 *
 * Each case allocates through one entry point, frees some blocks and keeps the others; the truth is by function. Cases
 * that libc may lack (C23 free_sized and friends) are looked up and left out of the truth when absent. The innermost
 * frame of each record must be the case itself.
 */
#include "truth.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>

static void *g_kept[256];
static unsigned g_kept_count;

static void keep(void *p)
{
    g_kept[g_kept_count++] = p;
}

CASE static void case_malloc(void)
{
    for (size_t i = 0; i < 10; i++) {
        void *p = TRUTH_ALLOC(malloc(1001 + i), 1001 + i);
        if (i % 2) {
            free(p);
            TRUTH_FREED(1001 + i);
        } else {
            keep(p);
        }
    }
}

CASE static void case_malloc_zero(void)
{
    keep(TRUTH_ALLOC(malloc(0), 0));
    void *p = TRUTH_ALLOC(malloc(0), 0);
    free(p);
    TRUTH_FREED(0);
}

CASE static void case_malloc_fails(void)
{
    void *p = malloc((size_t)1 << 62);
    if (p != NULL || errno != ENOMEM) {
        abort();
    }
}

CASE static void case_malloc_huge(void)
{
    keep(TRUTH_ALLOC(malloc((size_t)5 << 30), (uint64_t)5 << 30)); /* never touched */
    void *p = TRUTH_ALLOC(malloc((size_t)3 << 30), (uint64_t)3 << 30);
    free(p);
    TRUTH_FREED((uint64_t)3 << 30);
}

CASE static void case_calloc(void)
{
    keep(TRUTH_ALLOC(calloc(7, 301), 7 * 301));
    void *p = TRUTH_ALLOC(calloc(1, 77), 77);
    free(p);
    TRUTH_FREED(77);
    volatile size_t many = (size_t)1 << 40;
    if (calloc(many, many) != NULL) { /* the product overflows: must fail, must not be recorded */
        abort();
    }
}

CASE static void case_realloc(void)
{
    void *p = TRUTH_ALLOC(realloc(NULL, 120), 120);
    for (size_t size = 240; size <= 120 * 1024; size *= 2) {
        uint64_t old = size / 2;
        p = TRUTH_ALLOC(realloc(p, size), size);
        TRUTH_FREED(old);
    }
    keep(p);
}

CASE static void case_realloc_shrinks(void)
{
    void *p = TRUTH_ALLOC(malloc(9000), 9000);
    p = TRUTH_ALLOC(realloc(p, 90), 90);
    TRUTH_FREED(9000);
    keep(p);
}

CASE static void case_realloc_to_zero(void)
{
    void *p = TRUTH_ALLOC(malloc(555), 555);
    p = realloc(p, 0); /* glibc: frees, returns NULL */
    TRUTH_FREED(555);
    if (p != NULL) {
        abort();
    }
}

CASE static void case_realloc_fails(void)
{
    void *p = TRUTH_ALLOC(malloc(666), 666);
    if (realloc(p, (size_t)1 << 62) != NULL) {
        abort();
    }
    keep(p); /* the old block stays */
}

CASE static void case_reallocarray(void)
{
    void *p = TRUTH_ALLOC(reallocarray(NULL, 11, 13), 143);
    p = TRUTH_ALLOC(reallocarray(p, 22, 13), 286);
    TRUTH_FREED(143);
    volatile size_t many = (size_t)1 << 40;
    if (reallocarray(p, many, many) != NULL) {
        abort();
    }
    keep(p);
}

CASE static void case_posix_memalign(void)
{
    void *p = NULL;
    if (posix_memalign(&p, 4096, 2002) != 0 || ((uintptr_t)p & 4095) != 0) {
        abort();
    }
    keep(TRUTH_ALLOC(p, 2002));
    if (posix_memalign(&p, 64, 2004) != 0) {
        abort();
    }
    free(TRUTH_ALLOC(p, 2004));
    TRUTH_FREED(2004);
    volatile size_t odd = 3;
    if (posix_memalign(&p, odd, 100) != EINVAL) {
        abort();
    }
}

CASE static void case_aligned_alloc(void)
{
    keep(TRUTH_ALLOC(aligned_alloc(256, 2560), 2560));
    free(TRUTH_ALLOC(aligned_alloc(64, 640), 640));
    TRUTH_FREED(640);
}

CASE static void case_memalign(void)
{
    keep(TRUTH_ALLOC(memalign(128, 3003), 3003));
    free(TRUTH_ALLOC(memalign(32, 3005), 3005));
    TRUTH_FREED(3005);
}

CASE static void case_valloc(void)
{
    keep(TRUTH_ALLOC(valloc(4004), 4004));
    free(TRUTH_ALLOC(valloc(4006), 4006));
    TRUTH_FREED(4006);
}

CASE static void case_pvalloc(void)
{
    keep(TRUTH_ALLOC(pvalloc(5005), 5005)); /* the request; glibc rounds it up to pages */
    free(TRUTH_ALLOC(pvalloc(5007), 5007));
    TRUTH_FREED(5007);
}

CASE static void case_free_null(void)
{
    free(NULL);
    errno = 77;
    free(truth_keep(NULL));
    if (errno != 77) {
        abort();
    }
}

CASE static void case_usable_size(void)
{
    void *p = TRUTH_ALLOC(malloc(6006), 6006);
    if (malloc_usable_size(p) < 6006 || malloc_usable_size(NULL) != 0) {
        abort();
    }
    keep(p);
}

/* C23; in glibc from 2.43, and exported by the agent when libc has them. */
CASE static void case_free_sized(void)
{
    void (*sized)(void *, size_t) = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
    void (*aligned)(void *, size_t, size_t) = (void (*)(void *, size_t, size_t))dlsym(RTLD_DEFAULT, "free_aligned_sized");
    if (sized != NULL) {
        sized(TRUTH_ALLOC(malloc(7001), 7001), 7001);
        TRUTH_FREED(7001);
    }
    if (aligned != NULL) {
        aligned(TRUTH_ALLOC(aligned_alloc(64, 7040), 7040), 64, 7040);
        TRUTH_FREED(7040);
    }
}

int main(void)
{
    case_malloc();
    case_malloc_zero();
    case_malloc_fails();
    case_malloc_huge();
    case_calloc();
    case_realloc();
    case_realloc_shrinks();
    case_realloc_to_zero();
    case_realloc_fails();
    case_reallocarray();
    case_posix_memalign();
    case_aligned_alloc();
    case_memalign();
    case_valloc();
    case_pvalloc();
    case_free_null();
    case_usable_size();
    case_free_sized();
    truth_print(1);
    return 0;
}
