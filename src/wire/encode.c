/* encode.c: the out-of-line half of encode.h: rare records, metadata, checksums. Same contexts. */
#include "wire/encode.h"

#include "base/hash.h"

#include <string.h>

enum { PAGE_MASK = 4095 };

static size_t varint_bytes(uint64_t value)
{
    size_t bytes = 1;
    while (value >= 0x80) {
        value >>= 7;
        bytes++;
    }
    return bytes;
}

void mt_encode_wide(struct mt_event_encoder *e, enum mt_ext_kind kind, uint64_t clock, const uint64_t *values,
                    size_t count)
{
    size_t payload = 0;
    for (size_t i = 0; i < count; i++) {
        payload += varint_bytes(values[i]);
    }
    mt_encode_tag(e, MT_EVENT_EXT, (unsigned)kind, clock);
    e->at = mt_varint_put(e->at, payload);
    for (size_t i = 0; i < count; i++) {
        e->at = mt_varint_put(e->at, values[i]);
    }
}

void mt_encode_any_alloc(struct mt_event_encoder *e, unsigned kind, unsigned allocator, uint64_t clock, uint64_t addr,
                         uint64_t size, uint32_t stack)
{
    if (allocator > MT_TAG_NIBBLE_MAX) {
        const uint64_t values[] = { allocator, addr, size, stack };
        mt_encode_wide(e, kind == MT_EVENT_ALLOC ? MT_EXT_WIDE_ALLOC : MT_EXT_WIDE_REALLOC_NEW, clock, values, 4);
        return;
    }
    mt_encode_alloc(e, kind, (enum mt_allocator)allocator, clock, addr, size, stack);
}

void mt_encode_ext(struct mt_event_encoder *e, enum mt_ext_kind kind, uint64_t clock, uint64_t value)
{
    bool empty = kind == MT_EXT_REALLOC_FAILED || kind == MT_EXT_REALLOC_GONE ||
                 kind == MT_EXT_REALLOC_THINNED;
    mt_encode_wide(e, kind, clock, &value, empty ? 0 : 1);
}

void mt_encode_resized(struct mt_event_encoder *e, uint64_t clock, uint64_t addr, uint64_t old_bytes, uint64_t bytes)
{
    const uint64_t values[] = { addr, old_bytes, bytes };
    mt_encode_wide(e, MT_EXT_RESIZED, clock, values, 3);
}

static void encode_range(struct mt_event_encoder *e, uint64_t addr, uint64_t bytes)
{
    e->at = mt_varint_put(e->at, mt_zigzag((int64_t)(addr - e->range) >> 12));
    e->at = mt_varint_put(e->at, bytes);
    e->range = addr;
}

void mt_encode_map(struct mt_event_encoder *e, enum mt_map_kind kind, uint64_t clock, uint64_t addr, uint64_t bytes,
                   uint32_t stack)
{
    if (((addr | bytes) & PAGE_MASK) != 0 || (unsigned)kind > MT_TAG_NIBBLE_MAX) {
        const uint64_t values[] = { (uint64_t)kind, addr, bytes, stack };
        mt_encode_wide(e, MT_EXT_WIDE_MAP, clock, values, 4);
        return;
    }
    mt_encode_tag(e, MT_EVENT_MAP, (unsigned)kind, clock);
    encode_range(e, addr, bytes);
    mt_encode_stack(e, stack);
}

void mt_encode_unmap(struct mt_event_encoder *e, enum mt_map_kind kind, uint64_t clock, uint64_t addr, uint64_t bytes)
{
    if (((addr | bytes) & PAGE_MASK) != 0) {
        const uint64_t values[] = { addr, bytes };
        mt_encode_wide(e, MT_EXT_WIDE_UNMAP, clock, values, 2);
        return;
    }
    mt_encode_tag(e, MT_EVENT_UNMAP, (unsigned)kind, clock);
    encode_range(e, addr, bytes);
}

void mt_meta_bytes(struct mt_meta_builder *b, const void *data, size_t bytes)
{
    if (bytes > b->capacity - b->bytes) {
        b->overflow = true;
        return;
    }
    if (bytes > 0) {
        memcpy(b->buf + b->bytes, data, bytes);
    }
    b->bytes += bytes;
}

void mt_meta_u64_at_end(struct mt_meta_builder *b, uint64_t value)
{
    uint8_t encoded[MT_VARINT_MAX];
    mt_meta_bytes(b, encoded, (size_t)(mt_varint_put(encoded, value) - encoded));
}

void mt_meta_u8(struct mt_meta_builder *b, uint8_t value)
{
    mt_meta_bytes(b, &value, 1);
}

void mt_meta_string(struct mt_meta_builder *b, const void *data, size_t bytes)
{
    mt_meta_u64(b, bytes);
    mt_meta_bytes(b, data, bytes);
}

size_t mt_meta_head(uint8_t ret[MT_VARINT_MAX + 1], enum mt_meta_tag tag, size_t payload_bytes)
{
    ret[0] = (uint8_t)tag;
    return (size_t)(mt_varint_put(ret + 1, payload_bytes) - ret);
}

void mt_block_seal(struct mt_block_header *header, const void *payload)
{
    header->payload_crc = mt_crc32c(0, payload, header->stored_bytes);
    header->header_crc = mt_crc32c(0, header, MT_BLOCK_CRC_BYTES);
}

void mt_slot_seal(struct mt_block_header *header)
{
    header->header_crc = mt_crc32c(0, header, MT_SLOT_CRC_BYTES);
}

void mt_process_seal(struct mt_block_header *ret, uint32_t header_bytes, uint64_t trace_bytes)
{
    *ret = (struct mt_block_header){ .magic = MT_BLOCK_MAGIC,
                                     .type = MT_BLOCK_PROCESS,
                                     .stored_bytes = header_bytes,
                                     .raw_bytes = header_bytes,
                                     .stream = MT_STREAM_NONE,
                                     .extent_bytes = mt_block_extent(header_bytes),
                                     .clock_first = trace_bytes };
    ret->header_crc = mt_crc32c(0, ret, MT_BLOCK_CRC_BYTES);
}

uint32_t mt_block_extent(size_t stored_bytes)
{
    return (uint32_t)((sizeof(struct mt_block_header) + stored_bytes + MT_EXTENT_ALIGN - 1) &
                      ~(size_t)(MT_EXTENT_ALIGN - 1));
}
