/* plugin_early.c: a library whose allocator is at work in its constructor: it maps its memory there and gives blocks. */
#include "own/bump.h"

#define ENTRY __attribute__((noinline, noclone, used, visibility("hidden")))
#define CASE __attribute__((noinline, noclone, used))

static void *volatile g_kept;

ENTRY void _rjem_boot(void) { g_kept = bump(1); }
ENTRY void *_rjem_malloc(size_t size) { return bump(size); }
ENTRY void _rjem_sdallocx(void *block, size_t size, int flags) { (void)size; (void)flags; bump_free(block); }

CASE static uint64_t case_early(void)
{
    uint64_t bytes = 0;
    for (size_t i = 1; i <= 10; i++) {
        g_kept = _rjem_malloc(i * 100);
        bytes += i * 100;
    }
    return bytes;
}

static uint64_t g_bytes;

__attribute__((constructor)) static void construct(void)
{
    _rjem_boot();
    g_bytes = case_early();
}

uint64_t plugin_work(void);
uint64_t plugin_work(void)
{
    return g_bytes;
}
