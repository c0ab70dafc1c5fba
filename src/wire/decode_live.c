/* decode_live.c: the extents of a trace that is written to meanwhile: all at first, then what is new.
 *
 * Order matters (pairing with the writer, trace.md 1): a live trace is scanned three times.
 *   1. for its slots; the event slots are copied then;
 *   2. for event blocks: what a copied slot was flushed to before it was copied is in the file now, also where an earlier
 *      scan found a gap (claimed, not yet written);
 *   3. for metadata blocks, after the metadata slot was copied. An event is written after the metadata it names, so
 *      metadata read last covers all events read before.
 * A slot that was flushed while it was being copied is copied again: seq_committed is read before and after. A slot
 * that only the second scan sees is a thread that began meanwhile, and left for the next time.
 * The next time each scan goes on where the second one ended, and looks once more into its gaps; a metadata block behind
 * that end is found twice. A gap at the end may be an extent that goes beyond it: the scan goes on from where it begins.
 * Context: [tool].
 */
#include "wire/decode_source.h"

#include "wire/journal_file.h"

#include <stdlib.h>

enum { LIVE_ROUNDS = 8 };

/* ---- slots ------------------------------------------------------------------------------------------------------ */

/* Copies the committed bytes of the slot that *h is the header of. *ret_whole: it was not flushed meanwhile. */
static mt_status copy_once(struct mt_reader *r, const struct mt_slot_place *place, const struct mt_block_header *h,
                           bool *ret_whole)
{
    uint32_t committed = (uint32_t)h->seq_committed;
    committed = committed < place->bytes ? committed : place->bytes;
    uint8_t *data = malloc(committed > 0 ? committed : 1);
    struct mt_block_header after;
    bool used = false;
    size_t got = 0;
    if (data == NULL) {
        return MT_E_NOMEM;
    }
    mt_status status = mt_reader_read(r, place->offset + sizeof *h, data, committed, &got);
    if (status == MT_OK) {
        status = mt_scan_slot_header(r, place->offset, &after, &used);
    }
    *ret_whole = used && after.stream == h->stream && after.seq_committed >> 32 == h->seq_committed >> 32;
    if (status != MT_OK || !*ret_whole) {
        free(data);
        return status;
    }
    return mt_scan_add_copy(r, data, got, place, h);
}

/* What a slot holds, if it is metadata or is not, as wanted. One that is given back, or flushed faster than it can be read,
 * gives nothing: its content is in blocks. */
static mt_status copy_slot(struct mt_reader *r, const struct mt_slot_place *place, bool metadata)
{
    for (int round = 0; round < LIVE_ROUNDS; round++) {
        struct mt_block_header h;
        bool used, whole;
        mt_status status = mt_scan_slot_header(r, place->offset, &h, &used);
        if (status != MT_OK || !used || (h.stream == MT_STREAM_META) != metadata) {
            return status;
        }
        status = copy_once(r, place, &h, &whole);
        if (status != MT_OK || whole) {
            return status;
        }
    }
    return MT_OK;
}

/* The copies of the metadata slot, or of all others. */
static mt_status copy_slots(struct mt_reader *r, bool metadata)
{
    mt_status status = MT_OK;
    for (size_t i = 0; i < r->place_count && status == MT_OK; i++) {
        status = copy_slot(r, &r->places[i], metadata);
    }
    return status;
}

/* ---- the three scans -------------------------------------------------------------------------------------------- */

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

/* The pieces of an area that have not been seen to hold an extent, up to `to`. *ret_end: where they will begin next time. */
static mt_status scan_rest(struct mt_reader *r, const struct mt_scanned *area, uint64_t to, unsigned take, uint64_t *ret_end)
{
    uint64_t end;
    const struct mt_gaps *gaps = &area->gaps;
    bool open = gaps->count > 0 && gaps->items[gaps->count - 1].to >= area->end;
    uint64_t from = open ? gaps->items[gaps->count - 1].from : area->end;
    mt_status status = MT_OK;
    for (size_t i = 0; i < gaps->count - (open ? 1 : 0) && status == MT_OK; i++) {
        status = mt_scan_range(r, gaps->items[i].from, gaps->items[i].to, take, &end);
    }
    *ret_end = from;
    return status == MT_OK && from < to ? mt_scan_range(r, from, to, take, ret_end) : status;
}

static mt_status scan_areas(struct mt_reader *r, uint64_t tail, unsigned take)
{
    uint64_t end;
    mt_status status = scan_rest(r, &r->scanned[0], tail, take, &end);
    if (status == MT_OK && r->has_journal) {
        status = scan_rest(r, &r->scanned[1], MT_JOURNAL_OFFSET + r->journal.bytes, take, &end);
    }
    return status;
}

/* The same without counting holes: they are those of the second scan. */
static mt_status scan_uncounted(struct mt_reader *r, uint64_t tail, unsigned take)
{
    struct mt_reader_report before = r->report;
    mt_status status = scan_areas(r, tail, take);
    r->report.holes = before.holes;
    r->report.hole_bytes = before.hole_bytes;
    r->report.first_hole = before.first_hole;
    return status;
}

/* The second scan of an area; *ret: how far it has been scanned then. */
static mt_status scan_noting(struct mt_reader *r, const struct mt_scanned *area, uint64_t to, unsigned take, struct mt_scanned *ret)
{
    r->gaps = &ret->gaps;
    mt_status status = scan_rest(r, area, to, take, &ret->end);
    r->gaps = NULL;
    return status;
}

static mt_status scan_for_blocks(struct mt_reader *r, uint64_t tail, struct mt_scanned ret[2])
{
    unsigned take = MT_TAKE_OTHERS | MT_TAKE_PLACES;
    r->report.holes = r->report.hole_bytes = r->report.first_hole = 0;
    mt_status status = scan_noting(r, &r->scanned[0], tail, take, &ret[0]);
    if (status == MT_OK && r->has_journal) {
        struct mt_reader_report report = r->report; /* what was claimed there and is not used yet is no damage */
        status = scan_noting(r, &r->scanned[1], MT_JOURNAL_OFFSET + r->journal.bytes, take, &ret[1]);
        r->report = report;
    }
    return status;
}

/* *then: as it is after the second scan. */
static mt_status scan_thrice(struct mt_reader *r, uint64_t tail, struct mt_scanned then[2])
{
    size_t known = r->place_count;
    mt_status status = scan_uncounted(r, tail, MT_TAKE_PLACES);
    if (status == MT_OK) {
        status = copy_slots(r, false);
    }
    r->place_count = known; /* the next scan finds these and later ones */
    uint64_t later = tail_now(r);
    later = later > tail ? later : tail;
    if (status == MT_OK) {
        status = scan_for_blocks(r, later, then);
    }
    if (status == MT_OK) {
        status = copy_slots(r, true);
    }
    uint64_t last = tail_now(r);
    if (status == MT_OK) {
        status = scan_uncounted(r, last > later ? last : later, MT_TAKE_METADATA);
    }
    return status;
}

mt_status mt_scan_live(struct mt_reader *r, uint64_t start, uint64_t tail)
{
    struct mt_scanned then[2] = { { 0 } };
    if (r->scanned[0].end == 0) {
        r->scanned[0].end = start;
        r->scanned[1].end = MT_JOURNAL_OFFSET + MT_TRACE_HEADER_BYTES;
    }
    mt_source_refresh(&r->journal);
    mt_status status = scan_thrice(r, tail, then);
    for (size_t i = 0; i < MT_COUNTOF(then); i++) {
        free(r->scanned[i].gaps.items);
        r->scanned[i] = then[i];
    }
    return status;
}

/* ---- once more -------------------------------------------------------------------------------------------------- */

bool mt_reader_can_poll(const struct mt_reader *r)
{
    return r->header.state == MT_STATE_RECORDING && !r->inside && r->scanned[0].end != 0 && r->source.device != 0;
}

void mt_reader_rest(struct mt_reader *r)
{
    mt_source_close(&r->source);
    mt_source_close(&r->journal);
}

static bool same_file(const struct mt_source *a, const struct mt_source *b)
{
    return a->device == b->device && a->inode == b->inode && b->bytes >= a->bytes;
}

/* Opens the trace's own file again. MT_E_BUSY: it is another one, or its header speaks of another recording or its end. */
static mt_status open_trace(struct mt_reader *r, const char *path, struct mt_trace_header *ret)
{
    struct mt_source source;
    size_t got;
    mt_status status = mt_source_open(&source, path);
    if (status != MT_OK) {
        return status;
    }
    bool same = same_file(&r->source, &source);
    mt_source_close(&r->source);
    r->source = source;
    status = mt_source_read(&r->source, 0, ret, sizeof *ret, &got);
    if (status != MT_OK) {
        return status;
    }
    const struct mt_trace_header *known = &r->header;
    bool goes_on = same && got >= MT_TRACE_FIXED_BYTES && ret->state == MT_STATE_RECORDING && ret->pid == known->pid &&
                   ret->start_clock == known->start_clock && ret->start_realtime_ns == known->start_realtime_ns &&
                   ret->journal == (r->has_journal ? known->journal : 0) &&
                   ((ret->flags ^ known->flags) & MT_TRACE_PACKED) == 0;
    return goes_on ? MT_OK : MT_E_BUSY;
}

static mt_status open_journal(struct mt_reader *r, const char *path, struct mt_trace_header *header)
{
    struct mt_trace_header now;
    struct mt_source journal;
    int fd = mt_journal_open(path, header, &now, NULL);
    if (fd < 0) {
        return MT_E_BUSY;
    }
    mt_status status = mt_source_of_file(&journal, fd);
    if (status != MT_OK) {
        return status;
    }
    bool same = same_file(&r->journal, &journal);
    mt_source_close(&r->journal);
    r->journal = journal;
    mt_journal_update_header(header, &now);
    return same && header->state == MT_STATE_RECORDING ? MT_OK : MT_E_BUSY;
}

/* What the last poll found has been used. */
static void forget_extents(struct mt_reader *r)
{
    for (size_t i = 0; i < r->copy_count; i++) {
        free(r->copies[i].data);
    }
    r->copy_count = 0;
    free(r->extents);
    r->extents = NULL;
    r->count = r->capacity = 0;
}

mt_status mt_reader_poll(struct mt_reader *r, const char *path)
{
    struct mt_trace_header header;
    mt_status status = open_trace(r, path, &header);
    if (status == MT_OK && r->has_journal) {
        status = open_journal(r, path, &header);
    }
    if (status != MT_OK) {
        return status;
    }
    if (header.base_offset != r->header.base_offset) {
        return MT_E_BUSY;
    }
    uint64_t tail = header.file_tail < r->source.bytes ? header.file_tail : r->source.bytes;
    header.horizon_clock = r->header.horizon_clock;
    r->header = header;
    forget_extents(r);
    status = mt_scan_live(r, r->scanned[0].end, tail);
    mt_unfinished_settle(r, &r->scanned[0].gaps, NULL);
    mt_reader_drop_older(r);
    mt_scan_sort(r);
    return status == MT_OK && mt_reader_base_moved(r) ? MT_E_BUSY : status;
}
