/* rawcall.h: a system call by its number, touching nothing of libc; -EPERM in its place where a seccomp filter of the program's
 * might kill for it. Internal to base/. Context: any, async-signal safe. */
#ifndef MT_BASE_RAWCALL_H
#define MT_BASE_RAWCALL_H

#include "base/atomic.h"
#include "base/status.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

/* filter_copies.c: the program has restricted its system calls; may this one be made? */
extern uint32_t g_mt_restricted MT_HIDDEN;
MT_COLD bool mt_raw_is_allowed(long number, const long arguments[6]);

#if defined(__x86_64__)
MT_INLINE long mt_raw6(long number, long a, long b, long c, long d, long e, long f)
{
    if (MT_UNLIKELY(mt_load_relaxed(&g_mt_restricted) != 0) && !mt_raw_is_allowed(number, (const long[]){ a, b, c, d, e, f })) {
        return -EPERM;
    }
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#else
#error "rawcall.h: add the raw system call sequence of this architecture"
#endif

MT_INLINE long mt_raw4(long number, long a, long b, long c, long d)
{
    return mt_raw6(number, a, b, c, d, 0, 0);
}

MT_INLINE mt_status mt_raw_status(long result)
{
    return result < 0 ? mt_status_from_errno((int)-result) : MT_OK;
}

/* os_files.c. A call that makes a descriptor, which is above 2 unless another thread closes one of these in that moment. */
long mt_raw_above_stdio(long number, long a, long b, long c, long d);
/* What such a call gave, before anything is done with it: one below 3 (closed by another thread a moment ago) is moved. docs/decisions/0079. */
long mt_raw_off_stdio(long fd);

#endif
