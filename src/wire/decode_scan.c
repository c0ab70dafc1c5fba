/* decode_scan.c: finds extents in a piece of a trace file, by their headers, and notes what is in it.
 *
 * What is scanned when: decode_extents.c, decode_live.c. Context: [tool].
 */
#include "wire/decode_source.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW_BYTES = 4096 };

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

/* ---- lists ------------------------------------------------------------------------------------------------------ */

/* Room for one more of `bytes` each; false: no memory. */
static bool grow(void **array, size_t count, size_t *capacity, size_t bytes)
{
    if (count < *capacity) {
        return true;
    }
    size_t wanted = *capacity > 0 ? 2 * *capacity : 16;
    void *grown = realloc(*array, wanted * bytes);
    if (grown == NULL) {
        return false;
    }
    *array = grown;
    *capacity = wanted;
    return true;
}

static struct mt_extent *push_extent(struct mt_reader *r)
{
    void *extents = r->extents;
    if (!grow(&extents, r->count, &r->capacity, sizeof *r->extents)) {
        return NULL;
    }
    r->extents = extents;
    struct mt_extent *e = &r->extents[r->count++];
    *e = (struct mt_extent){ 0 };
    return e;
}

static mt_status add_place(struct mt_reader *r, uint64_t offset, uint32_t bytes)
{
    void *places = r->places;
    if (!grow(&places, r->place_count, &r->place_capacity, sizeof *r->places)) {
        return MT_E_NOMEM;
    }
    r->places = places;
    r->places[r->place_count++] = (struct mt_slot_place){ offset, bytes };
    return MT_OK;
}

static mt_status add_gap(struct mt_gaps *gaps, uint64_t from, uint64_t to)
{
    void *items = gaps->items;
    if (!grow(&items, gaps->count, &gaps->capacity, sizeof *gaps->items)) {
        return MT_E_NOMEM;
    }
    gaps->items = items;
    gaps->items[gaps->count++] = (struct mt_gap){ from, to };
    return MT_OK;
}

void mt_scan_adopt_slot(struct mt_extent *e, const struct mt_block_header *h, uint32_t bytes)
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

mt_status mt_scan_add_copy(struct mt_reader *r, uint8_t *take_data, size_t bytes, const struct mt_slot_place *place,
                           const struct mt_block_header *h)
{
    void *copies = r->copies;
    struct mt_extent *e = NULL;
    if (grow(&copies, r->copy_count, &r->copy_capacity, sizeof *r->copies)) {
        r->copies = copies;
        e = push_extent(r);
    }
    if (e == NULL) {
        free(take_data);
        return MT_E_NOMEM;
    }
    *e = (struct mt_extent){
        .offset = place->offset, .stream = h->stream, .extent_bytes = h->extent_bytes, .slot = true
    };
    mt_scan_adopt_slot(e, h, (uint32_t)bytes);
    r->copies[r->copy_count++] = (struct mt_slot_copy){ take_data, bytes };
    e->slot_copy = (uint32_t)r->copy_count;
    return MT_OK;
}

/* ---- extents ---------------------------------------------------------------------------------------------------- */

static bool is_wanted(const struct mt_block_header *h, unsigned take)
{
    switch (h->type) {
    case MT_BLOCK_SLOT:
        return (take & MT_TAKE_PLACES) != 0 || ((take & MT_TAKE_SLOTS) != 0 && h->stream != MT_STREAM_NONE);
    case MT_BLOCK_META:
        return (take & MT_TAKE_METADATA) != 0;
    case MT_BLOCK_EVENTS:
    case MT_BLOCK_AGGREGATE:
    case MT_BLOCK_INDEX:
    case MT_BLOCK_SUMMARY:
        return (take & MT_TAKE_OTHERS) != 0;
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
    uint64_t at = offset;
    const struct mt_source *source = mt_reader_source(r, &at);
    uint64_t there = source->bytes - at - sizeof *h;
    bool cut = h->stored_bytes > there;
    uint32_t stored_bytes = cut ? (uint32_t)there : h->stored_bytes;
    if (cut && r->report.truncated_at == 0) { /* the padding of the last extent need not be there */
        r->report.truncated_at = r->source.bytes;
    }
    if (h->type == MT_BLOCK_SLOT && (take & MT_TAKE_PLACES) != 0) {
        return add_place(r, offset, stored_bytes);
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
                             .stored_bytes = stored_bytes,
                             .raw_bytes = h->raw_bytes,
                             .events = h->events,
                             .payload_crc = h->payload_crc,
                             .column_bytes = h->column_bytes,
                             .extent_bytes = h->extent_bytes,
                             .type = h->type,
                             .codec = h->codec,
                             .cut = cut,
                             .slot = h->type == MT_BLOCK_SLOT,
                             .base = offset < r->base_end };
    return MT_OK;
}

static mt_status count_hole(struct mt_reader *r, uint64_t from, uint64_t to)
{
    r->report.holes++;
    r->report.hole_bytes += to - from;
    if (r->report.first_hole == 0) {
        r->report.first_hole = from;
    }
    return r->gaps != NULL ? add_gap(r->gaps, from, to) : MT_OK;
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
    bool wanted = (take & MT_TAKE_OTHERS) != 0;
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

mt_status mt_scan_range(struct mt_reader *r, uint64_t from, uint64_t to, unsigned take, uint64_t *ret_end)
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
        status = hole != 0 ? count_hole(r, hole, offset) : MT_OK;
        if (status != MT_OK) {
            return status;
        }
        hole = 0;
        offset = next;
    }
    *ret_end = hole != 0 ? to : offset;
    return hole != 0 ? count_hole(r, hole, to) : MT_OK;
}

mt_status mt_scan_slot_header(struct mt_reader *r, uint64_t offset, struct mt_block_header *ret, bool *ret_used)
{
    size_t got;
    mt_status status = mt_reader_read(r, offset, ret, sizeof *ret, &got);
    *ret_used = status == MT_OK && got == sizeof *ret && ret->magic == MT_BLOCK_MAGIC && ret->type == MT_BLOCK_SLOT &&
                ret->stream != MT_STREAM_NONE && (ret->kind == MT_BLOCK_META || ret->kind == MT_BLOCK_EVENTS);
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

void mt_scan_sort(struct mt_reader *r)
{
    if (r->count > 1) {
        qsort(r->extents, r->count, sizeof *r->extents, compare_extents);
    }
}
