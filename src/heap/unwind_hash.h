/* unwind_hash.h: the hash of a native stack, a polynomial over its return addresses.
 *
 * Decides: hash(stack) = sum of pc[i] * K^i modulo the prime p = 2^61 - 1, i = 0 for the outermost frame, evaluated by
 * Horner's rule from the innermost frame outward, which is the order a walk finds them in: no second pass. Being
 * linear, the hash of a stack whose inner frames changed follows from the old one, the dropped and the new frames
 * alone: new = old + K^kept * (walked - dropped). For two different stacks of at most n frames, all but n of the 2^58
 * possible K give different hashes (a polynomial over a field has no more roots than its degree); 40 frames: 1.4e-16 at
 * most. Modulo 2^64 would be cheaper still, but there the Thue-Morse sequences of 1,024 frames collide for every K.
 *
 * Values are kept below 2^63 between steps ("loose"): h * K / 2^61 < 2^60, the low part < 2^61, pc < 2^61 + 8. The
 * multiplier is stored times 8, so that the upper half of the product is the quotient by 2^61 at once.
 * Contexts: any; no state.
 */
#ifndef MT_HEAP_UNWIND_HASH_H
#define MT_HEAP_UNWIND_HASH_H

#include "base/status.h"

#include <stdint.h>

#define MT_STACK_HASH_PRIME 0x1FFFFFFFFFFFFFFFu
#define MT_STACK_HASH_K 0x243F6A8885A308Du /* < 2^58; the first hexadecimal digits of pi */

/* hash of the frames so far (loose), and the pc of the next frame outward, below 2^61. */
MT_INLINE uint64_t mt_stack_hash_step(uint64_t hash, uint64_t pc)
{
    __uint128_t product = (__uint128_t)hash * (8 * MT_STACK_HASH_K);
    return ((uint64_t)product >> 3) + (uint64_t)(product >> 64) + pc;
}

/* x modulo p, loosely: below 2^61 + 8. */
MT_INLINE uint64_t mt_stack_hash_fold(uint64_t x)
{
    return (x & MT_STACK_HASH_PRIME) + (x >> 61);
}

/* The one representative below p. */
MT_INLINE uint64_t mt_stack_hash_reduce(uint64_t x)
{
    uint64_t folded = mt_stack_hash_fold(x);
    return folded >= MT_STACK_HASH_PRIME ? folded - MT_STACK_HASH_PRIME : folded;
}

/* a loose, b below 2^61; loose. */
MT_INLINE uint64_t mt_stack_hash_multiply(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return mt_stack_hash_fold(((uint64_t)product & MT_STACK_HASH_PRIME) + (uint64_t)(product >> 61));
}

/* K^exponent; exponent below 2^15. */
uint64_t mt_stack_hash_power(uint32_t exponent);

#endif
