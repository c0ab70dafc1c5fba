/* decode_meta.c: fields and records of the metadata stream. Errors are sticky in the cursor, so a caller reads all
 * fields of a record and checks once. Context: [tool]. */
#include "wire/decode.h"

#include "base/varint.h"

static uint64_t fail(struct mt_bytes *b)
{
    b->bad = true;
    b->at = b->end;
    return 0;
}

uint64_t mt_bytes_long(struct mt_bytes *b)
{
    uint64_t value;
    return mt_varint_get(&b->at, b->end, &value) ? value : fail(b);
}

uint8_t mt_bytes_none(struct mt_bytes *b)
{
    return (uint8_t)fail(b);
}

const uint8_t *mt_bytes_string(struct mt_bytes *b, size_t *ret_bytes)
{
    uint64_t bytes = mt_bytes_u64(b);
    if (bytes > (uint64_t)(b->end - b->at)) {
        bytes = fail(b);
    }
    const uint8_t *text = b->at;
    b->at += bytes;
    *ret_bytes = (size_t)bytes;
    return text;
}

bool mt_bytes_record(struct mt_bytes *b, uint8_t *ret_tag, struct mt_bytes *ret_payload)
{
    if (b->at == b->end) {
        return false;
    }
    struct mt_bytes record = *b;
    size_t bytes;
    uint8_t tag = mt_bytes_u8(&record);
    const uint8_t *payload = mt_bytes_string(&record, &bytes);
    if (record.bad) {
        b->bad = true;
        return false;
    }
    *b = record;
    *ret_tag = tag;
    *ret_payload = mt_bytes_of(payload, bytes);
    return true;
}
