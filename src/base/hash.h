/* hash.h: 64-bit mixing for tables keyed by addresses and small tuples.
 *
 * The finalizer is the "moremur" variant of MurmurHash3's fmix64 (Pelle Evensen 2019): bijective, full avalanche, so
 * that any bits of the result may index a table. mt_hash_step is the cheap chaining form used once a frame: one
 * multiply-and-fold (wyhash's mum primitive, Wang Yi 2019). Context: any.
 */
#ifndef MT_BASE_HASH_H
#define MT_BASE_HASH_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

MT_INLINE uint64_t mt_hash_u64(uint64_t x)
{
    x ^= x >> 27;
    x *= 0x3C79AC492BA7B653u;
    x ^= x >> 33;
    x *= 0x1C69B3F74AC4AE35u;
    x ^= x >> 27;
    return x;
}

/* Extends a running hash by one word; never returns the same chain for different order of words. */
MT_INLINE uint64_t mt_hash_step(uint64_t state, uint64_t word)
{
    __uint128_t product = (__uint128_t)(state ^ 0xA0761D6478BD642Fu) * (word ^ 0xE7037ED1A0B428DBu);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

MT_INLINE uint64_t mt_hash_pair(uint64_t a, uint64_t b)
{
    return mt_hash_step(mt_hash_step(0x8EBC6AF09C88C6E3u, a), b);
}

uint64_t mt_hash_bytes(const void *data, size_t bytes);
/* CRC-32C (Castagnoli, polynomial 0x1EDC6F41, RFC 3720 appendix B.4). seed 0 for a new sum. */
uint32_t mt_crc32c(uint32_t seed, const void *data, size_t bytes);

#endif
