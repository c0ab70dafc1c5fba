/* bump.h: an allocator of its own for a program or a library: blocks come one after another from one mapping, each behind its
 * size; what is freed is not used again. Every function here is inlined into the entry points that include it. */
#ifndef OWN_BUMP_H
#define OWN_BUMP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define OWN_INLINE static inline __attribute__((always_inline))
enum { BUMP_HEAD = 16 };
static uintptr_t g_bump_next, g_bump_end;

OWN_INLINE void *bump_aligned(size_t bytes, size_t alignment)
{
    size_t region = (size_t)1 << 26;
    if (g_bump_next == 0) {
        g_bump_next = (uintptr_t)mmap(NULL, region, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        g_bump_end = g_bump_next + region;
    }
    uintptr_t at = (g_bump_next + BUMP_HEAD + alignment - 1) & ~(uintptr_t)(alignment - 1);
    if (bytes > region || at + bytes > g_bump_end) {
        return NULL;
    }
    ((size_t *)at)[-1] = bytes;
    g_bump_next = at + bytes;
    return (void *)at;
}

OWN_INLINE void *bump(size_t bytes)
{
    return bump_aligned(bytes, BUMP_HEAD);
}

OWN_INLINE void *bump_moved(void *old, size_t bytes)
{
    void *now = bump(bytes);
    if (now != NULL && old != NULL) {
        size_t before = ((size_t *)old)[-1];
        memcpy(now, old, before < bytes ? before : bytes);
    }
    return now;
}

OWN_INLINE void bump_free(void *block)
{
    if (block != NULL) {
        ((size_t *)block)[-1] = 0;
    }
}

#endif
