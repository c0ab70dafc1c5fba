/* detour.h: leading a function's first instructions elsewhere, and running them where they are moved to.
 *
 * Decides: how many instructions have to move so that a 5-byte jump fits in their place, whether they can, and what they
 * are at the new place. A call among them pushes the return address it had and jumps, so that the function called returns
 * to where it would have, and no unwinder ever meets an address of ours. Refused is whatever cannot be made to mean the
 * same: calls through registers, loop and jrcxz, traps, operands too far from the new place, unknown instructions, a
 * function that ends before the jump does without padding behind it, and one that jumps back into what moves.
 * Nothing is written here: a plan is bytes. Context: any.
 */
#ifndef MT_HOOK_DETOUR_H
#define MT_HOOK_DETOUR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MT_DETOUR_JUMP_BYTES = 5, MT_DETOUR_MOVED_MAX = 64 };

struct mt_detour {
    uint64_t place;       /* where the jump goes: the entry, or behind its endbr64 */
    uint64_t moved_bytes; /* of code at the new place */
    uint8_t moved[MT_DETOUR_MOVED_MAX]; /* the instructions, and a jump back to those that stay */
};

/* Plans the detour of the function at `entry`, `bytes` long, whose moved instructions are to run at `moved_to`. code: its
 * bytes, readable up to the next multiple of 16 behind its end. False when it is refused. */
bool mt_detour_plan(const uint8_t *code, uint64_t entry, size_t bytes, uint64_t moved_to, struct mt_detour *ret);
/* True for a function that does nothing but return. */
bool mt_detour_is_empty(const uint8_t *code, size_t bytes);
/* The jump from one address to another; false when it is too far. */
bool mt_detour_jump(uint64_t from, uint64_t to, uint8_t ret_jump[MT_DETOUR_JUMP_BYTES]);

#endif
