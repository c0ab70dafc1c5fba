/* unwind_walk.h: the state of one walk, shared by unwind.c (plain frames) and unwind_rare.c (all others).
 *
 * Frames are written to scratch innermost first; the `hash` of a scratch frame is the cache entry
 * of its row (rowcache.h; the tag does not matter). sp is always a multiple of 8. Private to unwind*.c.
 */
#ifndef MT_HEAP_UNWIND_WALK_H
#define MT_HEAP_UNWIND_WALK_H

#include "heap/stackbounds.h"
#include "heap/unwind_state.h"

enum progress {
    PROGRESS_PLAIN,     /* go on with plain frames */
    PROGRESS_RARE,      /* the next frame needs mt_unwind_step_rare */
    PROGRESS_MATCHED,   /* candidate and all older frames of the previous stack hold */
    PROGRESS_COMPLETE,  /* base of the stack */
    PROGRESS_TRUNCATED, /* scratch is full */
    PROGRESS_BROKEN,    /* no rule */
};

struct walk {
    struct mt_unwinder *u;
    struct mt_unwind_state *state;
    struct mt_stack_span span; /* of the stack sp is on */
    uint64_t pc, sp, bp;       /* of the frame to be walked next */
    uint64_t first_sp;
    uint64_t r10;              /* of the interrupted frame while exact */
    const struct mt_native_frame *candidate; /* innermost frame of the previous stack that may still match */
    struct mt_native_frame *out;             /* end of the walked frames */
    struct mt_native_frame *out_end;
    const struct mt_native_frame *oldest_signal; /* outermost signal frame walked, in scratch */
    uint32_t signals;
    bool exact; /* pc is an interrupted instruction, not a return address */
    bool base_is_zero;
};

/* A word of the stack; the caller has checked that it lies in a span. Foreign memory: no alias or lifetime is
 * assumed. */
static inline uint64_t mt_stack_word(uint64_t address)
{
    return *(const volatile uint64_t *)(uintptr_t)address;
}

/* Walks one frame of any kind. PROGRESS_RARE when the next one must be walked here as well. */
enum progress mt_unwind_step_rare(struct walk *w);

#endif
