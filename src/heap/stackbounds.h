/* stackbounds.h: which addresses around a stack pointer may be read.
 *
 * Decides: the thread's own stack ends at its thread pointer (glibc puts the thread's descriptor above the stack) or at
 * __libc_stack_end; how far down it reaches, and everything about other stacks (sigaltstack, coroutines, greenlets), is
 * learnt page by page as the program uses them, by asking the kernel whether a page can be read (0.1 us, once a page).
 * Invariant: every address in a span was readable when it entered the span, and spans of other stacks are dropped when
 * memory they covered is unmapped. Nothing is ever read to find out.
 * Rejected: /proc/self/maps (30 us to milliseconds, an open file visible to the program, wrong between reads),
 * pthread_getattr_np (allocates, locks). See docs/decisions/0002-unwinder.md.
 * Contexts: [hook], own thread, unless said.
 */
#ifndef MT_HEAP_STACKBOUNDS_H
#define MT_HEAP_STACKBOUNDS_H

#include "heap/unwind.h"

enum {
    MT_STACK_RED_ZONE_BYTES = 128, /* x86-64 psABI 3.2.2: an interrupted leaf may use this much below rsp */
    MT_STACK_OWN = 2,              /* span.which: the own stack; 0 and 1 are u->alternate */
};

struct mt_stack_span {
    uint64_t low, high; /* [low, high) may be read */
    uint32_t which;
};

/* Sets stack_low/high when they are 0. */
void mt_stackbounds_init(struct mt_unwinder *u);
/* mt_stackbounds_enter for the usual case, sp on the known part of the thread's own stack. */
static inline bool mt_stackbounds_is_own(const struct mt_unwinder *u, uint64_t sp)
{
    return sp - MT_STACK_RED_ZONE_BYTES >= u->stack_low && sp < u->stack_high;
}

/* The span of the stack sp points into; it begins at or below sp - MT_STACK_RED_ZONE_BYTES where that can be read.
 * False when sp is no stack pointer. */
bool mt_stackbounds_enter(struct mt_unwinder *u, uint64_t sp, struct mt_stack_span *ret_span);
/* Tries to make [span->low, high) readable; false when the stack ends before. */
bool mt_stackbounds_reach(struct mt_unwinder *u, struct mt_stack_span *span, uint64_t high);
/* [addr, addr + bytes) is being unmapped. Any thread. */
void mt_stackbounds_forget(uint64_t addr, uint64_t bytes);

#endif
