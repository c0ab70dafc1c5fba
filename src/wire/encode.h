/* encode.h: writes event and metadata records into memory the caller provides.
 *
 * Decides: how a record becomes bytes (docs/formats/trace.md sections 2 and 3), nothing about files or threads. The event
 * encoder keeps the running state of one block; it is inlined into the hot path, writes at most MT_EVENT_MAX_BYTES a
 * record and never checks bounds: the caller makes room first. Context: [hook], [tool].
 */
#ifndef MT_WIRE_ENCODE_H
#define MT_WIRE_ENCODE_H

#include "base/status.h"
#include "base/varint.h"
#include "wire/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Largest event record: tag, clock, EXT kind and length, four 10-byte varints, with slack. */
enum { MT_EVENT_MAX_BYTES = 64 };

/* Running state of one event block; all zero but clock at its start. */
struct mt_event_encoder {
    uint8_t *at; /* next byte to write */
    uint64_t clock;
    uint64_t addr;
    uint64_t range;
    uint64_t recent[MT_RECENT_COUNT]; /* ring: the newest is at recent_at */
    uint32_t recent_at;
    uint32_t stack;
    uint32_t events;
    uint32_t clock_shift; /* the trace's; set after mt_encode_begin, which makes it 0 */
};

/* Starts a block at to; clock_first is what the block header will carry. */
MT_INLINE void mt_encode_begin(struct mt_event_encoder *e, uint8_t *to, uint64_t clock_first)
{
    *e = (struct mt_event_encoder){ .at = to, .clock = clock_first };
}

/* The mt_put_* functions write one field at `at` and return where the next goes: the place stays in a register, where
 * e->at would be loaded and stored for every byte (a byte store may change anything). */

/* Tag byte and, unless the clock just ticked by one, how many units it went on. clock must be > e->clock (the first of a
 * block: not before it); what is not a
 * whole unit is written as the one before it, and a step within a unit as a tick, so that a stream always goes on. */
MT_INLINE uint8_t *mt_put_tag(struct mt_event_encoder *e, uint8_t *at, unsigned kind, unsigned nibble, uint64_t clock)
{
    unsigned tag = kind | (nibble << MT_TAG_NIBBLE_SHIFT);
    e->events++;
    if (MT_LIKELY(clock == e->clock + 1)) {
        e->clock = clock;
        *at = (uint8_t)tag;
        return at + 1;
    }
    uint64_t units = (clock >> e->clock_shift) - (e->clock >> e->clock_shift);
    if (MT_UNLIKELY(units == 0 && clock != e->clock)) {
        e->clock++;
        *at = (uint8_t)tag;
        return at + 1;
    }
    e->clock = units != 0 ? clock >> e->clock_shift << e->clock_shift : clock;
    *at = (uint8_t)(tag | MT_TAG_CLOCK);
    return mt_varint_put_short(at + 1, units);
}

MT_INLINE uint8_t *mt_put_addr(struct mt_event_encoder *e, uint8_t *at, uint64_t addr)
{
    uint64_t delta = mt_zigzag((int64_t)(addr - e->addr) >> 3);
    e->addr = addr;
    return mt_varint_put_either(at, delta);
}

MT_INLINE uint8_t *mt_put_stack(struct mt_event_encoder *e, uint8_t *at, uint32_t stack)
{
    uint64_t delta = mt_zigzag((int64_t)stack - (int64_t)e->stack);
    e->stack = stack;
    return mt_varint_put_short(at, delta);
}

MT_INLINE void mt_encode_tag(struct mt_event_encoder *e, unsigned kind, unsigned nibble, uint64_t clock)
{
    e->at = mt_put_tag(e, e->at, kind, nibble, clock);
}

MT_INLINE void mt_encode_addr(struct mt_event_encoder *e, uint64_t addr)
{
    e->at = mt_put_addr(e, e->at, addr);
}

MT_INLINE void mt_encode_stack(struct mt_event_encoder *e, uint32_t stack)
{
    e->at = mt_put_stack(e, e->at, stack);
}

MT_INLINE void mt_encode_remember(struct mt_event_encoder *e, uint64_t addr)
{
    e->recent_at = (e->recent_at + 1) % MT_RECENT_COUNT;
    e->recent[e->recent_at] = addr;
}

/* The nibble of an address among the recent ones, 0: it is not there. The newest is most often what is freed; then in their fixed
 * order, without a turn of the ring for each place: an address that is there twice is found either way. */
MT_INLINE unsigned mt_encode_recent(const struct mt_event_encoder *e, uint64_t addr)
{
    if (e->recent[e->recent_at] == addr) {
        return 1;
    }
#pragma GCC unroll 4
    for (uint32_t slot = 0; slot < MT_RECENT_COUNT; slot++) {
        if (e->recent[slot] == addr) {
            return (e->recent_at - slot) % MT_RECENT_COUNT + 1;
        }
    }
    return 0;
}

void mt_encode_wide(struct mt_event_encoder *e, enum mt_ext_kind kind, uint64_t clock, const uint64_t *values,
                    size_t count);

/* kind is MT_EVENT_ALLOC or MT_EVENT_REALLOC_NEW. allocator fits a tag: a test for more would cost every event. */
MT_INLINE void mt_encode_alloc(struct mt_event_encoder *e, unsigned kind, enum mt_allocator allocator, uint64_t clock,
                               uint64_t addr, uint64_t size, uint32_t stack)
{
    if (MT_UNLIKELY((addr & 7) != 0)) {
        const uint64_t values[] = { (uint64_t)allocator, addr, size, stack };
        mt_encode_wide(e, kind == MT_EVENT_ALLOC ? MT_EXT_WIDE_ALLOC : MT_EXT_WIDE_REALLOC_NEW, clock, values, 4);
        return;
    }
    mt_encode_remember(e, addr);
    uint8_t *at = mt_put_tag(e, e->at, kind, (unsigned)allocator, clock);
    at = mt_put_addr(e, at, addr);
    at = mt_varint_put_either(at, size);
    e->at = mt_put_stack(e, at, stack);
}

static_assert(MT_ALLOCATOR__COUNT - 1 <= MT_TAG_NIBBLE_MAX, "what uses numbers beyond needs mt_encode_any_alloc");

/* The same for any number of an allocator. */
void mt_encode_any_alloc(struct mt_event_encoder *e, unsigned kind, unsigned allocator, uint64_t clock, uint64_t addr,
                         uint64_t size, uint32_t stack);

/* kind is MT_EVENT_FREE or MT_EVENT_REALLOC_OLD. */
MT_INLINE void mt_encode_free(struct mt_event_encoder *e, unsigned kind, uint64_t clock, uint64_t addr)
{
    unsigned nibble = mt_encode_recent(e, addr);
    if (nibble != 0) {
        mt_encode_tag(e, kind, nibble, clock);
        return;
    }
    if (MT_UNLIKELY((addr & 7) != 0)) {
        mt_encode_wide(e, kind == MT_EVENT_FREE ? MT_EXT_WIDE_FREE : MT_EXT_WIDE_REALLOC_OLD, clock, &addr, 1);
        return;
    }
    e->at = mt_put_addr(e, mt_put_tag(e, e->at, kind, 0, clock), addr);
}

void mt_encode_map(struct mt_event_encoder *e, enum mt_map_kind kind, uint64_t clock, uint64_t addr, uint64_t bytes,
                   uint32_t stack);
void mt_encode_unmap(struct mt_event_encoder *e, enum mt_map_kind kind, uint64_t clock, uint64_t addr, uint64_t bytes);
/* mt_encode_ext of REALLOC_FAILED, _GONE and _THINNED, on the hot path of sampled reallocs. */
MT_INLINE void mt_encode_empty_ext(struct mt_event_encoder *e, enum mt_ext_kind kind, uint64_t clock)
{
    mt_encode_tag(e, MT_EVENT_EXT, (unsigned)kind, clock);
    *e->at++ = 0; /* bytes that follow */
}

/* RATE, LABEL, DROPPED, REALLOC_FAILED, _GONE and _THINNED; value ignored for the last three. */
void mt_encode_ext(struct mt_event_encoder *e, enum mt_ext_kind kind, uint64_t clock, uint64_t value);

/* The live block at addr changed its size where it is. */
void mt_encode_resized(struct mt_event_encoder *e, uint64_t clock, uint64_t addr, uint64_t old_bytes, uint64_t bytes);

/* ---- metadata records: a tiny builder over a caller's buffer -------------------------------------------------- */

/* Fields are appended to buf; overflow is remembered, not an error at once. */
struct mt_meta_builder {
    uint8_t *buf;
    size_t capacity;
    size_t bytes;
    bool overflow;
};

void mt_meta_bytes(struct mt_meta_builder *b, const void *data, size_t bytes); /* raw, no length */
void mt_meta_u64_at_end(struct mt_meta_builder *b, uint64_t value);            /* slow half: there may be no room */

MT_INLINE void mt_meta_begin(struct mt_meta_builder *b, void *buf, size_t capacity)
{
    *b = (struct mt_meta_builder){ .buf = buf, .capacity = capacity };
}

MT_INLINE void mt_meta_u64(struct mt_meta_builder *b, uint64_t value)
{
    if (MT_UNLIKELY(b->capacity - b->bytes < MT_VARINT_MAX)) {
        mt_meta_u64_at_end(b, value);
        return;
    }
    b->bytes = (size_t)(mt_varint_put(b->buf + b->bytes, value) - b->buf);
}

MT_INLINE void mt_meta_s64(struct mt_meta_builder *b, int64_t value)
{
    mt_meta_u64(b, mt_zigzag(value));
}

void mt_meta_u8(struct mt_meta_builder *b, uint8_t value);
void mt_meta_string(struct mt_meta_builder *b, const void *data, size_t bytes); /* with length */
/* Writes tag and length in front of a payload of that many bytes; returns the bytes written to ret (at most 11). */
size_t mt_meta_head(uint8_t ret[MT_VARINT_MAX + 1], enum mt_meta_tag tag, size_t payload_bytes);

/* ---- block headers ------------------------------------------------------------------------------------------ */

/* Fills both checksums of a block header whose other fields are set. payload is what is stored. */
void mt_block_seal(struct mt_block_header *header, const void *payload);
/* Fills the header checksum of a slot (first 24 bytes). */
void mt_slot_seal(struct mt_block_header *header);
/* The header of a block that puts another process's trace behind it: from its payload on, trace_bytes are byte for byte
 * that trace, whose own header has header_bytes of them (a multiple of 64). The next extent begins at the next multiple
 * of 64 behind the trace. */
void mt_process_seal(struct mt_block_header *ret, uint32_t header_bytes, uint64_t trace_bytes);
/* Extent of a block with that many stored bytes: header and payload rounded up to 64. */
uint32_t mt_block_extent(size_t stored_bytes);

#endif
