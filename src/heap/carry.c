/* carry.c: see carry.h. */
#include "heap/carry.h"

#include "base/varint.h"
#include "heap/meta.h"
#include "heap/tracefile.h"
#include "wire/records.h"

#include <string.h>

enum {
    BLOCK_MAX = 96 * 1024, /* of what waits to be written, when the next is read; more where one block is larger */
    FULL_BYTES = 64 * 1024,
    SITE_BYTES_MAX = 104, /* of one record of totals */
    POINT_BYTES_MAX = 44,
    HEAD_BYTES = 2,       /* of such a record */
    STREAM_BYTES = 4,     /* that its thread's number may take more than none */
};

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
    if (tag == MT_META_BEFORE || tag == MT_META_SITE || tag == MT_META_POINT) {
        return false;
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

static mt_status copy_block(struct out *o, size_t index, uint32_t largest, uint8_t *buffer)
{
    if (!mt_meta_lock()) {
        return MT_E_BUSY;
    }
    struct mt_meta_place place = mt_meta_place_locked(index);
    mt_meta_unlock();
    if (place.bytes > largest) {
        return MT_E_TOO_LARGE;
    }
    mt_status status = mt_tracefile_read(place.offset + sizeof(struct mt_block_header), buffer, place.bytes);
    return status == MT_OK ? copy_records(o, buffer, buffer + place.bytes) : status;
}

/* ---- what is known of before ---------------------------------------------------------------------------------------- */

static void put_record(struct out *o, enum mt_meta_tag tag, const struct mt_meta_builder *record)
{
    uint8_t *to = o->to + o->used;
    size_t head = mt_meta_head(to, tag, record->bytes);
    memcpy(to + head, record->buf, record->bytes);
    o->used += head + record->bytes;
}

/* As the nearest number of 32 bits. What is left of a site whose blocks shrank may be below zero. */
static uint32_t float_bits(double number)
{
    float narrow = (float)number;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    return bits;
}

static void build_site(struct mt_meta_builder *record, const struct mt_carry *carry, const struct mt_totals_row *row)
{
    mt_record_put_site(record, &(struct mt_record_site){ .stack = row->stack,
                                                         .allocator = row->allocator,
                                                         .stream = has_stream(carry, row->stream) ? row->stream : 0,
                                                         .label = row->label,
                                                         .rate_bytes = row->rate_bytes,
                                                         .total_bytes = row->total.bytes,
                                                         .total_count = row->total.count,
                                                         .total_bytes_variance = float_bits(row->total.bytes_variance),
                                                         .total_count_variance = float_bits(row->total.count_variance),
                                                         .peak_bytes = row->peak.bytes,
                                                         .peak_count = row->peak.count,
                                                         .peak_bytes_variance = float_bits(row->peak.bytes_variance),
                                                         .peak_count_variance = float_bits(row->peak.count_variance) });
}

static void build_point(struct mt_meta_builder *record, const struct mt_totals_point *point)
{
    mt_record_put_point(record, &(struct mt_record_point){ point->clock, point->bytes, point->most, point->count });
}

static void put_totals(struct out *o, const struct mt_totals_copy *totals)
{
    uint8_t buf[SITE_BYTES_MAX];
    struct mt_meta_builder record;
    mt_meta_begin(&record, buf, sizeof buf);
    mt_record_put_before(&record, &(struct mt_record_before){ totals->peak_clock, totals->peak_bytes });
    put_record(o, MT_META_BEFORE, &record);
    for (size_t i = 0; i < totals->point_count; i++) {
        mt_meta_begin(&record, buf, sizeof buf);
        build_point(&record, &totals->points[i]);
        put_record(o, MT_META_POINT, &record);
    }
    for (size_t i = 0; i < totals->count; i++) {
        mt_meta_begin(&record, buf, sizeof buf);
        build_site(&record, o->carry, &totals->rows[i]);
        put_record(o, MT_META_SITE, &record);
    }
}

size_t mt_carry_buffer_bytes(uint32_t largest, const struct mt_totals_copy *totals)
{
    return largest + FULL_BYTES + (largest > BLOCK_MAX ? largest : BLOCK_MAX) + (totals->count + 1) * SITE_BYTES_MAX + totals->point_count * POINT_BYTES_MAX;
}

/* Built once for their lengths alone: what is claimed has to be there. */
uint64_t mt_carry_room(const struct mt_totals_copy *totals)
{
    static const struct mt_carry nobody = { .stream_count = 0 };
    uint64_t room = SITE_BYTES_MAX + totals->point_count * POINT_BYTES_MAX;
    for (size_t i = 0; i < totals->count; i++) {
        uint8_t buf[SITE_BYTES_MAX];
        struct mt_meta_builder record;
        mt_meta_begin(&record, buf, sizeof buf);
        build_site(&record, &nobody, &totals->rows[i]);
        room += record.bytes + HEAD_BYTES + STREAM_BYTES;
    }
    return room;
}

void mt_carry_metadata(struct mt_base *base, const struct mt_carry *carry, size_t count, uint32_t largest, uint8_t *buffer)
{
    struct out o = { .base = base, .carry = carry, .to = buffer + largest };
    for (size_t i = 0; i < count && base->status == MT_OK; i++) {
        mt_status status = copy_block(&o, i, largest, buffer);
        base->status = base->status == MT_OK ? status : base->status;
        if (o.used > FULL_BYTES && i + 1 < count) { /* never more blocks than there were */
            flush(&o);
        }
    }
    if (carry->totals->known && base->status == MT_OK) {
        put_totals(&o, carry->totals);
    }
    flush(&o);
}
