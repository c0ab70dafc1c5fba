/* unwind_state.h: the unwinder's own memory behind struct mt_unwinder. Private to unwind*.c and stackbounds.c.
 *
 * Layout of the block mt_unwinder_memory_bytes() asks for (virtual; touched as deep as stacks get):
 *
 *      | sentinel | frames[MAX] | scratch[MAX] | struct mt_unwind_state, extras[MAX] |
 *
 * The sentinel is frames[-1]: its cfa is above every stack, so that searching towards the base needs no bounds
 * check, and its hash is the seed of the stack's hash. extras[k] says which words of frame k, besides the return
 * address at cfa - 8, its caller's state came from; the memo verifies them:
 *      bits 0-31   cfa - (slot where rbp was saved), 0 when nobody outward needs rbp
 *      bits 32-63  cfa - (slot the cfa was read from), its low 3 bits the addend / 8; 0 when the cfa was not read
 */
#ifndef MT_HEAP_UNWIND_STATE_H
#define MT_HEAP_UNWIND_STATE_H

#include "heap/unwind.h"

struct mt_unwind_state {
    uint32_t usable;    /* frames[0..usable) may be reused: no signal frame or interrupted frame among them */
    bool base_is_zero;  /* the stack ended at a return address of 0, which is verified as well */
    uint8_t result;     /* enum mt_unwind_result of the last capture */
    uint64_t own_floor; /* the thread's own stack is known not to be readable just below; 0: not known */
    uint64_t extras[MT_UNWIND_MAX_FRAMES];
};

static inline struct mt_unwind_state *mt_unwind_state_of(const struct mt_unwinder *u)
{
    return (struct mt_unwind_state *)(void *)(u->scratch + MT_UNWIND_MAX_FRAMES);
}

#endif
