/* varint.h: LEB128 variable-length integers and zigzag, as in DWARF and protobuf.
 *
 * A u64 takes 1 to 10 bytes, 7 bits a byte, least significant group first, high bit = more follows. Encoders write
 * without bounds checks: the caller guarantees MT_VARINT_MAX bytes. The decoder is bounds checked. Context: any.
 */
#ifndef MT_BASE_VARINT_H
#define MT_BASE_VARINT_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { MT_VARINT_MAX = 10 };

MT_INLINE uint64_t mt_zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

MT_INLINE int64_t mt_unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* Bytes of the shortest form: a group of 7 bits each; 9/64 is as good as 1/7 up to 64. */
MT_INLINE unsigned mt_varint_bytes(uint64_t value)
{
    return ((64 - (unsigned)__builtin_clzll(value | 1)) * 9 + 64) / 64;
}

/* Writes value at to; returns one past the last byte written. */
MT_INLINE uint8_t *mt_varint_put(uint8_t *to, uint64_t value)
{
    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

/* mt_varint_put of what needs two bytes or more, out of line. */
MT_COLD uint8_t *mt_varint_put_long(uint8_t *to, uint64_t value);

/* The same for values that nearly always need one byte, where registers are short: no loop of its own. */
MT_INLINE uint8_t *mt_varint_put_short(uint8_t *to, uint64_t value)
{
    if (MT_UNLIKELY(value >= 0x80)) {
        return mt_varint_put_long(to, value);
    }
    *to = (uint8_t)value;
    return to + 1;
}

/* The same for values of which nobody can foretell whether they need one byte or two (sizes, addresses): both are written, without
 * a branch. The byte behind the varint may be overwritten. */
MT_INLINE uint8_t *mt_varint_put_either(uint8_t *to, uint64_t value)
{
    while (value >= 0x4000) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    uint32_t more = value > 0x7F;
    uint32_t both = (uint32_t)value + ((uint32_t)value & 0x3F80) + (more << 7); /* the upper group moves on by one bit */
    to[0] = (uint8_t)both;
    to[1] = (uint8_t)(both >> 8);
    return to + 1 + more;
}

/* A varint of up to 8 bytes where 8 can be read; 0 bytes: it is longer. The groups of 7 bits are put together in three steps, whatever
 * their number, without a branch that nobody can foretell. Little endian. */
MT_INLINE unsigned mt_varint_get_word(const uint8_t *from, uint64_t *ret_value)
{
    uint64_t word;
    __builtin_memcpy(&word, from, sizeof word);
    uint64_t ends = ~word & 0x8080808080808080u;
    if (MT_UNLIKELY(ends == 0)) {
        return 0;
    }
    word &= (ends ^ (ends - 1)) & 0x7F7F7F7F7F7F7F7Fu; /* up to the first byte that ends, of each its 7 bits */
    word = (word & 0x007F007F007F007Fu) | (word & 0x7F007F007F007F00u) >> 1;
    word = (word & 0x00003FFF00003FFFu) | (word & 0x3FFF00003FFF0000u) >> 2;
    *ret_value = (word & 0x000000000FFFFFFFu) | (word & 0x0FFFFFFF00000000u) >> 4;
    return (unsigned)__builtin_ctzll(ends) / 8 + 1;
}

/* Reads one varint from [*from, end); false (and *from untouched) when cut off or longer than 64 bits. */
MT_INLINE bool mt_varint_get(const uint8_t **from, const uint8_t *end, uint64_t *ret_value)
{
    const uint8_t *at = *from;
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && at < end; shift += 7) {
        uint8_t byte = *at++;
        if (shift == 63 && byte > 1) {
            return false;
        }
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *from = at;
            *ret_value = value;
            return true;
        }
    }
    return false;
}

#endif
