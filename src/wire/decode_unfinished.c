/* decode_unfinished.c: blocks that a process had begun to write when it was killed.
 *
 * A writer claims room at the tail, writes the payload and then the header, and keeps in its slot what the block says until that is done
 * (trace.md 1). So a kill in between leaves a place without a header, and loses nothing. Such a place is no damage. It is known by what
 * is there: no header, and behind it the bytes of a slot, as far as they were written, in the room that a block of them takes.
 * Context: [tool].
 */
#include "wire/decode_source.h"
#include "wire/encode.h"

#include <string.h>

/* Few threads run at once: damage with more places than that stays damage. */
enum { BEGUN_MAX = 64, PIECE = 4096 };

struct begun {
    size_t most; /* slots in use: a thread has one at a time */
    size_t count;
};

static bool all_zero(const uint8_t *data, size_t bytes)
{
    return bytes == 0 || (data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0);
}

/* Where the file has ended nothing was written. */
static bool read_or_zeros(const struct mt_reader *r, uint64_t offset, uint8_t *to, size_t bytes)
{
    size_t got = 0;
    if (mt_reader_read(r, offset, to, bytes, &got) != MT_OK) {
        return false;
    }
    memset(to + got, 0, bytes - got);
    return true;
}

static bool read_slot(const struct mt_reader *r, const struct mt_extent *slot, size_t at, uint8_t *to, size_t bytes)
{
    size_t got = 0;
    if (slot->slot_copy > 0) {
        memcpy(to, r->copies[slot->slot_copy - 1].data + at, bytes);
        return true;
    }
    return mt_reader_read(r, slot->offset + sizeof(struct mt_block_header) + at, to, bytes, &got) == MT_OK && got == bytes;
}

static size_t common(const uint8_t *a, const uint8_t *b, size_t bytes)
{
    size_t same = 0;
    while (same < bytes && a[same] == b[same]) {
        same++;
    }
    return same;
}

static bool is_begun_at(const struct mt_reader *r, const struct mt_extent *slot, uint64_t offset)
{
    uint8_t there[PIECE], said[PIECE];
    bool written = true; /* as far as it was looked at */
    uint64_t payload = offset + sizeof(struct mt_block_header);
    for (size_t at = 0; at < slot->stored_bytes; at += PIECE) {
        size_t bytes = slot->stored_bytes - at < PIECE ? slot->stored_bytes - at : PIECE;
        if (!read_or_zeros(r, payload + at, there, bytes) || !read_slot(r, slot, at, said, bytes)) {
            return false;
        }
        size_t same = written ? common(there, said, bytes) : 0;
        written = written && same == bytes;
        if (!all_zero(there + same, bytes - same)) {
            return false;
        }
    }
    return true;
}

static bool is_in_use(const struct mt_extent *e)
{
    return e->slot && (e->type == MT_BLOCK_EVENTS || e->type == MT_BLOCK_META) && e->stored_bytes > 0;
}

static size_t slots_in_use(const struct mt_reader *r)
{
    size_t count = 0;
    for (size_t i = 0; i < r->count; i++) {
        count += is_in_use(&r->extents[i]);
    }
    return count < BEGUN_MAX ? count : BEGUN_MAX;
}

/* The largest block of at most `room` bytes that was begun at offset; 0: none was. */
static uint64_t find_begun(const struct mt_reader *r, struct begun *b, uint64_t offset, uint64_t room)
{
    uint8_t header[sizeof(struct mt_block_header)];
    uint64_t largest = 0;
    if (b->count == b->most || !read_or_zeros(r, offset, header, sizeof header) || !all_zero(header, sizeof header)) {
        return 0;
    }
    for (size_t i = 0; i < r->count; i++) {
        const struct mt_extent *e = &r->extents[i];
        uint64_t extent = is_in_use(e) ? mt_block_extent(e->stored_bytes) : 0;
        if (extent > largest && extent <= room && is_begun_at(r, e, offset)) {
            largest = extent;
        }
    }
    b->count += largest != 0;
    return largest;
}

/* Are there such blocks from the one end to the other? The file may end in front of the padding of the last. */
static bool is_of_begun(const struct mt_reader *r, struct begun *b, const struct mt_gap *gap)
{
    uint64_t at = gap->from, extent;
    uint64_t end = (gap->to + MT_EXTENT_ALIGN - 1) & ~(uint64_t)(MT_EXTENT_ALIGN - 1);
    while (at < end && (extent = find_begun(r, b, at, end - at)) != 0) {
        at += extent;
    }
    return at == end;
}

/* Was nothing lost by what is claimed and behind the file's end: blocks that were begun, or room that nobody was to fill? Only a trace that
 * still has its journal ends so. A place without extent at the file's end belongs to it. *ret_joined: there is one. */
static bool end_is_explained(const struct mt_reader *r, struct begun *b, const struct mt_gaps *gaps, const struct mt_claim *claim,
                             bool *ret_joined)
{
    const struct mt_gap *last = gaps->count > 0 ? &gaps->items[gaps->count - 1] : NULL;
    *ret_joined = last != NULL && last->to >= claim->seen;
    const struct mt_gap end = { *ret_joined ? last->from : claim->seen, claim->tail };
    return r->has_journal && (end.from >= end.to || is_of_begun(r, b, &end));
}

/* How many of the gaps are still to be looked at. */
static size_t settle_end(struct mt_reader *r, struct begun *b, const struct mt_gaps *gaps, const struct mt_claim *claim)
{
    bool joined;
    if (claim->tail < r->source.bytes + MT_EXTENT_ALIGN) { /* less is the last extent's padding, which nobody writes */
        return gaps->count;
    }
    if (end_is_explained(r, b, gaps, claim, &joined)) {
        return gaps->count - joined;
    }
    r->report.truncated_at = r->source.bytes;
    return gaps->count;
}

void mt_unfinished_settle(struct mt_reader *r, const struct mt_gaps *gaps, const struct mt_claim *claim)
{
    struct begun begun = { .most = slots_in_use(r) };
    uint64_t holes = 0, bytes = 0, first = 0;
    size_t count = claim != NULL ? settle_end(r, &begun, gaps, claim) : gaps->count;
    for (size_t i = 0; i < count; i++) {
        const struct mt_gap *gap = &gaps->items[i];
        if (!is_of_begun(r, &begun, gap)) {
            first = holes == 0 ? gap->from : first;
            bytes += gap->to - gap->from;
            holes++;
        }
    }
    r->report.holes = holes;
    r->report.hole_bytes = bytes;
    r->report.first_hole = first;
}
