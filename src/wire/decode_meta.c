/* decode_meta.c: the slow halves of reading the metadata stream. Errors are sticky in the cursor, so a caller reads all
 * fields of a record and checks once. Context: [tool]. */
#include "wire/decode.h"

uint64_t mt_bytes_long(struct mt_bytes *b)
{
    uint64_t value;
    const uint8_t *at = b->at;
    unsigned bytes = 0;
    if (MT_LIKELY(b->end - at >= (ptrdiff_t)sizeof value)) {
        if (at[0] >= 0x80 && at[1] >= 0x80 && at[2] < 0x80) { /* numbers of nodes and stacks */
            b->at = at + 3;
            return (uint64_t)(at[0] & 0x7F) | (uint64_t)(at[1] & 0x7F) << 7 | (uint64_t)at[2] << 14;
        }
        bytes = mt_varint_get_word(at, &value);
    }
    if (MT_LIKELY(bytes != 0)) {
        b->at = at + bytes;
        return value;
    }
    return mt_varint_get(&b->at, b->end, &value) ? value : mt_bytes_none(b);
}

size_t mt_bytes_head(const uint8_t *at, const uint8_t *end, uint64_t *ret_bytes)
{
    struct mt_bytes b = { .at = at, .end = end };
    (void)mt_bytes_u8(&b);
    *ret_bytes = mt_bytes_u64(&b);
    return b.bad ? 0 : (size_t)(b.at - at);
}

uint8_t mt_bytes_none(struct mt_bytes *b)
{
    b->bad = true;
    b->at = b->end;
    return 0;
}
