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
