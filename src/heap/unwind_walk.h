/* unwind_walk.h: the state of one walk, shared by unwind.c (plain frames) and unwind_rare.c (all others).
 *
 * Frames are written to the scratch area innermost first. sp is always a multiple of 8. rbp is followed lazily: code
 * without frame pointers hardly ever needs it, and the frame that saved it last can be found by looking back. Private to
 * unwind*.c.
 */
#ifndef MT_HEAP_UNWIND_WALK_H
#define MT_HEAP_UNWIND_WALK_H

#include "heap/rowcache.h"
#include "heap/stackbounds.h"
#include "heap/unwind_hash.h"
#include "heap/unwind_state.h"

enum progress {
    PROGRESS_PLAIN,     /* go on with plain frames */
    PROGRESS_RARE,      /* the next frame needs mt_unwind_step_rare */
    PROGRESS_MOVED,     /* so does the next one, which is on another stack or behind a signal */
    PROGRESS_MATCHED,   /* the callers of `inner` in the previous stack come next */
    PROGRESS_COMPLETE,  /* base of the stack */
    PROGRESS_TRUNCATED, /* scratch is full */
    PROGRESS_BROKEN,    /* no rule */
};

struct walk {
    struct mt_unwinder *u;
    struct mt_unwind_state *state;
    struct mt_stack_span span; /* of the stack sp is on */
    uint64_t pc, sp;           /* of the frame to be walked next */
    uint64_t bp;               /* rbp in the frame at bp_from */
    uint64_t hash;             /* of the walked frames (unwind_hash.h) */
    uint64_t r10;              /* of the interrupted frame while exact */
    struct mt_frame_area *scratch;
    const struct mt_native_frame *inner;   /* from here on outward the previous stack is as it was */
    uint64_t limit;                        /* where inner ends; UINT64_MAX: nothing to be reused */
    struct mt_native_frame *out;           /* end of the walked frames */
    struct mt_native_frame *bp_from;       /* frames before it say nothing about rbp any more */
    const struct mt_native_frame *out_end;
    const struct mt_native_frame *oldest_signal; /* outermost signal frame walked, in scratch */
    uint32_t signals;
    bool exact; /* pc is an interrupted instruction, not a return address */
    bool base_is_zero;
};

/* A word of the stack; the caller has checked that it lies in a span. Foreign memory: no alias or lifetime is
 * assumed. */
static inline MT_READS_ANYTHING uint64_t mt_stack_word(uint64_t address)
{
    return *(const volatile uint64_t *)(uintptr_t)address;
}

/* rbp in the frame to be walked next, where `out` frames are walked. All frames from bp_from on are plain. */
static inline uint64_t mt_unwind_bp(struct walk *w, struct mt_native_frame *out)
{
    const struct mt_native_frame *frame = out;
    while (frame > w->bp_from) {
        frame--;
        uint64_t saved = mt_entry_bp(frame->row);
        if (saved != 0) {
            w->bp = mt_stack_word(frame->cfa - 8 * saved);
            break;
        }
    }
    w->bp_from = out;
    return w->bp;
}

/* The frame after `last` needs rbp, whose value there is bp: notes in the walked frames inward how it came there, as far
 * as that is not noted. */
static inline void mt_unwind_need_bp(const struct walk *w, struct mt_native_frame *last, uint64_t bp)
{
    for (struct mt_native_frame *frame = last; frame >= w->scratch->frames; frame--) {
        uint64_t saved = mt_entry_bp(frame->row);
        if (mt_entry_kind(frame->row) == MT_ROW_SIGNAL) {
            return; /* never reused */
        }
        if (saved != 0) {
            frame->row |= MT_FRAME_READ_BP;
        }
        if ((saved != 0 && saved != MT_ROW_BP_AT_BP) || (frame->row & MT_FRAME_NEEDS_BP) != 0) {
            return;
        }
        bp = saved == MT_ROW_BP_AT_BP ? frame->bp : bp;
        frame->bp = bp;
        frame->row |= MT_FRAME_NEEDS_BP;
    }
}

/* Walks one frame of any kind; w->bp and w->bp_from are up to date. PROGRESS_RARE when the next one must be walked here
 * as well. */
enum progress mt_unwind_step_rare(struct walk *w);

#endif
