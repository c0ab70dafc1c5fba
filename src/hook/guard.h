/* guard.h: the sampling countdown across a guarded call.
 *
 * Under the guard (t_mt.depth > 0) nested allocator calls are not recorded, but their fast path has no time to ask and
 * still takes their size off the countdown. Where nested calls are the rule (an interpreter's realloc that ends in
 * malloc), the bytes would be counted twice, which raises the chance of the next allocation to be sampled. So the
 * countdown is put back after such a call. Only the owning thread writes it. Context: [hook].
 */
#ifndef MT_HOOK_GUARD_H
#define MT_HOOK_GUARD_H

#include "heap/engine.h"

/* Names a personality routine that takes the guard down (cxx.c) for the function it stands in; 0x1b: 4-byte pc-relative.
 * Only one call in such a function can throw, and the guard is set there. */
#define MT_LEAVE_GUARD_WHEN_THROWN_THROUGH() __asm__ volatile(".cfi_personality 0x1b, mt_cxx_personality")

MT_INLINE uint64_t mt_guard_save(void)
{
    return t_mt.left;
}

MT_INLINE void mt_guard_restore(uint64_t left)
{
    t_mt.left = left;
}

/* The same where it matters what nested calls counted: the countdown is far away meanwhile, so that none of them ends it.
 * Returns what they took off it. */
#define MT_GUARD_FAR (UINT64_MAX / 2)
MT_INLINE uint64_t mt_guard_save_far(void)
{
    uint64_t left = t_mt.left;
    t_mt.left = MT_GUARD_FAR;
    return left;
}

MT_INLINE uint64_t mt_guard_restore_far(uint64_t left)
{
    uint64_t taken = MT_GUARD_FAR - t_mt.left;
    t_mt.left = left;
    return taken;
}

#endif
