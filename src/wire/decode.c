/* decode.c: event records.
 *
 * Two paths. decode_common takes allocations and frees, nearly all records, while at least FAST_BYTES are left, so that
 * no read of a record (a tag and at most four varints of 10 bytes) can pass the end; its state is in registers.
 * Everything else, the last records of a block and every failure go to decode_any, which checks each byte.
 */
#include "wire/decode.h"

#include "base/varint.h"

#include <string.h>

enum { FAST_BYTES = 64 };
static const uint64_t UNITS_FAST = UINT64_MAX >> (MT_CLOCK_SHIFT_MAX + 1); /* steps of more, and of none, are looked at closely */

/* A varint of three or more bytes that the caller has room for; false when longer than 64 bits. */
MT_INLINE bool varint_rest(const uint8_t **from, uint64_t *ret_value)
{
    const uint8_t *at = *from;
    uint64_t value = (at[0] & 0x7Fu) | (uint64_t)(at[1] & 0x7F) << 7;
    at += 2;
    for (unsigned shift = 14;; shift += 7) {
        uint64_t byte = *at++;
        if (MT_UNLIKELY(shift == 63 && byte > 1)) {
            return false;
        }
        value |= (byte & 0x7F) << shift;
        if (byte < 0x80) {
            break;
        }
    }
    *from = at;
    *ret_value = value;
    return true;
}

/* A varint the caller has room for. Most have one or two bytes. (Folding 8 bytes at once without a loop was measured: a
 * third slower, lengths are predicted well.) */
MT_INLINE bool varint_unchecked(const uint8_t **from, uint64_t *ret_value)
{
    const uint8_t *at = *from;
    uint64_t first = at[0];
    if (MT_LIKELY(first < 0x80)) {
        *from = at + 1;
        *ret_value = first;
        return true;
    }
    uint64_t second = at[1];
    if (second < 0x80) {
        *from = at + 2;
        *ret_value = (first & 0x7F) | second << 7;
        return true;
    }
    return varint_rest(from, ret_value);
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

MT_INLINE void remember(struct mt_event_decoder *d, uint64_t addr)
{
    d->newest = (d->newest + 1) % MT_RECENT_COUNT;
    d->recent[d->newest] = addr;
}

MT_INLINE uint64_t recall(const struct mt_event_decoder *d, unsigned nibble)
{
    return d->recent[(d->newest + 1 - nibble) % MT_RECENT_COUNT];
}

unsigned mt_decode_ext_fields(unsigned kind)
{
    static const uint8_t fields[MT_TAG_NIBBLE_MAX + 1] = {
#define MT_EXT(NAME, number, event, word) [number] = 0
#define MT_WIDE(NAME, number, EVENT) [number] = 0
#define MT_VALUE(type, member, name) +1
#define MT_EXT_DONE ,
#include "wire/records.def"
    };
    return fields[kind & MT_TAG_NIBBLE_MAX];
}

/* A number that does not fit its field is none. */
#define MT_FIT_U8(value) ((value) <= UINT8_MAX ? (uint8_t)(value) : 0)
#define MT_FIT_U32(value) ((value) <= UINT32_MAX ? (uint32_t)(value) : 0)
#define MT_FIT_U64(value) (value)
#define MT_FIT_ADDRESS(value) (value)

/* Turns the fields of an EXT record into an event; false when it is none, as RESTART and kinds to skip. */
static bool ext_event(unsigned number, const uint64_t *value, struct mt_event *out)
{
    switch (number) {
#define MT_EXT(NAME, number, event, word)                                                                              \
    case number:                                                                                                       \
        out->kind = (event);
#define MT_WIDE(NAME, number, EVENT)                                                                                   \
    case number:                                                                                                       \
        out->kind = MT_EVENT_##EVENT;
#define MT_VALUE(type, member, name) out->member = MT_FIT_##type(*value), value++;
#define MT_EXT_DONE break;
#include "wire/records.def"
    default:
        break;
    }
    return out->kind != MT_EVENT_END;
}

/* What an EXT record changes for the events after it. */
static void take_state(struct mt_event_decoder *d, struct mt_event *out)
{
    if (out->kind == MT_EVENT_RATE) {
        d->rate_bytes = out->size;
    } else if (out->kind == MT_EVENT_LABEL) {
        d->label = (uint32_t)out->size;
        out->label = d->label;
    }
}

/* As mt_decode_begin leaves it, at another clock. */
static void restart(struct mt_event_decoder *d, uint64_t clock)
{
    d->clock = clock;
    d->addr = 0;
    d->range = 0;
    d->stack = 0;
    d->rate_bytes = 0;
    d->label = 0;
    memset(d->recent, 0, sizeof d->recent);
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
    for (unsigned i = 0; i < mt_decode_ext_fields(nibble); i++) {
        if (!mt_varint_get(&at, stop, &value[i])) {
            d->state = MT_DECODE_BAD;
            return -1;
        }
    }
    if (nibble == MT_EXT_RESTART && value[0] < clock) {
        d->state = MT_DECODE_BAD; /* clocks of a stream never run back */
        return -1;
    }
    *from = stop;
    *out = (struct mt_event){ .clock = clock, .stream = d->stream, .rate_bytes = d->rate_bytes, .label = d->label };
    bool delivered = ext_event(nibble, value, out);
    take_state(d, out);
    return delivered ? 1 : 0;
}

/* Reads a varint of the record at *at; false with the state set. */
static bool get(struct mt_event_decoder *d, const uint8_t **at, uint64_t *ret_value)
{
    if (mt_varint_get(at, d->end, ret_value)) {
        return true;
    }
    d->state = varint_failure(*at, d->end);
    return false;
}

static bool get_alloc(struct mt_event_decoder *d, const uint8_t **at, struct mt_event *out)
{
    uint64_t delta, stack;
    if (!get(d, at, &delta) || !get(d, at, &out->size) || !get(d, at, &stack)) {
        return false;
    }
    d->addr += (uint64_t)mt_unzigzag(delta) << 3;
    d->stack += (uint32_t)mt_unzigzag(stack);
    remember(d, d->addr);
    out->addr = d->addr;
    out->stack = d->stack;
    return true;
}

static bool get_free(struct mt_event_decoder *d, const uint8_t **at, unsigned nibble, struct mt_event *out)
{
    uint64_t delta;
    if (nibble > MT_RECENT_COUNT) {
        d->state = MT_DECODE_BAD;
        return false;
    }
    out->allocator = 0;
    if (nibble > 0) {
        out->addr = recall(d, nibble);
        return true;
    }
    if (!get(d, at, &delta)) {
        return false;
    }
    d->addr += (uint64_t)mt_unzigzag(delta) << 3;
    out->addr = d->addr;
    return true;
}

static bool get_range(struct mt_event_decoder *d, const uint8_t **at, bool map, struct mt_event *out)
{
    uint64_t delta, stack = 0;
    if (!get(d, at, &delta) || !get(d, at, &out->size) || (map && !get(d, at, &stack))) {
        return false;
    }
    d->range += (uint64_t)mt_unzigzag(delta) << 12;
    d->stack += (uint32_t)mt_unzigzag(stack);
    out->addr = d->range;
    out->stack = map ? d->stack : 0;
    return true;
}

/* Decodes any record, checking everything. False: nothing consumed (past the limit, or the state says why).
 * *ret_delivered: 0 when the record is not an event. */
static bool decode_any(struct mt_event_decoder *d, uint64_t clock_limit, struct mt_event *out, size_t *ret_delivered)
{
    const uint8_t *at = d->at;
    uint64_t clock;
    if (!mt_decode_peek(d, &clock) || clock > clock_limit) {
        return false;
    }
    unsigned tag = *at++;
    unsigned kind = tag & MT_TAG_KIND_MASK;
    unsigned nibble = tag >> MT_TAG_NIBBLE_SHIFT;
    uint64_t skipped;
    if (tag & MT_TAG_CLOCK && !get(d, &at, &skipped)) {
        return false;
    }
    bool whole;
    *ret_delivered = 1;
    *out = (struct mt_event){ .clock = clock,
                              .rate_bytes = d->rate_bytes,
                              .stream = d->stream,
                              .label = d->label,
                              .kind = (uint8_t)kind,
                              .allocator = (uint8_t)nibble };
    if (kind == MT_EVENT_ALLOC || kind == MT_EVENT_REALLOC_NEW) {
        whole = get_alloc(d, &at, out);
    } else if (kind == MT_EVENT_FREE || kind == MT_EVENT_REALLOC_OLD) {
        whole = get_free(d, &at, nibble, out);
    } else if (kind == MT_EVENT_EXT) {
        int delivered = decode_ext(d, &at, nibble, clock, out);
        whole = delivered >= 0;
        *ret_delivered = delivered > 0;
    } else {
        whole = get_range(d, &at, kind == MT_EVENT_MAP, out);
    }
    if (!whole) {
        return false;
    }
    d->clock = clock;
    d->at = at;
    if (kind == MT_EVENT_EXT && nibble == MT_EXT_RESTART) {
        restart(d, out->clock);
    }
    d->seen |= *ret_delivered > 0 ? 1u << out->kind : 0;
    return true;
}

/* Decodes allocations and frees while they are far from the end of the data; leaves every other record, and every
 * failure, to decode_any. */
static size_t decode_common(struct mt_event_decoder *d, uint64_t clock_limit, struct mt_event *out, size_t capacity)
{
    const uint8_t *at = d->at;
    const uint8_t *const end = d->end;
    const unsigned clock_shift = d->clock_shift;
    const uint64_t below_unit = ((uint64_t)1 << clock_shift) - 1;
    uint64_t clock = d->clock;
    uint64_t addr = d->addr;
    uint32_t stack = d->stack;
    uint32_t seen = d->seen;
    struct mt_event *const first = out;
    struct mt_event *const last = out + capacity;
    while (out < last && end - at >= FAST_BYTES) {
        const uint8_t *from = at;
        unsigned tag = *from++;
        unsigned kind = tag & MT_TAG_KIND_MASK;
        unsigned nibble = tag >> MT_TAG_NIBBLE_SHIFT;
        uint64_t tick = 1, delta, size = 0, stack_delta = 0;
        if (tag & MT_TAG_CLOCK) {
            uint64_t units;
            if (!varint_unchecked(&from, &units) || units - 1 >= UNITS_FAST) {
                break;
            }
            tick = (units << clock_shift) - (clock & below_unit);
        }
        if (MT_UNLIKELY(tick > clock_limit - clock)) {
            break;
        }
        if (kind == MT_EVENT_ALLOC || kind == MT_EVENT_REALLOC_NEW) {
            if (!varint_unchecked(&from, &delta) || !varint_unchecked(&from, &size) ||
                !varint_unchecked(&from, &stack_delta)) {
                break;
            }
            addr += (uint64_t)mt_unzigzag(delta) << 3;
            stack += (uint32_t)mt_unzigzag(stack_delta);
            remember(d, addr);
            *out = (struct mt_event){ .addr = addr, .stack = stack, .allocator = (uint8_t)nibble };
        } else if (kind == MT_EVENT_FREE || kind == MT_EVENT_REALLOC_OLD) {
            if (nibble > MT_RECENT_COUNT) {
                break;
            }
            uint64_t freed = recall(d, nibble);
            if (nibble == 0) {
                if (!varint_unchecked(&from, &delta)) {
                    break;
                }
                addr += (uint64_t)mt_unzigzag(delta) << 3;
                freed = addr;
            }
            *out = (struct mt_event){ .addr = freed };
        } else {
            break;
        }
        clock += tick;
        at = from;
        out->clock = clock;
        out->size = size;
        out->rate_bytes = d->rate_bytes;
        out->stream = d->stream;
        out->label = d->label;
        out->kind = (uint8_t)kind;
        seen |= 1u << kind;
        out++;
    }
    d->at = at;
    d->clock = clock;
    d->addr = addr;
    d->stack = stack;
    d->seen = seen;
    return (size_t)(out - first);
}

void mt_decode_begin(struct mt_event_decoder *d, const void *data, size_t bytes, uint64_t clock_first, uint32_t stream)
{
    mt_decode_begin_in_units(d, data, bytes, clock_first, stream, 0);
}

void mt_decode_begin_in_units(struct mt_event_decoder *d, const void *data, size_t bytes, uint64_t clock_first,
                              uint32_t stream, uint32_t clock_shift)
{
    const uint8_t *begin = data;
    *d = (struct mt_event_decoder){ .begin = begin,
                                    .at = begin,
                                    .end = begin + bytes,
                                    .clock = clock_first,
                                    .stream = stream,
                                    .clock_shift = clock_shift,
                                    .state = bytes > 0 ? MT_DECODE_MORE : MT_DECODE_END };
}

size_t mt_decode_events(struct mt_event_decoder *d, uint64_t clock_limit, struct mt_event *out, size_t capacity)
{
    size_t count = 0;
    while (count < capacity && d->state == MT_DECODE_MORE) {
        if (clock_limit >= d->clock) {
            count += decode_common(d, clock_limit, out + count, capacity - count);
        }
        size_t delivered = 0;
        if (count == capacity || !decode_any(d, clock_limit, out + count, &delivered)) {
            break;
        }
        count += delivered;
    }
    if (d->state == MT_DECODE_MORE && d->at == d->end) {
        d->state = MT_DECODE_END;
    }
    return count;
}

/* The clock that many units on, at the beginning of one; 0, which is before any other, where that wraps. */
static uint64_t clock_after(const struct mt_event_decoder *d, uint64_t units)
{
    uint64_t unit = d->clock >> d->clock_shift;
    if (units == 0) {
        return d->clock;
    }
    bool fits = units <= (UINT64_MAX >> d->clock_shift) - unit;
    return fits ? (unit + units) << d->clock_shift : 0;
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
    uint64_t units;
    if ((*at++ & MT_TAG_CLOCK) == 0) {
        *ret_clock = d->clock + 1;
    } else if (mt_varint_get(&at, d->end, &units)) {
        *ret_clock = clock_after(d, units);
    } else {
        d->state = varint_failure(at, d->end);
        return false;
    }
    if (*ret_clock < d->clock) {
        d->state = MT_DECODE_BAD;
        return false;
    }
    return true;
}
