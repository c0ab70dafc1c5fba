/* touched.c: memory that is mapped usable with MAP_NORESERVE, and touched by parts. One scenario a process (argument), or
 * `random SEED STEPS`. A further argument `now`: ends by _exit.
 *
 * Prints {"peak_pages": P, "held_pages": H, "reserved_pages": R}; the peak of a random one is not known (0). Huge pages are turned off: the kernel then brings in exactly
 * the pages that are touched.
 */
#include "truth.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { PAGE = 4096 };
#define RESERVATION ((size_t)1 << 30)
enum { RESERVATION_PAGES = 1 << 18 };

struct expect {
    unsigned peak, held, reserved;
};

static char *reserve(void)
{
    char *p = mmap(NULL, RESERVATION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED || madvise(p, RESERVATION, MADV_NOHUGEPAGE) != 0) {
        abort();
    }
    return truth_keep(p);
}

static void touch(char *p, size_t from, size_t pages)
{
    for (size_t i = from; i < from + pages; i++) {
        p[i * PAGE] = 1;
    }
}

/* two runs, far apart */
CASE static struct expect case_kept(void)
{
    char *p = reserve();
    touch(p, 10, 1000);
    touch(p, 200000, 24);
    return (struct expect){ 1024, 1024, RESERVATION_PAGES - 1024 };
}

CASE static struct expect case_nothing(void)
{
    (void)reserve();
    return (struct expect){ 0, 0, RESERVATION_PAGES };
}

/* pages given back are reserved again */
CASE static struct expect case_given_back(void)
{
    char *p = reserve();
    touch(p, 0, 500);
    if (madvise(p, 500 * PAGE, MADV_DONTNEED) != 0) {
        abort();
    }
    touch(p, 5000, 300);
    return (struct expect){ 500, 300, RESERVATION_PAGES - 300 };
}

/* what is unmapped was held as far as it was touched; what remains goes on */
CASE static struct expect case_unmapped(void)
{
    char *p = reserve();
    touch(p, 0, 700);
    if (munmap(p + 100 * PAGE, 500 * PAGE) != 0) {
        abort();
    }
    touch(p, 900, 50);
    return (struct expect){ 700, 250, RESERVATION_PAGES - 500 - 250 };
}

/* a fixed map over it is an ordinary mapping */
CASE static struct expect case_replaced(void)
{
    char *p = reserve();
    touch(p, 0, 400);
    if (mmap(p, 100 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != p) {
        abort();
    }
    return (struct expect){ 400, 400, RESERVATION_PAGES - 400 };
}

/* it moves with its pages */
CASE static struct expect case_moved(void)
{
    char *p = reserve();
    touch(p, 50, 60);
    char *q = mremap(p, RESERVATION, 2 * RESERVATION, MREMAP_MAYMOVE);
    if (q == MAP_FAILED) {
        abort();
    }
    touch(q, 300000, 40);
    return (struct expect){ 100, 100, 2 * RESERVATION_PAGES - 100 };
}

/* what mprotect does to usable memory is not a touch */
CASE static struct expect case_protected(void)
{
    char *p = reserve();
    touch(p, 0, 16);
    if (mprotect(p, RESERVATION, PROT_NONE) != 0 || mprotect(p, RESERVATION, PROT_READ | PROT_WRITE) != 0) {
        abort();
    }
    return (struct expect){ 16, 16, RESERVATION_PAGES - 16 };
}

/* a filter forbids to ask which pages are there: all is held */
CASE static struct expect case_restricted(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mincore, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { sizeof code / sizeof code[0], code };
    touch(reserve(), 0, 10);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
        abort();
    }
    return (struct expect){ RESERVATION_PAGES, RESERVATION_PAGES, 0 };
}

/* ---- at random, page by page ---------------------------------------------------------------------------------------- */

enum { WINDOW_PAGES = 8192, RUN_MAX = 600, WATCHED_LEAST = 256 };
enum page_state { ABSENT, UNTOUCHED, HELD };

/* Where nobody else maps: holes in it stay holes. */
#define WINDOW_LOW 0x200000000000

static uint64_t g_random;
static enum page_state g_pages[WINDOW_PAGES];
static char *g_window;

static unsigned next_random(unsigned below)
{
    g_random ^= g_random << 13;
    g_random ^= g_random >> 7;
    g_random ^= g_random << 17;
    return (unsigned)(g_random >> 20) % below;
}

static void map_run(unsigned from, unsigned count, int flags)
{
    char *at = g_window + (size_t)from * PAGE;
    if (mmap(at, (size_t)count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | flags, -1, 0) != at ||
        madvise(at, (size_t)count * PAGE, MADV_NOHUGEPAGE) != 0) {
        abort();
    }
}

static void step(void)
{
    unsigned what = next_random(10);
    unsigned count = 1 + next_random(RUN_MAX);
    unsigned from = next_random(WINDOW_PAGES - RUN_MAX);
    int whole = what == 0 && count >= WATCHED_LEAST;
    if (what == 0) {
        map_run(from, count, whole ? MAP_NORESERVE : 0);
    } else if (what == 1 && munmap(g_window + (size_t)from * PAGE, (size_t)count * PAGE) != 0) {
        abort();
    }
    for (unsigned i = from; i < from + count; i++) {
        char *page = g_window + (size_t)i * PAGE;
        if (what == 0) {
            g_pages[i] = whole ? UNTOUCHED : HELD;
        } else if (what == 1) {
            g_pages[i] = ABSENT;
        } else if (what < 8 && g_pages[i] != ABSENT && i % 7 < what) {
            *page = 1;
            g_pages[i] = HELD;
        }
    }
}

/* Gives back what was touched of a reservation of its own: there every page given back is untouched again. */
static unsigned give_back_some(void)
{
    char *p = reserve();
    unsigned held = 0;
    for (unsigned round = 0; round < 50; round++) {
        touch(p, next_random(2000), 1 + next_random(100));
        if (madvise(p + (size_t)next_random(2000) * PAGE, (size_t)(1 + next_random(200)) * PAGE, MADV_DONTNEED) != 0) {
            abort();
        }
    }
    static unsigned char resident[4096];
    if (mincore(p, sizeof resident * PAGE, resident) != 0) {
        abort();
    }
    for (size_t i = 0; i < sizeof resident; i++) {
        held += resident[i] & 1;
    }
    return held;
}

static struct expect case_random(uint64_t seed, unsigned steps)
{
    struct expect e = { 0, 0, 0 };
    g_random = seed * 0x9E3779B97F4A7C15u | 1;
    g_window = (char *)WINDOW_LOW;
    e.held = give_back_some();
    e.reserved = RESERVATION_PAGES - e.held;
    for (unsigned i = 0; i < steps; i++) {
        step();
    }
    for (unsigned i = 0; i < WINDOW_PAGES; i++) {
        e.held += g_pages[i] == HELD;
        e.reserved += g_pages[i] == UNTOUCHED;
    }
    return e;
}

static int print(struct expect e)
{
    char text[128];
    int n = snprintf(text, sizeof text, "{\"peak_pages\":%u,\"held_pages\":%u,\"reserved_pages\":%u}\n", e.peak, e.held, e.reserved);
    return write(1, text, (size_t)n) == n ? 0 : 1;
}

static const struct {
    const char *name;
    struct expect (*run)(void);
} g_cases[] = {
    { "kept", case_kept },         { "nothing", case_nothing }, { "given_back", case_given_back },
    { "unmapped", case_unmapped }, { "replaced", case_replaced }, { "moved", case_moved },
    { "protected", case_protected }, { "restricted", case_restricted },
};

int main(int argc, char **argv)
{
    for (size_t i = 0; (argc == 2 || argc == 3) && i < sizeof g_cases / sizeof g_cases[0]; i++) {
        if (strcmp(argv[1], g_cases[i].name) == 0) {
            int result = print(g_cases[i].run());
            if (argc == 3) {
                _exit(result);
            }
            return result;
        }
    }
    if (argc == 4 && strcmp(argv[1], "random") == 0) {
        return print(case_random(strtoull(argv[2], NULL, 10), (unsigned)strtoul(argv[3], NULL, 10)));
    }
    return 2;
}
