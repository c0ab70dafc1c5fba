/* maps.c: address ranges, one scenario a process (argument), in pages of 4096 bytes.
 *
 * Prints {"peak_pages": P, "live_pages": L, "maps": M}: of the ranges the scenario itself mapped, the largest sum alive
 * at one time, the sum alive at the end, and the number of mapping calls. Partial ranges must be exact: unmapping the
 * middle of a range leaves two, mapping over one replaces that part, holes in an unmapped range do not matter.
 */
#include "truth.h"

#include <fcntl.h>
#include <sys/mman.h>

enum { PAGE = 4096 };
struct expect {
    unsigned peak, live, maps;
};

static char *map_pages(char *at, size_t pages, int flags)
{
    char *p = mmap(at, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (p == MAP_FAILED) {
        abort();
    }
    return truth_keep(p);
}

static void unmap_pages(char *at, size_t pages)
{
    if (munmap(at, pages * PAGE) != 0) {
        abort();
    }
}

/* map 2, unmap 1, map 10 -> peak 11 */
CASE static struct expect case_unmap_half(void)
{
    char *p = map_pages(NULL, 2, 0);
    unmap_pages(p, 1);
    map_pages(NULL, 10, 0);
    return (struct expect){ 11, 11, 2 };
}

/* a hole in the middle leaves two ranges; each goes on its own */
CASE static struct expect case_split(void)
{
    char *p = map_pages(NULL, 30, 0);
    unmap_pages(p + 10 * PAGE, 10);
    unmap_pages(p, 10);
    map_pages(NULL, 15, 0);
    return (struct expect){ 30, 25, 2 };
}

/* one munmap over three ranges with gaps between them */
CASE static struct expect case_gap(void)
{
    char *p = map_pages(NULL, 50, 0);
    unmap_pages(p + 5 * PAGE, 5);
    unmap_pages(p + 20 * PAGE, 5);
    unmap_pages(p, 45);
    return (struct expect){ 50, 5, 1 };
}

/* MAP_FIXED replaces what was there */
CASE static struct expect case_fixed_over(void)
{
    char *p = map_pages(NULL, 20, 0);
    map_pages(p + 5 * PAGE, 5, MAP_FIXED);
    unmap_pages(p + 4 * PAGE, 2);
    return (struct expect){ 20, 18, 2 };
}

CASE static struct expect case_remap_grow(void)
{
    char *p = map_pages(NULL, 4, 0);
    p = mremap(p, 4 * PAGE, 40 * PAGE, MREMAP_MAYMOVE);
    if (p == MAP_FAILED) {
        abort();
    }
    unmap_pages(truth_keep(p), 10);
    return (struct expect){ 40, 30, 2 };
}

CASE static struct expect case_remap_shrink(void)
{
    char *p = map_pages(NULL, 40, 0);
    if (mremap(p, 40 * PAGE, 7 * PAGE, 0) != p) {
        abort();
    }
    return (struct expect){ 40, 7, 2 };
}

/* moves the middle of a range onto another one */
CASE static struct expect case_remap_fixed(void)
{
    char *from = map_pages(NULL, 9, 0);
    char *to = map_pages(NULL, 9, 0);
    char *p = mremap(from + 3 * PAGE, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + 3 * PAGE);
    if (p != to + 3 * PAGE) {
        abort();
    }
    return (struct expect){ 18, 15, 3 };
}

/* mremap with old size 0 duplicates a shared mapping */
CASE static struct expect case_remap_duplicate(void)
{
    char *p = mmap(NULL, 6 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *q = mremap(p, 0, 6 * PAGE, MREMAP_MAYMOVE);
    if (p == MAP_FAILED || q == MAP_FAILED || p == q) {
        abort();
    }
    return (struct expect){ 12, 12, 2 };
}

/* lengths that are not whole pages count as the kernel sees them */
CASE static struct expect case_odd_length(void)
{
    char *p = mmap(NULL, 4 * PAGE + 1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || munmap(p, 2 * PAGE - 1) != 0) {
        abort();
    }
    return (struct expect){ 5, 3, 1 };
}

/* failing calls leave no trace */
CASE static struct expect case_failures(void)
{
    char *p = map_pages(NULL, 3, 0);
    if (mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED ||
        mmap(NULL, (size_t)1 << 62, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED ||
        munmap(p + 1, PAGE) == 0 || mremap(p + 100 * PAGE + 1, PAGE, 2 * PAGE, 0) != MAP_FAILED) {
        abort();
    }
    return (struct expect){ 3, 3, 1 };
}

CASE static struct expect case_mmap64(void)
{
    char *p = mmap64(NULL, 8 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        abort();
    }
    unmap_pages(p + 7 * PAGE, 1);
    return (struct expect){ 8, 7, 1 };
}

/* more than 4 GiB in one range, never touched: it could be read */
CASE static struct expect case_huge(void)
{
    size_t bytes = (size_t)6 << 30;
    char *p = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        abort();
    }
    unmap_pages(p, 1);
    return (struct expect){ 1572864, 1572863, 1 };
}

static const struct {
    const char *name;
    struct expect (*run)(void);
} g_cases[] = {
    { "unmap_half", case_unmap_half },     { "split", case_split },
    { "gap", case_gap },                   { "fixed_over", case_fixed_over },
    { "remap_grow", case_remap_grow },     { "remap_shrink", case_remap_shrink },
    { "remap_fixed", case_remap_fixed },   { "remap_duplicate", case_remap_duplicate },
    { "odd_length", case_odd_length },     { "failures", case_failures },
    { "mmap64", case_mmap64 },             { "huge", case_huge },
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof g_cases / sizeof g_cases[0]; i++) {
        if (argc == 2 && strcmp(argv[1], g_cases[i].name) == 0) {
            struct expect e = g_cases[i].run();
            char text[128];
            int n = snprintf(text, sizeof text, "{\"peak_pages\":%u,\"live_pages\":%u,\"maps\":%u}\n", e.peak, e.live, e.maps);
            return write(1, text, (size_t)n) == n ? 0 : 1;
        }
    }
    for (size_t i = 0; argc == 1 && i < sizeof g_cases / sizeof g_cases[0]; i++) {
        (void)!write(1, g_cases[i].name, strlen(g_cases[i].name));
        (void)!write(1, "\n", 1);
    }
    return argc == 1 ? 0 : 2;
}
