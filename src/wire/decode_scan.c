/* decode_scan.c: finds the extents of a trace file.
 *
 * Order matters for a live file (pairing with the writer, trace.md 1): file_tail is read first, then headers up to it,
 * then event slots are copied, then file_tail again for the blocks slots were flushed to meanwhile, and the metadata slot
 * last of all: an event is written after the metadata it names, so metadata read later covers events read earlier.
 * A slot that was flushed while it was being copied is copied again: seq_committed is read before and after.
 * Context: [tool].
 */
#include "wire/decode_source.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW_BYTES = 4096, LIVE_ROUNDS = 8 };

/* A piece of the file that was read last; most headers of small blocks and every step over a hole hit it. */
struct window {
    uint8_t data[WINDOW_BYTES];
    uint64_t offset;
    size_t bytes;
};

static mt_status window_get(struct mt_reader *r, struct window *w, uint64_t offset, size_t need, const uint8_t **ret)
{
    if (offset < w->offset || offset + need > w->offset + w->bytes) {
        size_t got;
        mt_status status = mt_source_read(&r->source, offset, w->data, WINDOW_BYTES, &got);
        if (status != MT_OK) {
            return status;
        }
        w->offset = offset;
        w->bytes = got;
    }
    *ret = offset + need <= w->offset + w->bytes ? w->data + (offset - w->offset) : NULL;
    return MT_OK;
}

static bool crc_covers_prefix(uint8_t type)
{
    return type == MT_BLOCK_SLOT || type == MT_BLOCK_AGGREGATE;
}

static bool header_is_valid(const struct mt_block_header *h)
{
    if (h->magic != MT_BLOCK_MAGIC || h->extent_bytes < sizeof *h || h->extent_bytes % MT_EXTENT_ALIGN != 0 ||
        h->stored_bytes > h->extent_bytes - sizeof *h) {
        return false;
    }
    size_t covered = crc_covers_prefix(h->type) ? MT_SLOT_CRC_BYTES : MT_BLOCK_CRC_BYTES;
    return h->header_crc == mt_crc32c(0, h, covered);
}

static struct mt_extent *push_extent(struct mt_reader *r)
{
    if (r->count == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 64;
        struct mt_extent *grown = realloc(r->extents, capacity * sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        r->extents = grown;
        r->capacity = capacity;
    }
    struct mt_extent *e = &r->extents[r->count++];
    *e = (struct mt_extent){ 0 };
    return e;
}

/* Slots keep type MT_BLOCK_SLOT until they are read; stored_bytes is their capacity until then. */
static mt_status take_extent(struct mt_reader *r, uint64_t offset, const struct mt_block_header *h)
{
    if (h->type < MT_BLOCK_META || h->type > MT_BLOCK_INDEX || (h->type == MT_BLOCK_SLOT && h->stream == MT_STREAM_NONE)) {
        return MT_OK; /* a later minor version's, or a free slot */
    }
    struct mt_extent *e = push_extent(r);
    if (e == NULL) {
        return MT_E_NOMEM;
    }
    *e = (struct mt_extent){ .offset = offset,
                             .clock_first = h->clock_first,
                             .clock_last = h->clock_last,
                             .stream = h->stream,
                             .seq = (uint32_t)(h->seq_committed >> 32),
                             .stored_bytes = h->stored_bytes,
                             .raw_bytes = h->raw_bytes,
                             .events = h->events,
                             .payload_crc = h->payload_crc,
                             .extent_bytes = h->extent_bytes,
                             .type = h->type,
                             .codec = h->codec,
                             .slot = h->type == MT_BLOCK_SLOT };
    uint64_t there = r->source.bytes - offset - sizeof *h;
    if (e->stored_bytes > there) {
        e->stored_bytes = (uint32_t)there;
        e->cut = true;
    }
    if (e->cut && r->report.truncated_at == 0) { /* the padding of the last extent need not be there */
        r->report.truncated_at = r->source.bytes;
    }
    return MT_OK;
}

static void count_hole(struct mt_reader *r, uint64_t from, uint64_t to)
{
    r->report.holes++;
    r->report.hole_bytes += to - from;
    if (r->report.first_hole == 0) {
        r->report.first_hole = from;
    }
}

static bool all_zero(const uint8_t *data, size_t bytes)
{
    return bytes == 0 || (data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0);
}

/* Where to look next when there is no header at offset. */
static uint64_t step_over(struct mt_reader *r, const struct window *w, uint64_t offset)
{
    if (offset == w->offset && w->bytes == WINDOW_BYTES && all_zero(w->data, WINDOW_BYTES)) {
        uint64_t data = mt_source_next_data(&r->source, offset + WINDOW_BYTES);
        return (data & ~(uint64_t)(MT_EXTENT_ALIGN - 1)) > offset ? data & ~(uint64_t)(MT_EXTENT_ALIGN - 1)
                                                                  : offset + WINDOW_BYTES;
    }
    return offset + MT_EXTENT_ALIGN;
}

/* Takes every extent with a header in [from, to). */
static mt_status scan_range(struct mt_reader *r, uint64_t from, uint64_t to, uint64_t *ret_end)
{
    struct window w = { .offset = UINT64_MAX };
    uint64_t hole = 0;
    uint64_t offset = from;
    while (offset < to) {
        const uint8_t *bytes;
        mt_status status = window_get(r, &w, offset, sizeof(struct mt_block_header), &bytes);
        if (status != MT_OK) {
            return status;
        }
        if (bytes == NULL) {
            break;
        }
        struct mt_block_header header;
        memcpy(&header, bytes, sizeof header);
        if (!header_is_valid(&header)) {
            hole = hole != 0 ? hole : offset;
            offset = step_over(r, &w, offset);
            continue;
        }
        if (hole != 0) {
            count_hole(r, hole, offset);
            hole = 0;
        }
        status = take_extent(r, offset, &header);
        if (status != MT_OK) {
            return status;
        }
        offset += header.extent_bytes;
    }
    if (hole != 0) {
        count_hole(r, hole, to);
    }
    *ret_end = offset > to ? offset : to;
    return MT_OK;
}

static bool read_header(struct mt_reader *r, uint64_t offset, struct mt_block_header *ret)
{
    size_t got;
    return mt_source_read(&r->source, offset, ret, sizeof *ret, &got) == MT_OK && got == sizeof *ret;
}

/* Drops an extent in place: the sort puts it last, the cleaning removes it. */
static void drop(struct mt_extent *e)
{
    e->type = 0;
    e->stream = MT_STREAM_NONE;
}

static mt_status push_copy(struct mt_reader *r, uint8_t *data, size_t bytes, struct mt_extent *e)
{
    if (r->copy_count == r->copy_capacity) {
        size_t capacity = r->copy_capacity ? 2 * r->copy_capacity : 16;
        struct mt_slot_copy *grown = realloc(r->copies, capacity * sizeof *grown);
        if (grown == NULL) {
            return MT_E_NOMEM;
        }
        r->copies = grown;
        r->copy_capacity = capacity;
    }
    r->copies[r->copy_count++] = (struct mt_slot_copy){ data, bytes };
    e->slot_copy = (uint32_t)r->copy_count;
    return MT_OK;
}

/* What a slot's header says now; false when it is not this stream's any more. */
static bool slot_facts(struct mt_reader *r, struct mt_extent *e, struct mt_block_header *ret)
{
    return read_header(r, e->offset, ret) && ret->magic == MT_BLOCK_MAGIC && ret->type == MT_BLOCK_SLOT &&
           ret->stream == e->stream && (ret->kind == MT_BLOCK_META || ret->kind == MT_BLOCK_EVENTS);
}

static void slot_adopt(struct mt_extent *e, const struct mt_block_header *h, uint32_t bytes)
{
    e->type = (uint8_t)h->kind;
    e->codec = MT_CODEC_NONE;
    e->seq = (uint32_t)(h->seq_committed >> 32);
    e->clock_first = h->clock_first;
    e->clock_last = 0;
    e->events = 0;
    e->cut = bytes < (uint32_t)h->seq_committed;
    e->stored_bytes = bytes;
    e->raw_bytes = bytes;
}

/* Reads a slot of a file nobody writes to: nothing to copy. */
static void slot_settle(struct mt_reader *r, struct mt_extent *e)
{
    struct mt_block_header h;
    if (!slot_facts(r, e, &h)) {
        drop(e);
        return;
    }
    uint32_t committed = (uint32_t)h.seq_committed;
    slot_adopt(e, &h, committed < e->stored_bytes ? committed : e->stored_bytes);
}

/* Copies the committed bytes of a slot that may be written to meanwhile. */
static mt_status slot_copy(struct mt_reader *r, struct mt_extent *e)
{
    uint32_t capacity = e->stored_bytes;
    struct mt_block_header before, after;
    for (int round = 0; round < LIVE_ROUNDS && slot_facts(r, e, &before); round++) {
        uint32_t committed = (uint32_t)before.seq_committed;
        committed = committed < capacity ? committed : capacity;
        uint8_t *data = malloc(committed ? committed : 1);
        size_t got = 0;
        if (data == NULL) {
            return MT_E_NOMEM;
        }
        mt_status status = mt_source_read(&r->source, e->offset + sizeof before, data, committed, &got);
        if (status == MT_OK && slot_facts(r, e, &after) && after.seq_committed >> 32 == before.seq_committed >> 32) {
            slot_adopt(e, &before, (uint32_t)got);
            status = push_copy(r, data, got, e);
            if (status == MT_OK) {
                return MT_OK;
            }
        }
        free(data);
        if (status != MT_OK) {
            return status;
        }
    }
    drop(e); /* given back, or flushed faster than it can be read: its content is in blocks */
    return MT_OK;
}

static mt_status copy_slots(struct mt_reader *r, size_t from, bool metadata)
{
    for (size_t i = from; i < r->count; i++) {
        struct mt_extent *e = &r->extents[i];
        if (e->type != MT_BLOCK_SLOT || (e->stream == MT_STREAM_META) != metadata) {
            continue;
        }
        mt_status status = slot_copy(r, e);
        if (status != MT_OK) {
            return status;
        }
    }
    return MT_OK;
}

/* file_tail as it is now, but not past the end of the file; 0 when it cannot be had. */
static uint64_t tail_now(struct mt_reader *r)
{
    uint64_t tail;
    size_t got;
    if (mt_source_read(&r->source, offsetof(struct mt_trace_header, file_tail), &tail, sizeof tail, &got) != MT_OK ||
        got != sizeof tail) {
        return 0;
    }
    mt_source_refresh(&r->source);
    return tail < r->source.bytes ? tail : r->source.bytes;
}

/* Event slots, blocks that appeared meanwhile, then metadata: see the header comment. */
static mt_status settle_live(struct mt_reader *r, uint64_t end)
{
    size_t from = 0;
    for (int round = 0; round < 2; round++) {
        mt_status status = copy_slots(r, from, false);
        if (status != MT_OK) {
            return status;
        }
        uint64_t tail = tail_now(r);
        from = r->count;
        if (tail <= end) {
            break;
        }
        status = scan_range(r, end, tail, &end);
        if (status != MT_OK) {
            return status;
        }
    }
    mt_status status = copy_slots(r, 0, true);
    return status == MT_OK ? copy_slots(r, 0, false) : status;
}

/* By stream, then seq, then blocks before slots, then place in the file. */
static int compare_extents(const void *a, const void *b)
{
    const struct mt_extent *x = a, *y = b;
    if (x->stream != y->stream) {
        return x->stream < y->stream ? -1 : 1;
    }
    if (x->seq != y->seq) {
        return x->seq < y->seq ? -1 : 1;
    }
    if (x->slot != y->slot) {
        return x->slot ? 1 : -1;
    }
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static bool is_streamed(const struct mt_extent *e)
{
    return e->type == MT_BLOCK_META || e->type == MT_BLOCK_EVENTS;
}

/* Removes dropped, empty and duplicate extents and counts gaps. */
static void clean(struct mt_reader *r)
{
    size_t kept = 0;
    uint64_t stream = UINT64_MAX;
    uint64_t expected = 0;
    for (size_t i = 0; i < r->count; i++) {
        struct mt_extent *e = &r->extents[i];
        if (e->type == 0 || e->type > MT_BLOCK_INDEX || e->type == MT_BLOCK_SLOT) {
            continue;
        }
        if (is_streamed(e)) {
            expected = e->stream == stream ? expected : 0;
            stream = e->stream;
            if (e->seq < expected) {
                r->report.duplicate_blocks++;
                continue;
            }
            r->report.lost_blocks += e->seq - expected;
            expected = (uint64_t)e->seq + 1;
        }
        if (e->stored_bytes > 0) {
            r->extents[kept++] = *e;
        }
    }
    r->count = kept;
}

mt_status mt_reader_scan(struct mt_reader *r, struct mt_wire_error *error)
{
    uint64_t start = r->header.header_bytes;
    uint64_t tail = r->header.file_tail;
    if (tail < start) {
        tail = r->source.bytes;
    }
    if (tail > r->source.bytes) {
        if (tail - r->source.bytes >= MT_EXTENT_ALIGN) { /* less is the last extent's padding, which nobody writes */
            r->report.truncated_at = r->source.bytes;
        }
        tail = r->source.bytes;
    }
    uint64_t end = start;
    mt_status status = scan_range(r, start, tail, &end);
    if (status == MT_OK && r->header.state == MT_STATE_RECORDING) {
        status = settle_live(r, end);
    } else if (status == MT_OK) {
        for (size_t i = 0; i < r->count; i++) {
            if (r->extents[i].type == MT_BLOCK_SLOT) {
                slot_settle(r, &r->extents[i]);
            }
        }
    }
    if (status != MT_OK) {
        return mt_wire_fail(error, status, end, "the file could not be read");
    }
    if (r->count > 1) {
        qsort(r->extents, r->count, sizeof *r->extents, compare_extents);
    }
    clean(r);
    return MT_OK;
}
