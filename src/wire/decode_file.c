/* decode_file.c: header check and payload loading; the scan is decode_extents.c. Context: [tool]. */
#include "wire/decode_file.h"

#include "base/hash.h"
#include "wire/columns.h"
#include "wire/decode_source.h"
#include "wire/journal_file.h"
#include "wire/meta_columns.h"
#include "wire/zstd_codec.h"

#include <stdlib.h>
#include <string.h>

enum { JOURNAL_TRIES = 3 };

/* A packed trace's header ends where its command line does. */
static bool header_size_is_possible(const struct mt_trace_header *h)
{
    uint32_t least = h->major >= MT_TRACE_MAJOR_SHORT ? MT_TRACE_FIXED_BYTES + MT_EXTENT_ALIGN : MT_TRACE_HEADER_BYTES;
    return h->header_bytes >= least && h->header_bytes % MT_EXTENT_ALIGN == 0 && h->header_bytes <= MT_BLOCK_RAW_MAX;
}

static mt_status read_file_header(struct mt_reader *r, struct mt_wire_error *error)
{
    struct mt_trace_header *h = &r->header;
    size_t got;
    mt_status status = mt_source_read(&r->source, 0, h, sizeof *h, &got);
    if (status != MT_OK) {
        return mt_wire_fail(error, status, 0, "the file could not be read");
    }
    if (memcmp(h->magic, MT_TRACE_MAGIC, got < sizeof h->magic ? got : sizeof h->magic) != 0) {
        return mt_wire_fail(error, MT_E_CORRUPT, 0, "not a memtap trace");
    }
    if (got < MT_TRACE_FIXED_BYTES) {
        return mt_wire_fail(error, MT_E_TRUNCATED, got, "the file ends inside its header");
    }
    if (h->major > MT_TRACE_MAJOR_BASE) {
        return mt_wire_fail(error, MT_E_VERSION, 8, "written by a newer memtap: update to read it");
    }
    if (h->major == 0) {
        return mt_wire_fail(error, MT_E_CORRUPT, 8, "not a memtap trace (format version 0)");
    }
    if (!header_size_is_possible(h)) {
        return mt_wire_fail(error, MT_E_CORRUPT, 12, "impossible header size");
    }
    if (h->clock_shift > MT_CLOCK_SHIFT_MAX) {
        return mt_wire_fail(error, MT_E_CORRUPT, offsetof(struct mt_trace_header, clock_shift), "impossible unit of clocks");
    }
    size_t bytes = h->header_bytes < sizeof *h ? h->header_bytes : sizeof *h;
    if (got < bytes) {
        r->report.truncated_at = got;
    }
    memset((uint8_t *)h + bytes, 0, sizeof *h - bytes);
    size_t room = bytes - offsetof(struct mt_trace_header, command);
    room = room < MT_TRACE_COMMAND_MAX ? room : MT_TRACE_COMMAND_MAX;
    if (h->command_bytes > room) {
        h->command_bytes = (uint16_t)room;
    }
    return MT_OK;
}

/* The journal of the trace, and its header as it is now. A writer that just ends puts all into the trace and takes the journal
 * away: then the trace's header has changed. */
static mt_status open_journal(struct mt_reader *r, const char *path, struct mt_wire_error *error)
{
    for (int tries = 0; r->header.journal != 0 && tries < JOURNAL_TRIES; tries++) {
        struct mt_trace_header now;
        int fd = path != NULL ? mt_journal_open(path, &r->header, &now, NULL) : -1;
        if (fd >= 0) {
            mt_journal_update_header(&r->header, &now);
            mt_status status = mt_source_of_file(&r->journal, fd);
            r->has_journal = status == MT_OK;
            return status == MT_OK ? MT_OK : mt_wire_fail(error, status, 0, "the trace's journal could not be read");
        }
        mt_source_refresh(&r->source);
        mt_status status = read_file_header(r, error);
        if (status != MT_OK) {
            return status;
        }
    }
    r->report.journal_missing = r->header.journal != 0;
    return MT_OK;
}

/* Closes take_source on failure. path: of the file; NULL: it is none, or a trace inside another. */
static mt_status open_source(struct mt_source take_source, const char *path, bool inside, struct mt_reader **ret,
                             struct mt_wire_error *error)
{
    struct mt_reader *r = calloc(1, sizeof *r);
    if (r == NULL) {
        mt_source_close(&take_source);
        return mt_wire_fail(error, MT_E_NOMEM, 0, "out of memory");
    }
    r->source = take_source;
    r->inside = inside;
    mt_status status = read_file_header(r, error);
    if (status == MT_OK) {
        status = open_journal(r, path, error);
    }
    if (status == MT_OK) {
        status = mt_reader_scan(r, error);
    }
    if (status != MT_OK) {
        mt_reader_close(r);
        return status;
    }
    *ret = r;
    return MT_OK;
}

mt_status mt_reader_open(const char *path, struct mt_reader **ret, struct mt_wire_error *ret_error)
{
    struct mt_source source;
    mt_status status = mt_source_open(&source, path);
    if (status != MT_OK) {
        return mt_wire_fail(ret_error, status, 0, "the file could not be opened");
    }
    return open_source(source, path, false, ret, ret_error);
}

mt_status mt_reader_open_memory(const void *data, size_t bytes, struct mt_reader **ret, struct mt_wire_error *ret_error)
{
    return open_source(mt_source_of_memory(data, bytes), NULL, false, ret, ret_error);
}

mt_status mt_reader_open_nested(const struct mt_reader *outer, size_t index, struct mt_reader **ret,
                                struct mt_wire_error *ret_error)
{
    const struct mt_nested *nested = &outer->nested[index];
    return open_source(mt_source_window(&outer->source, nested->offset, nested->bytes), NULL, true, ret, ret_error);
}

void mt_reader_close(struct mt_reader *r)
{
    if (r == NULL) {
        return;
    }
    mt_source_close(&r->source);
    mt_source_close(&r->journal);
    for (size_t i = 0; i < r->copy_count; i++) {
        free(r->copies[i].data);
    }
    free(r->copies);
    free(r->places);
    free(r->scanned[0].gaps.items);
    free(r->scanned[1].gaps.items);
    free(r->nested);
    free(r->extents);
    free(r);
}

const struct mt_trace_header *mt_reader_header(const struct mt_reader *reader)
{
    return &reader->header;
}

const struct mt_reader_report *mt_reader_report(const struct mt_reader *reader)
{
    return &reader->report;
}

uint64_t mt_reader_file_bytes(const struct mt_reader *reader)
{
    return reader->source.bytes;
}

const struct mt_extent *mt_reader_extents(const struct mt_reader *reader, size_t *ret_count)
{
    *ret_count = reader->count;
    return reader->extents;
}

const struct mt_nested *mt_reader_nested(const struct mt_reader *reader, size_t *ret_count)
{
    *ret_count = reader->nested_count;
    return reader->nested;
}

void mt_payload_fini(struct mt_payload *p)
{
    free(p->data);
    *p = (struct mt_payload){ 0 };
}

static bool reserve(struct mt_payload *p, size_t bytes)
{
    if (bytes <= p->capacity && p->data != NULL) {
        return true;
    }
    free(p->data);
    p->data = malloc(bytes > 0 ? bytes : 1);
    p->capacity = p->data != NULL ? bytes : 0;
    return p->data != NULL;
}

/* The stored bytes of an extent into *to, checked. */
static mt_status load_stored(const struct mt_reader *r, const struct mt_extent *e, uint8_t *to,
                             struct mt_wire_error *error)
{
    if (e->slot_copy > 0) {
        memcpy(to, r->copies[e->slot_copy - 1].data, e->stored_bytes);
        return MT_OK;
    }
    uint64_t offset = e->offset + sizeof(struct mt_block_header);
    size_t got;
    mt_status status = mt_reader_read(r, offset, to, e->stored_bytes, &got);
    if (status != MT_OK) {
        return mt_wire_fail(error, status, offset, "the file could not be read");
    }
    if (got != e->stored_bytes) {
        return mt_wire_fail(error, MT_E_TRUNCATED, offset + got, "the file became shorter while it was read");
    }
    if (!e->cut && !e->slot && mt_crc32c(0, to, e->stored_bytes) != e->payload_crc) {
        return mt_wire_fail(error, MT_E_CORRUPT, offset, "block checksum does not match");
    }
    return MT_OK;
}

static bool expansion_is_sane(const struct mt_extent *e)
{
    uint64_t ratio = e->type == MT_BLOCK_META ? MT_META_RATIO_MAX : MT_EVENT_RATIO_MAX;
    uint64_t most = e->column_bytes > e->raw_bytes ? e->column_bytes : e->raw_bytes;
    return most <= MT_BLOCK_RAW_MAX && (e->cut || most <= ratio * e->stored_bytes);
}

static mt_status inflate(const struct mt_zstd *zstd, void *decompressor, const struct mt_reader *r,
                         const struct mt_extent *e, uint8_t *stored, struct mt_payload *p, size_t want,
                         struct mt_wire_error *error)
{
    mt_status status = load_stored(r, e, stored, error);
    if (status != MT_OK) {
        return status;
    }
    if (e->cut) {
        p->bytes = zstd->decompress_prefix(decompressor, p->data, want, stored, e->stored_bytes);
        return MT_OK;
    }
    size_t got = zstd->decompress(decompressor, p->data, want, stored, e->stored_bytes);
    if (got != want) {
        return mt_wire_fail(error, MT_E_CORRUPT, e->offset + sizeof(struct mt_block_header),
                            "block does not decompress to what it says");
    }
    p->bytes = got;
    return MT_OK;
}

/* What is stored, decompressed: `want` bytes. The compressed bytes and the decompressor live only as long as the call:
 * thousands of streams may be open. */
static mt_status load_zstd(const struct mt_reader *r, const struct mt_extent *e, struct mt_payload *p, size_t want,
                           struct mt_wire_error *error)
{
    const struct mt_zstd *zstd = mt_zstd();
    if (!expansion_is_sane(e)) {
        return mt_wire_fail(error, MT_E_CORRUPT, e->offset, "block claims an impossible size");
    }
    if (zstd == NULL) {
        return mt_wire_fail(error, MT_E_UNSUPPORTED, e->offset,
                            "the trace is compressed with zstd and there is no libzstd.so.1 here: install it "
                            "(Debian, Ubuntu: libzstd1)");
    }
    void *decompressor = zstd->decompressor_new();
    uint8_t *stored = malloc(e->stored_bytes > 0 ? e->stored_bytes : 1);
    mt_status status = MT_E_NOMEM;
    if (decompressor != NULL && stored != NULL && reserve(p, want + MT_COLUMNS_SLACK)) {
        status = inflate(zstd, decompressor, r, e, stored, p, want, error);
    } else {
        (void)mt_wire_fail(error, MT_E_NOMEM, e->offset, "out of memory");
    }
    free(stored);
    zstd->decompressor_free(decompressor);
    return status;
}

/* Records from columns, which MT_COLUMNS_SLACK bytes follow. */
static mt_status join_columns(const struct mt_extent *e, const struct mt_payload *columns, struct mt_payload *p)
{
    if (!reserve(p, (size_t)e->raw_bytes + MT_COLUMNS_SLACK)) {
        return MT_E_NOMEM;
    }
    if (e->type == MT_BLOCK_META) {
        return mt_meta_columns_join(columns->data, columns->bytes, p->data, e->raw_bytes);
    }
    memset(columns->data + columns->bytes, 0, MT_COLUMNS_SLACK);
    return mt_columns_join(columns->data, columns->bytes, p->data, e->raw_bytes) ? MT_OK : MT_E_CORRUPT;
}

/* Nothing can be had of columns whose end is missing. */
static mt_status load_as_columns(const struct mt_reader *r, const struct mt_extent *e, struct mt_payload *p,
                                 struct mt_wire_error *error)
{
    if (e->cut) {
        return mt_wire_fail(error, MT_E_CORRUPT, e->offset, "the file ends inside this block");
    }
    return load_zstd(r, e, p, e->column_bytes, error);
}

static mt_status load_columns(const struct mt_reader *r, const struct mt_extent *e, struct mt_payload *p,
                              struct mt_wire_error *error)
{
    struct mt_payload columns = { 0 };
    mt_status status = load_as_columns(r, e, &columns, error);
    if (status == MT_OK) {
        status = join_columns(e, &columns, p);
        p->bytes = status == MT_OK ? e->raw_bytes : 0;
        if (status == MT_E_NOMEM) {
            (void)mt_wire_fail(error, status, e->offset, "out of memory");
        } else if (status != MT_OK) {
            (void)mt_wire_fail(error, status, e->offset + sizeof(struct mt_block_header),
                               "the block's columns do not make its records");
        }
    }
    mt_payload_fini(&columns);
    return status;
}

bool mt_reader_is_outdated(const struct mt_reader *reader)
{
    struct mt_trace_header now;
    size_t got;
    if (mt_source_read(&reader->source, 0, &now, MT_TRACE_FIXED_BYTES, &got) != MT_OK || got < MT_TRACE_FIXED_BYTES) {
        return false;
    }
    return now.state == MT_STATE_REWRITING || ((now.flags ^ reader->header.flags) & MT_TRACE_PACKED) != 0 ||
           now.base_offset > reader->header.base_offset;
}

static mt_status load(const struct mt_reader *reader, const struct mt_extent *extent, struct mt_payload *p,
                      struct mt_wire_error *ret_error)
{
    bool records = extent->type == MT_BLOCK_EVENTS || extent->type == MT_BLOCK_META;
    if (extent->codec == MT_CODEC_COLUMNS && records) {
        return load_columns(reader, extent, p, ret_error);
    }
    if (extent->codec == MT_CODEC_ZSTD) {
        return load_zstd(reader, extent, p, extent->raw_bytes, ret_error);
    }
    if (extent->codec != MT_CODEC_NONE) {
        return mt_wire_fail(ret_error, MT_E_UNSUPPORTED, extent->offset + 5, "unknown compression");
    }
    if (!reserve(p, extent->stored_bytes)) {
        return mt_wire_fail(ret_error, MT_E_NOMEM, extent->offset, "out of memory");
    }
    mt_status status = load_stored(reader, extent, p->data, ret_error);
    p->bytes = status == MT_OK ? extent->stored_bytes : 0;
    return status;
}

mt_status mt_reader_load(const struct mt_reader *reader, const struct mt_extent *extent, struct mt_payload *p,
                         struct mt_wire_error *ret_error)
{
    p->bytes = 0;
    mt_status status = load(reader, extent, p, ret_error);
    bool damaged = status != MT_OK && status != MT_E_NOMEM && status != MT_E_IO;
    if (damaged && mt_reader_is_outdated(reader)) {
        return mt_wire_fail(ret_error, MT_E_BUSY, extent->offset, "the trace was rewritten meanwhile: read it again");
    }
    return status;
}

mt_status mt_reader_load_columns(const struct mt_reader *reader, const struct mt_extent *extent, struct mt_payload *p)
{
    bool columns = extent->codec == MT_CODEC_COLUMNS && extent->type == MT_BLOCK_EVENTS;
    p->bytes = 0;
    return columns ? load_as_columns(reader, extent, p, NULL) : MT_E_INVAL;
}
