/* reservations.c: address space that is reserved, made usable by parts, closed, given back and moved, at random.
 *
 *     reservations random SEED STEPS [THREADS]     each thread in a window of its own
 *     reservations fork SEED STEPS                 a child goes on in a window of its own
 *     reservations inherit 0 0                     a child makes usable what its parent reserved
 *
 * Prints {"peak_pages": P, "held_pages": H, "reserved_pages": R}: the largest number of pages held at one time (one thread only,
 * else 0), and what is held and reserved at the end. A page is held once it was made usable, until it is unmapped, replaced by
 * a reservation, or both closed (PROT_NONE) and given back (MADV_DONTNEED). The books are kept page by page.
 */
#include "truth.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { PAGE = 4096, PAGES = 1024, RUN_MAX = 48, THREADS_MAX = 8 };
enum page_state { ABSENT, RESERVED, HELD };

struct page {
    enum page_state state;
    int usable, emptied;
};

struct window {
    char *base;
    struct page pages[PAGES];
    uint64_t random;
    unsigned steps, held, peak;
};

/* Windows lie where nobody else maps: holes in them stay holes. */
#define WINDOWS_LOW 0x200000000000
#define WINDOW_STRIDE ((size_t)1 << 30)
static struct window g_windows[THREADS_MAX];

static uint64_t next_random(struct window *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random;
}

static char *at(const struct window *w, unsigned page)
{
    return w->base + (size_t)page * PAGE;
}

static void set_run(struct window *w, unsigned from, unsigned count, enum page_state state, int usable)
{
    for (unsigned i = from; i < from + count; i++) {
        w->held -= w->pages[i].state == HELD;
        w->held += state == HELD;
        w->pages[i] = (struct page){ state, usable, 0 };
    }
}

static void give_up(struct window *w, struct page *page)
{
    if (page->state == HELD && !page->usable && page->emptied) {
        page->state = RESERVED;
        w->held--;
    }
}

static int is_mapped(const struct window *w, unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++) {
        if (w->pages[i].state == ABSENT) {
            return 0;
        }
    }
    return 1;
}

static void step_map(struct window *w, unsigned from, unsigned count, int protection)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | (protection == PROT_NONE ? MAP_NORESERVE : 0);
    if (mmap(at(w, from), (size_t)count * PAGE, protection, flags, -1, 0) != at(w, from)) {
        abort();
    }
    set_run(w, from, count, protection == PROT_NONE ? RESERVED : HELD, protection != PROT_NONE);
}

static void step_protect(struct window *w, unsigned from, unsigned count, int protection)
{
    if (!is_mapped(w, from, count) || mprotect(at(w, from), (size_t)count * PAGE, protection) != 0) {
        return;
    }
    for (unsigned i = from; i < from + count; i++) {
        struct page *page = &w->pages[i];
        page->usable = protection != PROT_NONE;
        if (page->usable) {
            w->held += page->state != HELD;
            page->state = HELD;
            page->emptied = 0;
        }
        give_up(w, page);
    }
}

static void step_give_back(struct window *w, unsigned from, unsigned count)
{
    if (!is_mapped(w, from, count) || madvise(at(w, from), (size_t)count * PAGE, MADV_DONTNEED) != 0) {
        return;
    }
    for (unsigned i = from; i < from + count; i++) {
        w->pages[i].emptied = 1;
        give_up(w, &w->pages[i]);
    }
}

static void step_unmap(struct window *w, unsigned from, unsigned count)
{
    if (munmap(at(w, from), (size_t)count * PAGE) != 0) {
        abort();
    }
    set_run(w, from, count, ABSENT, 0);
}

/* Moves a run of one kind, which may grow. */
static void step_move(struct window *w, unsigned from, unsigned count, unsigned to)
{
    struct page first = w->pages[from];
    unsigned grown = count + (unsigned)(next_random(w) % 4);
    for (unsigned i = from; i < from + count; i++) {
        struct page page = w->pages[i];
        int same = page.state == first.state && page.usable == first.usable && !page.emptied;
        if (!same || (page.state == HELD && !page.usable) || page.state == ABSENT) {
            return;
        }
    }
    if (grown > RUN_MAX || (from < to + grown && to < from + count)) {
        return;
    }
    char *moved = mremap(at(w, from), (size_t)count * PAGE, (size_t)grown * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(w, to));
    if (moved == MAP_FAILED) {
        return; /* the run is several mappings of the kernel's */
    }
    set_run(w, from, count, ABSENT, 0);
    set_run(w, to, grown, first.state, first.usable);
}

CASE static void case_step(struct window *w)
{
    uint64_t r = next_random(w);
    unsigned count = 1 + (unsigned)(r >> 8) % RUN_MAX;
    unsigned from = (unsigned)(r >> 20) % (PAGES - RUN_MAX);
    unsigned to = (unsigned)(r >> 40) % (PAGES - RUN_MAX);
    switch (r % 8) {
    case 0:
        step_map(w, from, count, PROT_NONE);
        break;
    case 1:
        step_map(w, from, count, PROT_READ | PROT_WRITE);
        break;
    case 2:
        step_protect(w, from, count, PROT_READ | PROT_WRITE);
        break;
    case 3:
        step_protect(w, from, count, PROT_READ);
        break;
    case 4:
        step_protect(w, from, count, PROT_NONE);
        break;
    case 5:
        step_give_back(w, from, count);
        break;
    case 6:
        step_unmap(w, from, 1 + count % 4);
        break;
    default:
        step_move(w, from, 1 + count % 8, to);
        break;
    }
    w->peak = w->held > w->peak ? w->held : w->peak;
}

static void open_window(struct window *w, uint64_t seed, unsigned steps)
{
    w->random = seed * 0x9E3779B97F4A7C15u | 1;
    w->steps = steps;
    w->base = (char *)WINDOWS_LOW + (size_t)(w - g_windows) * WINDOW_STRIDE;
    if (mmap(w->base, (size_t)PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != w->base) {
        abort();
    }
    set_run(w, 0, PAGES, RESERVED, 0);
}

static void *run_window(void *argument)
{
    struct window *w = argument;
    for (unsigned i = 0; i < w->steps; i++) {
        case_step(w);
    }
    return NULL;
}

static void print_windows(const struct window *windows, unsigned count)
{
    unsigned held = 0, reserved = 0;
    for (unsigned t = 0; t < count; t++) {
        held += windows[t].held;
        for (unsigned i = 0; i < PAGES; i++) {
            reserved += windows[t].pages[i].state == RESERVED;
        }
    }
    char text[128];
    int n = snprintf(text, sizeof text, "{\"peak_pages\":%u,\"held_pages\":%u,\"reserved_pages\":%u}\n",
                     count == 1 ? windows[0].peak : 0, held, reserved);
    (void)!write(1, text, (size_t)n);
}

static void run_threads(unsigned count, uint64_t seed, unsigned steps)
{
    pthread_t threads[THREADS_MAX];
    for (unsigned t = 0; t < count; t++) {
        open_window(&g_windows[t], seed + t, steps);
    }
    for (unsigned t = 1; t < count; t++) {
        if (pthread_create(&threads[t], NULL, run_window, &g_windows[t]) != 0) {
            abort();
        }
    }
    (void)run_window(&g_windows[0]);
    for (unsigned t = 1; t < count; t++) {
        (void)pthread_join(threads[t], NULL);
    }
    print_windows(g_windows, count);
}

static void run_and_fork(uint64_t seed, unsigned steps)
{
    open_window(&g_windows[0], seed, steps);
    (void)run_window(&g_windows[0]);
    pid_t child = fork();
    if (child == 0) {
        open_window(&g_windows[1], seed + 1, steps);
        (void)run_window(&g_windows[1]);
        print_windows(&g_windows[1], 1);
        _exit(0);
    }
    (void)waitpid(child, NULL, 0);
    (void)run_window(&g_windows[0]);
    print_windows(g_windows, 1);
}

/* The parent holds pages 0 to 9. The child makes usable 20 to 49, and 5 to 14, which closes a gap; opens 0 to 4 anew, which are its
 * parent's; gives up 40 to 49. To the child, what it made usable is held: 10 to 14 and 20 to 39. */
static void run_and_inherit(void)
{
    struct window *w = &g_windows[0];
    open_window(w, 0, 0);
    step_protect(w, 0, 10, PROT_READ | PROT_WRITE);
    w->peak = w->held;
    pid_t child = fork();
    if (child == 0) {
        step_protect(w, 20, 30, PROT_READ | PROT_WRITE);
        step_protect(w, 5, 10, PROT_READ | PROT_WRITE);
        step_protect(w, 0, 5, PROT_READ);
        w->peak = w->held - 10; /* without the parent's */
        step_protect(w, 40, 10, PROT_NONE);
        step_give_back(w, 40, 10);
        w->held -= 10;
        print_windows(w, 1);
        _exit(0);
    }
    (void)waitpid(child, NULL, 0);
    print_windows(w, 1);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        return 2;
    }
    uint64_t seed = strtoull(argv[2], NULL, 10);
    unsigned steps = (unsigned)strtoul(argv[3], NULL, 10);
    unsigned threads = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 1;
    if (strcmp(argv[1], "fork") == 0) {
        run_and_fork(seed, steps);
    } else if (strcmp(argv[1], "inherit") == 0) {
        run_and_inherit();
    } else {
        run_threads(threads < THREADS_MAX ? threads : THREADS_MAX, seed, steps);
    }
    return 0;
}
