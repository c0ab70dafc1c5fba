/* decode.h: event and metadata records from bytes nobody trusts.
 *
 * Decides: how bytes become records (docs/formats/trace.md sections 2 and 3), nothing about files (decode_file.h) or
 * what the records mean together (model/). Invariant: never reads outside [begin, end) whatever the bytes say; a
 * failure names the byte where the bad record starts and everything before it has been delivered. Batch oriented: the
 * caller gives an array and a clock limit, because merging streams means "run this one until another one is due", and a
 * run that goes straight into the caller's array costs no copy. A record at a time through a call costs about twice as
 * much. Context: [tool], any thread; no locks, no allocation.
 */
#ifndef MT_WIRE_DECODE_H
#define MT_WIRE_DECODE_H

#include "base/status.h"
#include "base/varint.h"
#include "wire/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where and why bytes were refused. text has static storage and says what was wrong; offset is a file offset, or an
 * offset in the decoded payload when `in_payload` (a compressed block has no other). */
struct mt_wire_error {
    uint64_t offset;
    const char *text;
    bool in_payload;
};

/* Kinds beyond enum mt_event_kind that an mt_event of the raw decoder can have, of extended records that are not a wide form:
 * RATE and LABEL (size: what is in force from here on; the events that follow carry it), REALLOC_FAILED, REALLOC_GONE and
 * REALLOC_THINNED (what became of the REALLOC_OLD before), DROPPED (size: events lost), RESIZED (the block at addr has `size` bytes now, it had
 * `old_bytes`). Cursors (model/cursor.h) deliver RESIZED and none of the others, nor REALLOC_OLD and REALLOC_NEW. */
enum mt_event_kind_raw {
#define MT_EXT(NAME, number, event, word) MT_EVENT_##NAME = (event),
#define MT_WIDE(NAME, number, EVENT)
#define MT_VALUE(type, member, name)
#define MT_EXT_DONE
#include "wire/records.def"
};

enum mt_event_flag {
    MT_EVENT_OF_REALLOC = 1u << 0, /* this FREE or ALLOC is half of a realloc */
    MT_EVENT_GOES_ON = 1u << 1,    /* this FREE of a realloc: the stream's next ALLOC of one says what became of the block */
    MT_EVENT_THINNED = 1u << 2,    /* this FREE of a realloc: the block lives on with a smaller size, a sample no more */
};

/* One event with absolute values. 48 bytes. */
struct mt_event {
    uint64_t clock;      /* hybrid clock, ns (trace.md section 4); time = clock - start_clock */
    uint64_t addr;
    uint64_t size;       /* bytes; 0 for FREE and REALLOC_OLD */
    union {
        uint64_t rate_bytes; /* sampling rate it was taken at; 0: exact, stands for itself. Not for FREE, MAP, UNMAP */
        uint64_t old_bytes;  /* RESIZED */
    };
    uint32_t stream;     /* which thread: mt_trace_thread() */
    uint32_t label;      /* what its thread was doing: mt_trace_label(); 0 none */
    uint32_t stack;      /* ALLOC, REALLOC_NEW, MAP: stack number, 0 unknown; else 0 */
    uint8_t kind;        /* enum mt_event_kind (or mt_event_kind_raw) */
    uint8_t allocator;   /* enum mt_allocator; MAP and UNMAP: enum mt_map_kind */
    uint16_t flags;      /* enum mt_event_flag */
};
static_assert(sizeof(struct mt_event) == 48, "fits 4 to 3 cache lines");

enum mt_decode_state {
    MT_DECODE_MORE, /* at the start of a record */
    MT_DECODE_END,  /* END record, or the bytes ended between two records */
    MT_DECODE_CUT,  /* the bytes end inside a record */
    MT_DECODE_BAD,  /* a record that cannot be: unknown EXT is skipped, so this is a bad varint or length */
};

/* Decoder of one event block. Fields are private except state, begin, at and seen. */
struct mt_event_decoder {
    const uint8_t *begin;
    const uint8_t *at;  /* start of the next record */
    const uint8_t *end;
    uint64_t clock;     /* of the last record delivered */
    uint64_t addr;
    uint64_t range;
    uint64_t recent[MT_RECENT_COUNT]; /* ring */
    uint64_t rate_bytes;
    uint32_t newest;    /* in recent */
    uint32_t stack;
    uint32_t stream;    /* with label: copied into every event together */
    uint32_t label;
    uint32_t seen;      /* bit k: a record of kind k was delivered since the caller cleared it */
    uint32_t clock_shift;
    enum mt_decode_state state;
};

/* Starts a block. data is borrowed and must outlive the decoder. */
void mt_decode_begin(struct mt_event_decoder *d, const void *data, size_t bytes, uint64_t clock_first, uint32_t stream);
/* The same, in a trace whose clock deltas count units of 2^clock_shift ns (mt_decode_begin: 0). */
void mt_decode_begin_in_units(struct mt_event_decoder *d, const void *data, size_t bytes, uint64_t clock_first,
                              uint32_t stream, uint32_t clock_shift);

/* Decodes records with clock <= clock_limit into out[0..capacity); returns how many. Stops before the first record past
 * the limit, when out is full, or when state becomes anything but MT_DECODE_MORE. Raw kinds are delivered as they are.
 * */
size_t mt_decode_events(struct mt_event_decoder *d, uint64_t clock_limit, struct mt_event *out, size_t capacity);

/* Clock of the next record without consuming it; false when there is none (state says why). */
bool mt_decode_peek(struct mt_event_decoder *d, uint64_t *ret_clock);

/* Number of varints that the payload of an EXT kind begins with. */
unsigned mt_decode_ext_fields(unsigned kind);

/* ---- metadata ------------------------------------------------------------------------------------------------- */

/* A cursor over one payload of stream 0, and over the fields inside one record. */
struct mt_bytes {
    const uint8_t *at;
    const uint8_t *end;
    bool bad; /* sticky: a field was cut off; the value read was 0 */
};

MT_INLINE struct mt_bytes mt_bytes_of(const void *data, size_t bytes)
{
    const uint8_t *at = data;
    return (struct mt_bytes){ .at = at, .end = at + bytes };
}

/* Slow halves: a number that is long or cut off; something that is not there, which is 0. */
uint64_t mt_bytes_long(struct mt_bytes *b);
uint8_t mt_bytes_none(struct mt_bytes *b);

/* Most numbers have one byte or two. */
MT_INLINE uint64_t mt_bytes_u64(struct mt_bytes *b)
{
    const uint8_t *at = b->at;
    if (MT_UNLIKELY(b->end - at < 2)) {
        return mt_bytes_long(b);
    }
    if (at[0] < 0x80) {
        b->at = at + 1;
        return at[0];
    }
    if (at[1] < 0x80) {
        b->at = at + 2;
        return (uint64_t)(at[0] & 0x7F) | (uint64_t)at[1] << 7;
    }
    return mt_bytes_long(b);
}

MT_INLINE int64_t mt_bytes_s64(struct mt_bytes *b)
{
    return mt_unzigzag(mt_bytes_u64(b));
}

MT_INLINE uint8_t mt_bytes_u8(struct mt_bytes *b)
{
    return MT_LIKELY(b->at < b->end) ? *b->at++ : mt_bytes_none(b);
}

/* A u64 that must fit 32 bits; larger sets bad. */
MT_INLINE uint32_t mt_bytes_u32(struct mt_bytes *b)
{
    uint64_t value = mt_bytes_u64(b);
    return MT_LIKELY(value <= UINT32_MAX) ? (uint32_t)value : (uint32_t)mt_bytes_none(b);
}

/* length and bytes; borrows from the payload. Empty on failure. */
MT_INLINE const uint8_t *mt_bytes_string(struct mt_bytes *b, size_t *ret_bytes)
{
    uint64_t bytes = mt_bytes_u64(b);
    if (MT_UNLIKELY(bytes > (uint64_t)(b->end - b->at))) {
        bytes = mt_bytes_none(b);
    }
    const uint8_t *text = b->at;
    b->at += bytes;
    *ret_bytes = (size_t)bytes;
    return text;
}

/* Bytes of a record's tag and length, and of its payload; 0: they are cut off. Slow half of mt_bytes_record. */
size_t mt_bytes_head(const uint8_t *at, const uint8_t *end, uint64_t *ret_bytes);

/* Next metadata record: tag and its payload. False at the end, or when the record is cut (b->bad then). Works on words and leaves
 * no copy of a cursor: one that has just been written byte by byte is read again as a whole, and the processor waits for that
 * longer than for all else of a record. */
MT_INLINE bool mt_bytes_record(struct mt_bytes *b, uint8_t *ret_tag, struct mt_bytes *ret_payload)
{
    const uint8_t *at = b->at;
    size_t left = (size_t)(b->end - at), head = 2;
    uint64_t bytes;
    if (left == 0) {
        return false;
    }
    if (MT_LIKELY(left >= 2 && at[1] < 0x80)) {
        bytes = at[1];
    } else {
        head = mt_bytes_head(at, b->end, &bytes);
    }
    if (MT_UNLIKELY(head == 0 || bytes > left - head)) {
        b->bad = true;
        return false;
    }
    b->at = at + head + bytes;
    *ret_tag = *at;
    ret_payload->at = at + head;
    ret_payload->end = at + head + bytes;
    ret_payload->bad = false;
    return true;
}

#endif
