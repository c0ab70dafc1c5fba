/* varint.c: see varint.h; what is rare of it. */
#include "base/varint.h"

uint8_t *mt_varint_put_long(uint8_t *to, uint64_t value)
{
    return mt_varint_put(to, value);
}
