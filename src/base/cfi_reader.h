/* cfi_reader.h: bounds-checked reading of DWARF-encoded values from memory.
 *
 * Invariant: `at` never passes `end`; the first read that would sets `bad`, and every later read gives 0. Callers check
 * `bad` once at the end. Context: any. Private to the cfi_*.c files.
 */
#ifndef MT_BASE_CFI_READER_H
#define MT_BASE_CFI_READER_H

#include "base/status.h"
#include "base/varint.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Pointer encodings (LSB 5.0, "DWARF exception header encoding"): low nibble the format, bits 4-6 what it is
 * relative to. */
enum mt_eh_encoding {
    MT_EH_ABSPTR = 0x00,
    MT_EH_ULEB128 = 0x01,
    MT_EH_UDATA2 = 0x02,
    MT_EH_UDATA4 = 0x03,
    MT_EH_UDATA8 = 0x04,
    MT_EH_SLEB128 = 0x09,
    MT_EH_SDATA2 = 0x0A,
    MT_EH_SDATA4 = 0x0B,
    MT_EH_SDATA8 = 0x0C,
    MT_EH_PCREL = 0x10,
    MT_EH_DATAREL = 0x30,
    MT_EH_OMIT = 0xFF,
};

struct mt_cfi_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

MT_INLINE struct mt_cfi_reader mt_cfi_reader_at(uint64_t at, uint64_t end)
{
    const uint8_t *last = (const uint8_t *)(uintptr_t)end;
    return (struct mt_cfi_reader){ (const uint8_t *)(uintptr_t)at, last, at > end };
}

MT_INLINE size_t mt_cfi_left(const struct mt_cfi_reader *r)
{
    return r->bad ? 0 : (size_t)(r->end - r->at);
}

MT_INLINE void mt_cfi_skip(struct mt_cfi_reader *r, uint64_t bytes)
{
    if (bytes > mt_cfi_left(r)) {
        r->bad = true;
        return;
    }
    r->at += bytes;
}

MT_INLINE uint64_t mt_cfi_fixed(struct mt_cfi_reader *r, size_t bytes)
{
    uint64_t value = 0;
    if (bytes > mt_cfi_left(r)) {
        r->bad = true;
        return 0;
    }
    memcpy(&value, r->at, bytes);
    r->at += bytes;
    return value;
}

MT_INLINE uint8_t mt_cfi_u8(struct mt_cfi_reader *r)
{
    return (uint8_t)mt_cfi_fixed(r, 1);
}

MT_INLINE uint64_t mt_cfi_uleb(struct mt_cfi_reader *r)
{
    uint64_t value = 0;
    if (r->bad || !mt_varint_get(&r->at, r->end, &value)) {
        r->bad = true;
        return 0;
    }
    return value;
}

MT_INLINE int64_t mt_cfi_sleb(struct mt_cfi_reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = mt_cfi_u8(r);
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            bool negative = (byte & 0x40) != 0 && shift + 7 < 64;
            return (int64_t)(negative ? value | (UINT64_MAX << (shift + 7)) : value);
        }
    }
    r->bad = true;
    return 0;
}

/* The value without its base: what FDE address ranges use. */
MT_INLINE uint64_t mt_cfi_encoded_value(struct mt_cfi_reader *r, uint8_t encoding)
{
    switch (encoding & 0x0F) {
    case MT_EH_ABSPTR:
    case MT_EH_UDATA8:
    case MT_EH_SDATA8:
        return mt_cfi_fixed(r, 8);
    case MT_EH_ULEB128:
        return mt_cfi_uleb(r);
    case MT_EH_SLEB128:
        return (uint64_t)mt_cfi_sleb(r);
    case MT_EH_UDATA2:
        return mt_cfi_fixed(r, 2);
    case MT_EH_UDATA4:
        return mt_cfi_fixed(r, 4);
    case MT_EH_SDATA2:
        return (uint64_t)(int64_t)(int16_t)mt_cfi_fixed(r, 2);
    case MT_EH_SDATA4:
        return (uint64_t)(int64_t)(int32_t)mt_cfi_fixed(r, 4);
    default:
        r->bad = true;
        return 0;
    }
}

/* An address; indirect ones and bases other than none, pc and hdr are refused (no producer uses them here). */
MT_INLINE uint64_t mt_cfi_encoded_address(struct mt_cfi_reader *r, uint8_t encoding, uint64_t hdr)
{
    uint64_t position = (uint64_t)(uintptr_t)r->at;
    uint64_t value = mt_cfi_encoded_value(r, encoding);
    switch (encoding & 0xF0) {
    case 0:
        return value;
    case MT_EH_PCREL:
        return position + value;
    case MT_EH_DATAREL:
        return hdr + value;
    default:
        r->bad = true;
        return 0;
    }
}

#endif
