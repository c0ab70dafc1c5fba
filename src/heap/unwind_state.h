/* unwind_state.h: the unwinder's own memory behind struct mt_unwinder. Private to unwind*.c and stackbounds.c.
 *
 * Layout of the block mt_unwinder_memory_bytes() asks for (virtual; touched as deep as stacks get):
 *
 *      | struct mt_unwind_state | sentinel room[MAX] frames[MAX] sentinel gap | the same again |
 *
 * There are two areas for frames, home and scratch. A walk fills scratch from its middle, innermost frame first. Where it
 * meets the previous stack, in home, the smaller part is moved: few new frames are put before the old ones, into the room,
 * or the few old ones are put after the new ones and the areas change roles. Before the innermost and behind the
 * outermost frame stand sentinels whose cfa is below and above every stack, so that loops need no bounds check.
 *
 * The row of a frame: the upper half is that of the row cache (rowcache.h), the lower half says what was read for it
 * besides the return address at cfa - 8. The memo verifies those words.
 */
#ifndef MT_HEAP_UNWIND_STATE_H
#define MT_HEAP_UNWIND_STATE_H

#include "heap/unwind.h"

/* The gap keeps frames of the same index apart in the low 12 address bits, by which the processor takes a load for one of
 * a store it has not finished. */
enum { MT_UNWIND_AREA_GAP = 63 };

struct mt_frame_area {
    struct mt_native_frame room[1 + MT_UNWIND_MAX_FRAMES];
    struct mt_native_frame frames[MT_UNWIND_MAX_FRAMES + 1 + MT_UNWIND_AREA_GAP];
};

enum mt_frame_flag {
    MT_FRAME_NEEDS_BP = 1, /* frame->bp is rbp in this frame and an older frame was found by it */
    MT_FRAME_READ_BP = 2,  /* the caller needs rbp, and it was read from the slot that the row says */
    MT_FRAME_READ_CFA = 4, /* the cfa was read from memory */
    MT_FRAME_RARE = 8,     /* not a plain row of the cache: always walked, never the first frame of a reused part */
};

struct mt_unwind_state {
    uint32_t usable;    /* outermost frames that may be reused: no signal frame or interrupted frame among them */
    uint32_t walked;    /* frames the last capture did not reuse */
    bool base_is_zero;  /* the stack ended at a return address of 0, which is verified as well */
    uint8_t result;     /* enum mt_unwind_result of the last capture */
    uint64_t first_sp;  /* sp of the innermost frame of the last capture */
    uint64_t sum;       /* polynomial of its pcs (unwind_hash.h) */
    uint64_t own_floor; /* the thread's own stack is known not to be readable just below; 0: not known */
    struct mt_frame_area *home;    /* holds the frames of the last capture */
    struct mt_frame_area *scratch; /* for the next walk */
    struct mt_frame_area areas[2];
};

static inline struct mt_unwind_state *mt_unwind_state_of(const struct mt_unwinder *u)
{
    return u->state;
}

#endif
