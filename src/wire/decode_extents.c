/* decode_extents.c: the extents of a trace when it is opened, in order, each once.
 *
 * A finished file is scanned once, from its header to its tail; one that is written to meanwhile: decode_live.c.
 * Context: [tool].
 */
#include "wire/decode_source.h"

#include "wire/journal_file.h"

#include <stdlib.h>

/* Drops an extent in place: the sort puts it last, the cleaning removes it. */
static void drop(struct mt_extent *e)
{
    e->type = 0;
    e->stream = MT_STREAM_NONE;
}

/* Reads a slot of a file nobody writes to: nothing to copy. */
static void slot_settle(struct mt_reader *r, struct mt_extent *e)
{
    struct mt_block_header h;
    bool used;
    if (mt_scan_slot_header(r, e->offset, &h, &used) != MT_OK || !used || h.stream != e->stream) {
        drop(e);
        return;
    }
    uint32_t committed = (uint32_t)h.seq_committed;
    mt_scan_adopt_slot(e, &h, committed < e->stored_bytes ? committed : e->stored_bytes);
}

/* The one scan of a finished file. What is not there in its journal is no damage: a slot that was just claimed. */
static mt_status scan_finished(struct mt_reader *r, uint64_t start, uint64_t tail, struct mt_gaps *gaps, uint64_t *ret_end)
{
    uint64_t end;
    r->gaps = gaps;
    mt_status status = mt_scan_range(r, start, tail, MT_TAKE_ALL, ret_end);
    r->gaps = NULL;
    if (status == MT_OK && r->has_journal) {
        struct mt_reader_report report = r->report;
        uint64_t from = MT_JOURNAL_OFFSET + MT_TRACE_HEADER_BYTES;
        status = mt_scan_range(r, from, MT_JOURNAL_OFFSET + r->journal.bytes, MT_TAKE_ALL, &end);
        r->report = report;
    }
    for (size_t i = 0; i < r->count; i++) {
        if (r->extents[i].type == MT_BLOCK_SLOT) {
            slot_settle(r, &r->extents[i]);
        }
    }
    return status;
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
            expected = e->stream == stream ? expected : e->base ? e->seq : 0;
            stream = e->stream;
            if (e->seq < expected) {
                r->report.duplicate_blocks++;
                continue;
            }
            r->report.lost_blocks += e->seq - expected;
            expected = (uint64_t)e->seq + 1;
        }
        if (e->stored_bytes > 0 || (e->base && is_streamed(e))) { /* an empty one in a base says where its stream begins */
            r->extents[kept++] = *e;
        }
    }
    r->count = kept;
}

static mt_status scan_extents(struct mt_reader *r, uint64_t start, uint64_t tail)
{
    struct mt_gaps gaps = { 0 };
    struct mt_claim claim = { .tail = r->report.journal_missing ? 0 : r->header.file_tail };
    bool live = r->header.state == MT_STATE_RECORDING;
    mt_status status = live ? mt_scan_live(r, start, tail) : scan_finished(r, start, tail, &gaps, &claim.seen);
    claim.seen = live ? r->scanned[0].end : claim.seen;
    if (status == MT_OK) {
        mt_unfinished_settle(r, live ? &r->scanned[0].gaps : &gaps, &claim);
    }
    free(gaps.items);
    return status;
}

static mt_status scan_once(struct mt_reader *r, struct mt_wire_error *error)
{
    uint64_t start = mt_reader_base_begin(r);
    uint64_t tail = r->header.file_tail;
    if (tail < start || tail > r->source.bytes || r->report.journal_missing) { /* missing: the tail is in the journal */
        tail = r->source.bytes;
    }
    mt_status status = scan_extents(r, start, tail);
    if (status != MT_OK) {
        return mt_wire_fail(error, status, start, "the file could not be read");
    }
    mt_reader_drop_older(r);
    mt_scan_sort(r);
    clean(r);
    return MT_OK;
}

/* While it was scanned the writer may have made another base the beginning, and given the rest back to the disk. */
mt_status mt_reader_scan(struct mt_reader *r, struct mt_wire_error *error)
{
    mt_status status = scan_once(r, error);
    return status == MT_OK && mt_reader_base_moved(r) ? MT_E_BUSY : status;
}
