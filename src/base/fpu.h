/* fpu.h: the floating-point state of the program's thread, kept from what we calculate on it.
 *
 * A program may trap exceptions, look at their flags, or round another way. Whoever calculates with doubles on a thread of the
 * program's does it between these two: our own state is the default one, and no flag is left behind. What is calculated
 * between them reads memory or is a call, so that the compiler does not move it out. Not on the fast path. Context: any.
 */
#ifndef MT_BASE_FPU_H
#define MT_BASE_FPU_H

#include "base/compiler.h"

#include <stdint.h>

enum { MT_FPU_DEFAULT = 0x1F80 }; /* nothing trapped, no flag, to the nearest */

/* Returns what mt_fpu_leave takes. */
MT_INLINE uint32_t mt_fpu_enter(void)
{
    uint32_t program, own = MT_FPU_DEFAULT;
    __asm__ volatile("stmxcsr %0\n\tldmxcsr %1" : "=m"(program) : "m"(own) : "memory");
    return program;
}

MT_INLINE void mt_fpu_leave(uint32_t program)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(program) : "memory");
}

#endif
