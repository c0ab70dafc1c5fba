/* decode_meta.c: the slow halves of reading the metadata stream. Errors are sticky in the cursor, so a caller reads all
 * fields of a record and checks once. Context: [tool]. */
#include "wire/decode.h"

uint64_t mt_bytes_long(struct mt_bytes *b)
{
    uint64_t value;
    return mt_varint_get(&b->at, b->end, &value) ? value : mt_bytes_none(b);
}

uint8_t mt_bytes_none(struct mt_bytes *b)
{
    b->bad = true;
    b->at = b->end;
    return 0;
}
