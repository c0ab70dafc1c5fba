/* decode.c: event records.
 *
 * The loop is compiled twice from one always-inlined body: while at least FAST_BYTES are left no read can pass the end
 * (tag and at most five varints of 10 bytes), so the fast copy checks nothing; the last records of a block go through the
 * checked copy. EXT records carry a length of their own and are always checked. The running state lives in a local copy of
 * the decoder, else every store to out would make the compiler reload it (they may alias).
 */
#include "wire/decode.h"

#include "base/varint.h"

#include <string.h>

enum { FAST_BYTES = 64 };

/* A varint the caller has room for; false when longer than 64 bits. */
MT_INLINE bool varint_unchecked(const uint8_t **from, uint64_t *ret_value)
{
    const uint8_t *at = *from;
    uint64_t value = *at++;
    if (MT_UNLIKELY(value >= 0x80)) {
        value &= 0x7F;
        unsigned shift = 7;
        for (;;) {
            uint64_t byte = *at++;
            if (MT_UNLIKELY(shift == 63 && byte > 1)) {
                return false;
            }
            value |= (byte & 0x7F) << shift;
            if (byte < 0x80) {
                break;
            }
            shift += 7;
        }
    }
    *from = at;
    *ret_value = value;
    return true;
}

/* One to ten bytes of a varint at the very end of the data: whole, cut, or bad? */
static enum mt_decode_state varint_failure(const uint8_t *at, const uint8_t *end)
{
    for (size_t i = 0; i < MT_VARINT_MAX; i++) {
        if (at + i >= end) {
            return MT_DECODE_CUT;
        }
        if (at[i] < 0x80) {
            break;
        }
    }
    return MT_DECODE_BAD;
}

#define GET(value)                                                                                                     \
    do {                                                                                                               \
        if (MT_UNLIKELY(fast ? !varint_unchecked(&at, &(value)) : !mt_varint_get(&at, d->end, &(value)))) {            \
            d->state = varint_failure(at, d->end);                                                                     \
            return false;                                                                                              \
        }                                                                                                              \
    } while (0)

MT_INLINE void remember(struct mt_event_decoder *d, uint64_t addr)
{
    d->recent[3] = d->recent[2];
    d->recent[2] = d->recent[1];
    d->recent[1] = d->recent[0];
    d->recent[0] = addr;
}

/* Number of varints in the payload of an EXT kind, 0 for unknown kinds, REALLOC_FAILED and REALLOC_GONE. */
static unsigned ext_fields(unsigned nibble)
{
    static const uint8_t fields[16] = {
        [MT_EXT_RATE] = 1,      [MT_EXT_WIDE_ALLOC] = 4, [MT_EXT_WIDE_FREE] = 1,        [MT_EXT_WIDE_MAP] = 4,
        [MT_EXT_WIDE_UNMAP] = 2, [MT_EXT_DROPPED] = 1,    [MT_EXT_WIDE_REALLOC_OLD] = 1, [MT_EXT_WIDE_REALLOC_NEW] = 4,
    };
    return fields[nibble];
}

static void ext_alloc(struct mt_event *out, unsigned kind, const uint64_t *value)
{
    out->kind = (uint8_t)kind;
    out->allocator = (uint8_t)(value[0] & 0xFF);
    out->addr = value[1];
    out->size = value[2];
    out->stack = value[3] <= UINT32_MAX ? (uint32_t)value[3] : 0;
}

/* Turns the fields of an EXT record into an event; false when the kind is one to skip. */
static bool ext_event(struct mt_event_decoder *d, unsigned nibble, const uint64_t *value, struct mt_event *out)
{
    switch (nibble) {
    case MT_EXT_RATE:
        d->rate_bytes = value[0];
        out->kind = MT_EVENT_RATE;
        out->size = value[0];
        return true;
    case MT_EXT_REALLOC_FAILED:
        out->kind = MT_EVENT_REALLOC_FAILED;
        return true;
    case MT_EXT_REALLOC_GONE:
        out->kind = MT_EVENT_REALLOC_GONE;
        return true;
    case MT_EXT_WIDE_ALLOC:
        ext_alloc(out, MT_EVENT_ALLOC, value);
        return true;
    case MT_EXT_WIDE_REALLOC_NEW:
        ext_alloc(out, MT_EVENT_REALLOC_NEW, value);
        return true;
    case MT_EXT_WIDE_MAP:
        ext_alloc(out, MT_EVENT_MAP, value);
        return true;
    case MT_EXT_WIDE_FREE:
        out->kind = MT_EVENT_FREE;
        out->addr = value[0];
        return true;
    case MT_EXT_WIDE_REALLOC_OLD:
        out->kind = MT_EVENT_REALLOC_OLD;
        out->addr = value[0];
        return true;
    case MT_EXT_WIDE_UNMAP:
        out->kind = MT_EVENT_UNMAP;
        out->addr = value[0];
        out->size = value[1];
        return true;
    case MT_EXT_DROPPED:
        out->kind = MT_EVENT_DROPPED;
        out->size = value[0];
        return true;
    default:
        return false;
    }
}

/* An EXT record after its tag and clock. Returns 1 delivered, 0 skipped, -1 failed (state set). */
static MT_NOINLINE int decode_ext(struct mt_event_decoder *d, const uint8_t **from, unsigned nibble, uint64_t clock,
                                  struct mt_event *out)
{
    const uint8_t *at = *from;
    uint64_t bytes;
    if (!mt_varint_get(&at, d->end, &bytes)) {
        d->state = varint_failure(at, d->end);
        return -1;
    }
    if (bytes > (uint64_t)(d->end - at)) {
        d->state = MT_DECODE_CUT;
        return -1;
    }
    const uint8_t *stop = at + bytes;
    uint64_t value[4] = { 0 };
    for (unsigned i = 0; i < ext_fields(nibble); i++) {
        if (!mt_varint_get(&at, stop, &value[i])) {
            d->state = MT_DECODE_BAD;
            return -1;
        }
    }
    *from = stop;
    *out = (struct mt_event){ .clock = clock, .stream = d->stream, .rate_bytes = d->rate_bytes };
    return ext_event(d, nibble, value, out) ? 1 : 0;
}

/* Decodes the record at d->at into *out. False: nothing consumed (past the limit or state changed). *ret_out: 0 when the
 * record was consumed but is not an event. */
MT_INLINE bool decode_one(struct mt_event_decoder *d, const bool fast, uint64_t clock_limit, struct mt_event *out,
                          size_t *ret_out)
{
    const uint8_t *at = d->at;
    unsigned tag = *at++;
    unsigned kind = tag & MT_TAG_KIND_MASK;
    unsigned nibble = tag >> MT_TAG_NIBBLE_SHIFT;
    uint64_t value = 1;
    if (MT_UNLIKELY(kind == MT_EVENT_END)) {
        d->state = MT_DECODE_END;
        return false;
    }
    if (tag & MT_TAG_CLOCK) {
        GET(value);
    }
    uint64_t clock = d->clock + value;
    if (MT_UNLIKELY(clock > clock_limit)) {
        return false;
    }
    if (MT_UNLIKELY(clock < d->clock)) { /* wrapped: time does not run backwards */
        d->state = MT_DECODE_BAD;
        return false;
    }
    uint64_t addr = 0;
    uint64_t size = 0;
    uint32_t stack = 0;
    if (kind == MT_EVENT_ALLOC || kind == MT_EVENT_REALLOC_NEW) {
        GET(value);
        addr = d->addr + ((uint64_t)mt_unzigzag(value) << 3);
        GET(size);
        GET(value);
        stack = d->stack + (uint32_t)mt_unzigzag(value);
        d->addr = addr;
        d->stack = stack;
        remember(d, addr);
    } else if (kind == MT_EVENT_FREE || kind == MT_EVENT_REALLOC_OLD) {
        if (nibble == 0) {
            GET(value);
            addr = d->addr + ((uint64_t)mt_unzigzag(value) << 3);
            d->addr = addr;
        } else if (MT_LIKELY(nibble <= MT_RECENT_COUNT)) {
            addr = d->recent[nibble - 1];
        } else {
            d->state = MT_DECODE_BAD;
            return false;
        }
        nibble = 0;
    } else if (kind == MT_EVENT_EXT) {
        int delivered = decode_ext(d, &at, nibble, clock, out);
        if (delivered < 0) {
            return false;
        }
        d->clock = clock;
        d->at = at;
        d->seen |= delivered > 0 ? 1u << out->kind : 0;
        *ret_out = (size_t)delivered;
        return true;
    } else {
        GET(value);
        addr = d->range + ((uint64_t)mt_unzigzag(value) << 12);
        GET(size);
        if (kind == MT_EVENT_MAP) {
            GET(value);
            stack = d->stack + (uint32_t)mt_unzigzag(value);
            d->stack = stack;
        }
        d->range = addr;
    }
    d->clock = clock;
    d->at = at;
    d->seen |= 1u << kind;
    *out = (struct mt_event){ .clock = clock,
                              .addr = addr,
                              .size = size,
                              .rate_bytes = d->rate_bytes,
                              .stack = stack,
                              .stream = d->stream,
                              .kind = (uint8_t)kind,
                              .allocator = (uint8_t)nibble };
    *ret_out = 1;
    return true;
}

void mt_decode_begin(struct mt_event_decoder *d, const void *data, size_t bytes, uint64_t clock_first, uint32_t stream)
{
    const uint8_t *begin = data;
    *d = (struct mt_event_decoder){ .begin = begin,
                                    .at = begin,
                                    .end = begin + bytes,
                                    .clock = clock_first,
                                    .stream = stream,
                                    .state = bytes > 0 ? MT_DECODE_MORE : MT_DECODE_END };
}

size_t mt_decode_events(struct mt_event_decoder *decoder, uint64_t clock_limit, struct mt_event *out, size_t capacity)
{
    struct mt_event_decoder d = *decoder;
    size_t count = 0;
    bool more = d.state == MT_DECODE_MORE;
    while (more && count < capacity && d.end - d.at >= FAST_BYTES) {
        size_t delivered = 0;
        more = decode_one(&d, true, clock_limit, &out[count], &delivered);
        count += delivered;
    }
    while (more && count < capacity) {
        if (d.at == d.end) {
            d.state = MT_DECODE_END;
            break;
        }
        size_t delivered = 0;
        more = decode_one(&d, false, clock_limit, &out[count], &delivered);
        count += delivered;
    }
    if (d.state == MT_DECODE_MORE && d.at == d.end) {
        d.state = MT_DECODE_END;
    }
    *decoder = d;
    return count;
}

bool mt_decode_peek(struct mt_event_decoder *d, uint64_t *ret_clock)
{
    if (d->state != MT_DECODE_MORE) {
        return false;
    }
    const uint8_t *at = d->at;
    if (at == d->end || (*at & MT_TAG_KIND_MASK) == MT_EVENT_END) {
        d->state = MT_DECODE_END;
        return false;
    }
    uint64_t delta = 1;
    if (*at++ & MT_TAG_CLOCK && !mt_varint_get(&at, d->end, &delta)) {
        d->state = varint_failure(at, d->end);
        return false;
    }
    if (d->clock + delta < d->clock) {
        d->state = MT_DECODE_BAD;
        return false;
    }
    *ret_clock = d->clock + delta;
    return true;
}
