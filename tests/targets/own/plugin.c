/* plugin.c: a library with a malloc of its own that nobody else sees, as extension modules have. */
#include "own/bump.h"

#define ENTRY __attribute__((noinline, noclone, used, visibility("hidden")))
#define CASE __attribute__((noinline, noclone, used))

ENTRY void *malloc(size_t size) { return bump(size); }
ENTRY void *calloc(size_t count, size_t size) { return bump(count * size); }
ENTRY void *realloc(void *old, size_t size) { return bump_moved(old, size); }
ENTRY void free(void *block) { bump_free(block); }

static void *volatile g_kept;

CASE static uint64_t case_plugin(void)
{
    uint64_t bytes = 0;
    for (size_t i = 1; i <= 10; i++) {
        g_kept = malloc(i * 1000);
        bytes += i * 1000;
    }
    return bytes;
}

uint64_t plugin_work(void);
uint64_t plugin_work(void)
{
    return case_plugin();
}
