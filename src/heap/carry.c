/* carry.c: see carry.h. */
#include "heap/carry.h"

#include "base/varint.h"
#include "heap/meta.h"
#include "heap/tracefile.h"

#include <string.h>

enum { BLOCK_MAX = 96 * 1024, FULL_BYTES = 64 * 1024 };

struct out {
    struct mt_base *base;
    const struct mt_carry *carry;
    uint64_t rss_clock; /* of the last one that was kept */
    uint8_t *to;
    size_t used;
};

static bool has_stream(const struct mt_carry *carry, uint64_t stream)
{
    size_t low = 0, high = carry->stream_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (carry->streams[middle] < stream) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < carry->stream_count && carry->streams[low] == stream;
}

static bool wants_rss(struct out *o, const uint8_t *at, const uint8_t *end)
{
    uint64_t clock = 0, bytes;
    bool whole = mt_varint_get(&at, end, &clock) && mt_varint_get(&at, end, &bytes) && at == end; /* not in parts */
    if (whole && clock - o->rss_clock < o->carry->rss_step_ns && o->rss_clock != 0) {
        return false;
    }
    o->rss_clock = clock;
    return true;
}

static bool is_program_end(const uint8_t *at, const uint8_t *end)
{
    uint64_t clock, stream, kind = 0;
    return mt_varint_get(&at, end, &clock) && mt_varint_get(&at, end, &stream) && mt_varint_get(&at, end, &kind) &&
           kind == MT_MARK_PROGRAM_END;
}

static bool wants(struct out *o, uint8_t tag, const uint8_t *at, const uint8_t *end)
{
    uint64_t stream;
    if (tag == MT_META_THREAD) {
        return !mt_varint_get(&at, end, &stream) || has_stream(o->carry, stream);
    }
    if (tag == MT_META_RSS) {
        return wants_rss(o, at, end);
    }
    return tag != MT_META_MARK || !is_program_end(at, end);
}

static void flush(struct out *o)
{
    const struct mt_block_header header = { .type = MT_BLOCK_META, .stream = MT_STREAM_META };
    if (o->used > 0) {
        mt_base_put(o->base, &header, o->to, o->used);
        o->used = 0;
    }
}

/* Whole records. What is no record is not ours: the file was changed. */
static mt_status copy_records(struct out *o, const uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        const uint8_t *record = at, *payload = at + 1;
        uint64_t bytes;
        if (!mt_varint_get(&payload, end, &bytes) || bytes > (uint64_t)(end - payload)) {
            return MT_E_CORRUPT;
        }
        at = payload + bytes;
        if (wants(o, *record, payload, at)) {
            memcpy(o->to + o->used, record, (size_t)(at - record));
            o->used += (size_t)(at - record);
        }
    }
    return MT_OK;
}

static mt_status copy_block(struct out *o, size_t index, uint8_t *buffer)
{
    if (!mt_meta_lock()) {
        return MT_E_BUSY;
    }
    struct mt_meta_place place = mt_meta_place_locked(index);
    mt_meta_unlock();
    if (place.bytes > BLOCK_MAX) {
        return MT_E_TOO_LARGE;
    }
    mt_status status = mt_tracefile_read(place.offset + sizeof(struct mt_block_header), buffer, place.bytes);
    return status == MT_OK ? copy_records(o, buffer, buffer + place.bytes) : status;
}

void mt_carry_metadata(struct mt_base *base, const struct mt_carry *carry, size_t count, uint8_t *buffer)
{
    struct out o = { .base = base, .carry = carry, .to = buffer + BLOCK_MAX };
    for (size_t i = 0; i < count && base->status == MT_OK; i++) {
        mt_status status = copy_block(&o, i, buffer);
        base->status = base->status == MT_OK ? status : base->status;
        if (o.used > FULL_BYTES) { /* never more blocks than there were */
            flush(&o);
        }
    }
    flush(&o);
}
