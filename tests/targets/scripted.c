/* scripted.c: does what a script says, so that a test can generate programs and know their profile.
 *
 * Usage: scripted FILE. One operation a line, slots 0 … 63, sizes in bytes, page numbers inside a window of WINDOW pages
 * that is reserved first (by one anonymous mapping):
 *   m SLOT SIZE   malloc      c SLOT SIZE   calloc(1, SIZE)     a SLOT SIZE  posix_memalign(64)
 *   r SLOT SIZE   realloc     f SLOT        free                x SLOT SIZE  malloc in a thread of its own, joined
 *   y SLOT        free in a thread of its own, joined
 *   M FIRST COUNT mmap MAP_FIXED    U FIRST COUNT munmap    S FIRST COUNT LESS  mremap to COUNT - LESS pages in place
 * The script is read with read(2) into a static buffer; the program allocates nothing of its own but the threads.
 */
#include "truth.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

enum { SLOTS = 64, WINDOW = 64, PAGE = 4096 };
static void *g_slots[SLOTS];
static char *g_window;
static char g_script[256 * 1024];

struct operation {
    char code;
    unsigned long a, b, c;
};

/* Far below where the kernel places mappings by itself, so that nobody moves into its holes. */
static char *const g_window_place = (char *)0x200000000000;

CASE static void case_window(void)
{
    g_window = mmap(g_window_place, WINDOW * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (g_window == MAP_FAILED) {
        abort();
    }
}

CASE static void case_heap(const struct operation *o)
{
    void **slot = &g_slots[o->a % SLOTS];
    switch (o->code) {
    case 'm':
    case 'x':
        *slot = truth_keep(malloc(o->b));
        break;
    case 'c':
        *slot = truth_keep(calloc(1, o->b));
        break;
    case 'a':
        if (posix_memalign(slot, 64, o->b) != 0) {
            abort();
        }
        break;
    case 'r':
        *slot = truth_keep(realloc(*slot, o->b));
        break;
    default:
        free(*slot);
        *slot = NULL;
    }
}

CASE static void case_pages(const struct operation *o)
{
    char *at = g_window + o->a * PAGE;
    size_t bytes = o->b * PAGE;
    int failed = 0;
    if (o->code == 'M') {
        failed = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at;
    } else if (o->code == 'U') {
        failed = munmap(at, bytes) != 0;
    } else {
        failed = mremap(at, bytes, bytes - o->c * PAGE, 0) != at;
    }
    if (failed) {
        abort();
    }
}

static void *in_thread(void *operation)
{
    case_heap(operation);
    return NULL;
}

static void operate(struct operation *o)
{
    pthread_t thread;
    if (strchr("MUS", o->code) != NULL) {
        case_pages(o);
    } else if (strchr("xy", o->code) != NULL) {
        if (pthread_create(&thread, NULL, in_thread, o) != 0 || pthread_join(thread, NULL) != 0) {
            abort();
        }
    } else {
        case_heap(o);
    }
}

int main(int argc, char **argv)
{
    int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
    if (fd < 0 || read(fd, g_script, sizeof g_script - 1) < 0) {
        return 2;
    }
    case_window();
    for (char *at = g_script; *at != '\0'; at++) {
        struct operation o = { .code = *at };
        o.a = strtoul(at + 1, &at, 10);
        o.b = strtoul(at, &at, 10);
        o.c = strtoul(at, &at, 10);
        operate(&o);
    }
    return 0;
}
