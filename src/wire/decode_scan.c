/* decode_scan.c: finds the extents of a trace file.
 *
 * Order matters for a live file (pairing with the writer, trace.md 1), which is scanned three times:
 *   1. for its slots; the event slots are copied then;
 *   2. for event blocks: what a copied slot was flushed to before it was copied is in the file now, also where the
 *      first scan found a hole (claimed, not yet written);
 *   3. for metadata blocks, after the metadata slot was copied. An event is written after the metadata it names, so
 *      metadata read last covers all events read before.
 * A slot that was flushed while it was being copied is copied again: seq_committed is read before and after. A slot
 * that only the second scan sees is a thread that began meanwhile, and left out.
 * Context: [tool].
 */
#include "wire/decode_source.h"

#include "base/hash.h"
#include "wire/journal_file.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW_BYTES = 4096, LIVE_ROUNDS = 8 };

/* What a scan takes. */
enum { TAKE_SLOTS = 1, TAKE_METADATA = 2, TAKE_OTHERS = 4, TAKE_ALL = 7 };

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
        mt_status status = mt_reader_read(r, offset, w->data, WINDOW_BYTES, &got);
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

static bool is_wanted(const struct mt_block_header *h, unsigned take)
{
    switch (h->type) {
    case MT_BLOCK_SLOT:
        return (take & TAKE_SLOTS) != 0 && h->stream != MT_STREAM_NONE;
    case MT_BLOCK_META:
        return (take & TAKE_METADATA) != 0;
    case MT_BLOCK_EVENTS:
    case MT_BLOCK_AGGREGATE:
    case MT_BLOCK_INDEX:
    case MT_BLOCK_SUMMARY:
        return (take & TAKE_OTHERS) != 0;
    default:
        return false; /* a later minor version's */
    }
}

/* Slots keep type MT_BLOCK_SLOT until they are read; stored_bytes is their capacity until then. */
static mt_status take_extent(struct mt_reader *r, uint64_t offset, const struct mt_block_header *h, unsigned take)
{
    if (!is_wanted(h, take)) {
        return MT_OK;
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
                             .column_bytes = h->column_bytes,
                             .extent_bytes = h->extent_bytes,
                             .type = h->type,
                             .codec = h->codec,
                             .slot = h->type == MT_BLOCK_SLOT };
    uint64_t at = offset;
    const struct mt_source *source = mt_reader_source(r, &at);
    uint64_t there = source->bytes - at - sizeof *h;
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
        uint64_t at = offset;
        const struct mt_source *source = mt_reader_source(r, &at);
        uint64_t data = offset - at + mt_source_next_data(source, at + WINDOW_BYTES);
        return (data & ~(uint64_t)(MT_EXTENT_ALIGN - 1)) > offset ? data & ~(uint64_t)(MT_EXTENT_ALIGN - 1)
                                                                  : offset + WINDOW_BYTES;
    }
    return offset + MT_EXTENT_ALIGN;
}

/* Takes what begins at offset, of which 64 bytes are at `bytes`. *ret_next: where the next extent begins; 0: nothing begins
 * here. */
static mt_status take_at(struct mt_reader *r, uint64_t offset, const uint8_t *bytes, unsigned take, uint64_t *ret_next)
{
    struct mt_block_header header;
    bool wanted = (take & TAKE_OTHERS) != 0;
    memcpy(&header, bytes, sizeof header);
    if (header_is_valid(&header)) {
        if (header.type == MT_BLOCK_PROCESS && !r->inside) {
            return mt_nested_take(r, offset, &header, wanted, ret_next);
        }
        *ret_next = offset + header.extent_bytes;
        return take_extent(r, offset, &header, take);
    }
    *ret_next = 0;
    return mt_nested_begins(r, bytes) ? mt_nested_adopt(r, offset, wanted, ret_next) : MT_OK;
}

/* Takes the wanted extents with a header in [from, to). Holes are counted anew. */
static mt_status scan_range(struct mt_reader *r, uint64_t from, uint64_t to, unsigned take)
{
    r->report.holes = r->report.hole_bytes = r->report.first_hole = 0;
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
        uint64_t next;
        status = take_at(r, offset, bytes, take, &next);
        if (status != MT_OK) {
            return status;
        }
        if (next == 0) {
            hole = hole != 0 ? hole : offset;
            offset = step_over(r, &w, offset);
            continue;
        }
        if (hole != 0) {
            count_hole(r, hole, offset);
            hole = 0;
        }
        offset = next;
    }
    if (hole != 0) {
        count_hole(r, hole, to);
    }
    return MT_OK;
}

/* The same in the whole trace, its journal included. A slot there that was just claimed is no damage. */
static mt_status scan_both(struct mt_reader *r, uint64_t from, uint64_t to, unsigned take)
{
    mt_status status = scan_range(r, from, to, take);
    if (status != MT_OK || !r->has_journal) {
        return status;
    }
    struct mt_reader_report report = r->report;
    mt_source_refresh(&r->journal);
    status = scan_range(r, MT_JOURNAL_OFFSET + MT_TRACE_HEADER_BYTES, MT_JOURNAL_OFFSET + r->journal.bytes, take);
    r->report = report;
    return status;
}

static bool read_header(struct mt_reader *r, uint64_t offset, struct mt_block_header *ret)
{
    size_t got;
    return mt_reader_read(r, offset, ret, sizeof *ret, &got) == MT_OK && got == sizeof *ret;
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
        mt_status status = mt_reader_read(r, e->offset + sizeof before, data, committed, &got);
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

/* The copies of the metadata slot, or of all others. */
static mt_status copy_slots(struct mt_reader *r, bool metadata)
{
    for (size_t i = 0; i < r->count; i++) {
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
    uint64_t header = r->has_journal ? MT_JOURNAL_OFFSET : 0;
    if (mt_reader_read(r, header + offsetof(struct mt_trace_header, file_tail), &tail, sizeof tail, &got) != MT_OK ||
        got != sizeof tail) {
        return 0;
    }
    mt_source_refresh(&r->source);
    return tail < r->source.bytes ? tail : r->source.bytes;
}

static void drop_slots(struct mt_reader *r)
{
    for (size_t i = 0; i < r->count; i++) {
        if (r->extents[i].type == MT_BLOCK_SLOT) {
            drop(&r->extents[i]);
        }
    }
}

/* Scans of a file that may be written to meanwhile: see the header comment. */
static mt_status scan_live(struct mt_reader *r, uint64_t start, uint64_t tail)
{
    mt_status status = scan_both(r, start, tail, TAKE_SLOTS);
    if (status == MT_OK) {
        status = copy_slots(r, false);
    }
    uint64_t later = tail_now(r);
    if (status == MT_OK) {
        status = scan_both(r, start, later > tail ? later : tail, TAKE_OTHERS);
    }
    struct mt_reader_report report = r->report;
    if (status == MT_OK) {
        status = copy_slots(r, true);
    }
    drop_slots(r);
    later = tail_now(r);
    if (status == MT_OK) {
        status = scan_both(r, start, later > tail ? later : tail, TAKE_METADATA);
    }
    r->report = report;
    return status;
}

/* The one scan of a finished file. */
static mt_status scan_finished(struct mt_reader *r, uint64_t start, uint64_t tail)
{
    mt_status status = scan_both(r, start, tail, TAKE_ALL);
    for (size_t i = 0; i < r->count; i++) {
        if (r->extents[i].type == MT_BLOCK_SLOT) {
            slot_settle(r, &r->extents[i]);
        }
    }
    return status;
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
        if (e->type == 0 || e->type > MT_BLOCK_SUMMARY || e->type == MT_BLOCK_SLOT) {
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
    if (tail < start || r->report.journal_missing) { /* the tail is in the journal */
        tail = r->source.bytes;
    }
    if (tail > r->source.bytes) {
        if (tail - r->source.bytes >= MT_EXTENT_ALIGN) { /* less is the last extent's padding, which nobody writes */
            r->report.truncated_at = r->source.bytes;
        }
        tail = r->source.bytes;
    }
    bool live = r->header.state == MT_STATE_RECORDING;
    mt_status status = live ? scan_live(r, start, tail) : scan_finished(r, start, tail);
    if (status != MT_OK) {
        return mt_wire_fail(error, status, start, "the file could not be read");
    }
    if (r->count > 1) {
        qsort(r->extents, r->count, sizeof *r->extents, compare_extents);
    }
    clean(r);
    return MT_OK;
}
