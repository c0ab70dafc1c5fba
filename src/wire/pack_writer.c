/* pack_writer.c: see pack_writer.h. Context: [tool]. */
#include "wire/pack_writer.h"

#include "base/os.h"
#include "base/varint.h"
#include "wire/columns.h"
#include "wire/encode.h"
#include "wire/meta_columns.h"
#include "wire/pack_event.h"
#include "wire/pack_squeeze.h"

#include <stdlib.h>
#include <string.h>

enum {
    INDEX_ENTRY_MAX = 6 * MT_VARINT_MAX,
    QUICK_LEVEL = 1, /* columns split and compressed so take the time that rows took at level -1 */
    SMALL_RAW = 256 * 1024, /* a block of so few bytes is compressed well whatever the level, unless it has to be quick */
    SMALL_LEVEL = 9,
    SMALL_QUICK_LEVEL = 3, /* 6 % more bytes and 40 % of the instructions */
};

struct mt_packer {
    int fd;
    uint32_t raw_bytes; /* a block is closed when it has this many */
    struct mt_trace_header file;
    uint64_t tail;
    uint64_t events;
    struct mt_squeezer squeezer;
    int level, small_level;

    uint8_t *raw; /* the open block: raw_bytes + MT_EVENT_MAX_BYTES, more for a large metadata record */
    size_t raw_capacity, raw_used;
    uint8_t *gathered, *joined;
    size_t gathered_capacity, joined_capacity;
    bool open;             /* raw is being filled: with metadata, or with events that become a part of the block */
    struct mt_columns columns; /* of events: the parts of the open block so far */
    struct mt_block_header header; /* its clocks and events */
    struct mt_meta_count meta_count;
    int block_level;
    uint8_t type;
    uint32_t stream;
    uint32_t seq;          /* of the open block */
    uint64_t source_seq;   /* of the next extent if none is missing */
    uint64_t clock_first;
    uint64_t rate_bytes;   /* in force in the open block, as the label */
    uint32_t label;
    struct mt_event_encoder encoder;

    uint8_t *index;
    size_t index_used, index_capacity;
    uint32_t index_count;
    uint64_t index_offset, index_clock;
};

mt_status mt_packer_new(int fd, int level, bool quick, uint32_t raw_bytes, const struct mt_trace_header *original,
                        struct mt_packer **ret)
{
    struct mt_packer *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return MT_E_NOMEM;
    }
    p->fd = fd;
    p->level = level;
    p->small_level = quick ? SMALL_QUICK_LEVEL : SMALL_LEVEL;
    p->raw_bytes = raw_bytes;
    p->file = *original;
    p->file.journal = p->file.journal_tail = 0; /* its slots become blocks */
    p->file.base_offset = 0;                    /* and so does what is in its base */
    memset(p->file.journal_path, 0, sizeof p->file.journal_path);
    size_t used = offsetof(struct mt_trace_header, command) + original->command_bytes;
    p->file.header_bytes = (uint32_t)((used + MT_EXTENT_ALIGN - 1) & ~(size_t)(MT_EXTENT_ALIGN - 1));
    p->tail = p->file.header_bytes;
    p->stream = MT_STREAM_NONE;
    p->raw_capacity = (size_t)raw_bytes + MT_EVENT_MAX_BYTES;
    p->raw = malloc(p->raw_capacity);
    if (p->raw == NULL || mt_squeezer_init(&p->squeezer) != MT_OK) {
        mt_packer_free(p);
        return MT_E_NOMEM;
    }
    *ret = p;
    return MT_OK;
}

void mt_packer_free(struct mt_packer *p)
{
    if (p == NULL) {
        return;
    }
    mt_squeezer_fini(&p->squeezer);
    mt_columns_fini(&p->columns);
    free(p->raw);
    free(p->gathered);
    free(p->joined);
    free(p->index);
    free(p);
}

bool mt_pack_reserve(uint8_t **data, size_t *capacity, size_t bytes)
{
    if (bytes <= *capacity) {
        return true;
    }
    size_t wanted = *capacity * 2 > bytes ? *capacity * 2 : bytes;
    uint8_t *grown = realloc(*data, wanted);
    if (grown == NULL) {
        return false;
    }
    *data = grown;
    *capacity = wanted;
    return true;
}

/* Writes header and payload at the tail, padded to the alignment. */
static mt_status write_extent(struct mt_packer *p, const struct mt_block_header *header, const void *payload)
{
    static const uint8_t zeros[MT_EXTENT_ALIGN];
    mt_status status = mt_os_write_at(p->fd, header, sizeof *header, p->tail);
    if (status == MT_OK) {
        status = mt_os_write_at(p->fd, payload, header->stored_bytes, p->tail + sizeof *header);
    }
    size_t padding = header->extent_bytes - sizeof *header - header->stored_bytes;
    if (status == MT_OK && padding > 0) {
        status = mt_os_write_at(p->fd, zeros, padding, p->tail + sizeof *header + header->stored_bytes);
    }
    if (status == MT_OK) {
        p->tail += header->extent_bytes;
    }
    return status;
}

/* raw_bytes: what a reader makes of it in the end. 0: not worth it or not possible. */
static size_t squeeze(struct mt_packer *p, const uint8_t *data, size_t bytes, size_t raw_bytes, int level)
{
    size_t most = raw_bytes > bytes ? raw_bytes : bytes;
    size_t least = most / (p->type == MT_BLOCK_META ? (size_t)MT_META_RATIO_MAX : (size_t)MT_EVENT_RATIO_MAX) + 1;
    return mt_squeeze(&p->squeezer, data, bytes, bytes <= SMALL_RAW ? p->small_level : level, least);
}

static mt_status index_block(struct mt_packer *p, const struct mt_block_header *header)
{
    if (!mt_pack_reserve(&p->index, &p->index_capacity, p->index_used + INDEX_ENTRY_MAX)) {
        return MT_E_NOMEM;
    }
    uint8_t *at = p->index + p->index_used;
    at = mt_varint_put(at, p->tail - p->index_offset);
    at = mt_varint_put(at, header->stream);
    at = mt_varint_put(at, header->seq_committed >> 32);
    at = mt_varint_put(at, mt_zigzag((int64_t)(header->clock_first - p->index_clock)));
    at = mt_varint_put(at, header->clock_last - header->clock_first);
    at = mt_varint_put(at, header->events);
    p->index_used = (size_t)(at - p->index);
    p->index_offset = p->tail;
    p->index_clock = header->clock_first;
    p->index_count++;
    return MT_OK;
}

/* Writes a block of the present stream. h: clocks, events, codec and sizes. */
static mt_status write_block(struct mt_packer *p, struct mt_block_header h, const uint8_t *payload)
{
    h.magic = MT_BLOCK_MAGIC;
    h.type = p->type;
    h.stream = p->stream;
    h.seq_committed = (uint64_t)p->seq << 32;
    h.extent_bytes = mt_block_extent(h.stored_bytes);
    mt_block_seal(&h, payload);
    mt_status status = p->type == MT_BLOCK_EVENTS ? index_block(p, &h) : MT_OK;
    if (status == MT_OK) {
        status = write_extent(p, &h, payload);
    }
    p->seq++;
    return status;
}

/* A payload that is no columns. */
static mt_status write_rows(struct mt_packer *p, const uint8_t *raw, size_t bytes)
{
    struct mt_block_header h = { 0 };
    size_t stored = squeeze(p, raw, bytes, bytes, p->level);
    h.codec = stored > 0 ? MT_CODEC_ZSTD : MT_CODEC_NONE;
    h.stored_bytes = (uint32_t)(stored > 0 ? stored : bytes);
    h.raw_bytes = (uint32_t)bytes;
    return write_block(p, h, stored > 0 ? p->squeezer.stored : raw);
}

/* The open block of metadata, by column unless that is not smaller. */
static mt_status write_metadata(struct mt_packer *p)
{
    struct mt_block_header h = { .codec = MT_CODEC_COLUMNS };
    uint8_t *columns;
    size_t bytes, row_bytes;
    mt_status status = mt_meta_columns_split(p->raw, p->raw_used, &p->meta_count, &columns, &bytes, &row_bytes);
    if (status == MT_E_NOMEM) {
        return status;
    }
    size_t stored = status == MT_OK ? squeeze(p, columns, bytes, row_bytes, p->level) : 0;
    free(columns);
    if (stored == 0 || stored >= p->raw_used) {
        return write_rows(p, p->raw, p->raw_used);
    }
    h.stored_bytes = (uint32_t)stored;
    h.raw_bytes = (uint32_t)row_bytes;
    h.column_bytes = (uint32_t)bytes;
    return write_block(p, h, p->squeezer.stored);
}

/* The parts of the open block, written as they are: there is no compressor, or it gains nothing. */
static mt_status write_joined(struct mt_packer *p, struct mt_block_header h, const uint8_t *columns, size_t bytes)
{
    if (!mt_pack_reserve(&p->joined, &p->joined_capacity, p->columns.bytes + MT_COLUMNS_SLACK)) {
        return MT_E_NOMEM;
    }
    if (!mt_columns_join(columns, bytes, p->joined, p->columns.bytes)) {
        return MT_E_CORRUPT;
    }
    h.codec = MT_CODEC_NONE;
    h.column_bytes = 0;
    h.stored_bytes = (uint32_t)p->columns.bytes;
    h.raw_bytes = h.stored_bytes;
    return write_block(p, h, p->joined);
}

/* Writes the parts of the open block. */
static mt_status close_parts(struct mt_packer *p)
{
    if (p->columns.bytes == 0) {
        return MT_OK;
    }
    size_t bytes = p->columns.bytes + MT_COLUMNS_HEAD_BYTES;
    if (!mt_pack_reserve(&p->gathered, &p->gathered_capacity, bytes + MT_COLUMNS_SLACK)) {
        return MT_E_NOMEM;
    }
    mt_columns_gather(&p->columns, p->gathered);
    struct mt_block_header h = p->header;
    size_t stored = squeeze(p, p->gathered, bytes, p->columns.bytes, p->block_level);
    h.codec = MT_CODEC_COLUMNS;
    h.stored_bytes = (uint32_t)stored;
    h.raw_bytes = (uint32_t)p->columns.bytes;
    h.column_bytes = (uint32_t)bytes;
    mt_status status = stored > 0 ? write_block(p, h, p->squeezer.stored) : write_joined(p, h, p->gathered, bytes);
    mt_columns_clear(&p->columns);
    return status;
}

/* Adds events, in order and whole, to the open block, or to a new one when that is full. part: clocks and events.
 * MT_E_CORRUPT: they are not whole. */
static mt_status add_part(struct mt_packer *p, const struct mt_block_header *part, const uint8_t *rows, size_t bytes,
                          int level)
{
    mt_status status = MT_OK;
    if (p->columns.bytes + bytes > p->raw_bytes || part->clock_first < p->header.clock_last) {
        status = close_parts(p);
    }
    bool first = p->columns.bytes == 0;
    if (status == MT_OK) {
        status = mt_columns_add(&p->columns, part->clock_first, rows, bytes);
    }
    if (status != MT_OK) {
        return status;
    }
    if (first) {
        p->header = (struct mt_block_header){ .clock_first = part->clock_first };
        p->block_level = level;
    }
    p->header.clock_last = part->clock_last;
    p->header.events += part->events;
    return MT_OK;
}

/* Ends what is being encoded. */
static mt_status close_part(struct mt_packer *p)
{
    if (!p->open) {
        return MT_OK;
    }
    p->open = false;
    struct mt_block_header part = { .clock_first = p->clock_first,
                                    .clock_last = p->encoder.clock,
                                    .events = p->encoder.events };
    return add_part(p, &part, p->raw, (size_t)(p->encoder.at - p->raw), p->level);
}

/* Writes the open block. */
static mt_status close_block(struct mt_packer *p)
{
    if (p->type == MT_BLOCK_EVENTS) {
        mt_status status = close_part(p);
        return status == MT_OK ? close_parts(p) : status;
    }
    if (!p->open) {
        return MT_OK;
    }
    p->open = false;
    return p->type == MT_BLOCK_META ? write_metadata(p) : write_rows(p, p->raw, p->raw_used);
}

static void open_block(struct mt_packer *p, uint64_t clock_first)
{
    p->open = true;
    p->raw_used = 0;
    p->clock_first = clock_first;
    p->rate_bytes = 0;
    p->label = 0;
    mt_encode_begin(&p->encoder, p->raw, clock_first);
    p->encoder.clock_shift = p->file.clock_shift;
}

mt_status mt_packer_stream(struct mt_packer *p, const struct mt_extent *e)
{
    bool same = e->stream == p->stream && e->type == p->type;
    if (same && e->seq == p->source_seq) {
        p->source_seq++;
        return MT_OK;
    }
    mt_status status = close_block(p);
    if (!same) {
        p->stream = e->stream;
        p->type = e->type;
        p->seq = 0;
        p->source_seq = e->base ? e->seq : 0;
    }
    p->seq += e->seq > p->source_seq ? 1 : 0; /* blocks missing here: one gap says so */
    p->source_seq = (uint64_t)e->seq + 1;
    return status;
}

mt_status mt_packer_gap(struct mt_packer *p, const struct mt_extent *e)
{
    mt_status status = mt_packer_stream(p, e);
    if (status == MT_OK) {
        status = close_block(p);
    }
    p->seq++;
    return status;
}

/* A block starts with no rate and no label: they are said again where they are not 0, and wherever they change (trace.md 3,
 * EXT 1 and 12). */
static void follow(struct mt_packer *p, const struct mt_event *event)
{
    if (event->kind != MT_EVENT_RESIZED && p->rate_bytes != event->rate_bytes) {
        p->rate_bytes = event->rate_bytes;
        mt_encode_ext(&p->encoder, MT_EXT_RATE, p->encoder.clock, event->rate_bytes);
    }
    if (p->label != event->label) {
        p->label = event->label;
        mt_encode_ext(&p->encoder, MT_EXT_LABEL, p->encoder.clock, event->label);
    }
}

static bool event_fits(const struct mt_packer *p, const struct mt_event *event)
{
    return p->encoder.at + 3 * MT_EVENT_MAX_BYTES <= p->raw + p->raw_bytes && event->clock >= p->encoder.clock;
}

mt_status mt_packer_events(struct mt_packer *p, const struct mt_event *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (events[i].kind == MT_EVENT_RATE || events[i].kind == MT_EVENT_LABEL) {
            continue; /* the next event carries it */
        }
        if (p->open && !event_fits(p, &events[i])) {
            mt_status status = close_part(p);
            if (status != MT_OK) {
                return status;
            }
        }
        if (!p->open) {
            open_block(p, events[i].clock > 0 ? events[i].clock - 1 : 0); /* so that the first tick costs no byte */
        }
        follow(p, &events[i]);
        mt_pack_event(&p->encoder, &events[i]);
        p->events++;
    }
    return MT_OK;
}

mt_status mt_packer_metadata(struct mt_packer *p, const uint8_t *record, size_t bytes)
{
    if (p->open && p->raw_used + bytes > p->raw_bytes) {
        mt_status status = close_block(p);
        if (status != MT_OK) {
            return status;
        }
    }
    if (!p->open) {
        open_block(p, 0);
    }
    if (!mt_pack_reserve(&p->raw, &p->raw_capacity, p->raw_used + bytes)) {
        return MT_E_NOMEM;
    }
    memcpy(p->raw + p->raw_used, record, bytes);
    p->raw_used += bytes;
    return MT_OK;
}

mt_status mt_packer_block(struct mt_packer *p, const struct mt_extent *e, const struct mt_payload *payload)
{
    struct mt_block_header part = { .clock_first = e->clock_first, .clock_last = e->clock_last, .events = e->events };
    mt_status status = close_part(p);
    if (status == MT_OK) {
        status = add_part(p, &part, payload->data, payload->bytes, QUICK_LEVEL);
    }
    p->events += status == MT_OK ? e->events : 0;
    return status;
}

/* Bytes of the original to the tail; what is left to the alignment is a hole of zeros. */
static mt_status copy_bytes(struct mt_packer *p, const struct mt_reader *reader, uint64_t offset, uint64_t bytes)
{
    mt_status status = MT_OK;
    for (uint64_t at = 0; status == MT_OK && at < bytes;) {
        size_t want = bytes - at < p->raw_capacity ? (size_t)(bytes - at) : p->raw_capacity;
        size_t got;
        status = mt_reader_read(reader, offset + at, p->raw, want, &got);
        if (status == MT_OK && got < want) {
            status = MT_E_TRUNCATED;
        }
        if (status == MT_OK) {
            status = mt_os_write_at(p->fd, p->raw, want, p->tail + at);
        }
        at += want;
    }
    if (status == MT_OK) {
        p->tail += (bytes + MT_EXTENT_ALIGN - 1) & ~(uint64_t)(MT_EXTENT_ALIGN - 1);
    }
    return status;
}

mt_status mt_packer_copy(struct mt_packer *p, const struct mt_reader *reader, const struct mt_extent *e)
{
    mt_status status = close_block(p);
    return status == MT_OK ? copy_bytes(p, reader, e->offset, e->extent_bytes) : status;
}

mt_status mt_packer_nested(struct mt_packer *p, const struct mt_reader *reader, const struct mt_nested *nested)
{
    struct mt_block_header h;
    uint32_t header_bytes;
    size_t got;
    mt_status status = close_block(p);
    if (status == MT_OK) {
        status = mt_reader_read(reader, nested->offset + offsetof(struct mt_trace_header, header_bytes), &header_bytes,
                                sizeof header_bytes, &got);
    }
    if (status != MT_OK) {
        return status;
    }
    bool believed = got == sizeof header_bytes && header_bytes <= MT_BLOCK_RAW_MAX && header_bytes <= nested->bytes;
    mt_process_seal(&h, believed ? header_bytes : 0, nested->bytes);
    status = mt_os_write_at(p->fd, &h, sizeof h, p->tail);
    if (status == MT_OK) {
        p->tail += sizeof h;
        status = copy_bytes(p, reader, nested->offset, nested->bytes);
    }
    return status;
}

mt_status mt_packer_single(struct mt_packer *p, uint8_t type, const void *data, size_t bytes)
{
    mt_status status = close_block(p);
    if (status != MT_OK || bytes > MT_BLOCK_RAW_MAX) {
        return status;
    }
    if (!mt_pack_reserve(&p->raw, &p->raw_capacity, bytes)) {
        return MT_E_NOMEM;
    }
    p->type = type;
    p->stream = MT_STREAM_NONE;
    p->seq = 0;
    open_block(p, 0);
    memcpy(p->raw, data, bytes);
    p->raw_used = bytes;
    return close_block(p);
}

static mt_status write_index(struct mt_packer *p)
{
    uint8_t head[MT_VARINT_MAX];
    size_t head_bytes = (size_t)(mt_varint_put(head, p->index_count) - head);
    if (!mt_pack_reserve(&p->index, &p->index_capacity, p->index_used + head_bytes)) {
        return MT_E_NOMEM;
    }
    memmove(p->index + head_bytes, p->index, p->index_used);
    memcpy(p->index, head, head_bytes);
    struct mt_block_header h = { .magic = MT_BLOCK_MAGIC, .type = MT_BLOCK_INDEX, .stream = MT_STREAM_NONE };
    h.stored_bytes = (uint32_t)(p->index_used + head_bytes);
    h.raw_bytes = h.stored_bytes;
    h.extent_bytes = mt_block_extent(h.stored_bytes);
    mt_block_seal(&h, p->index);
    return write_extent(p, &h, p->index);
}

mt_status mt_packer_finish(struct mt_packer *p)
{
    mt_status status = close_block(p);
    if (status == MT_OK) {
        status = write_index(p);
    }
    if (status != MT_OK) {
        return status;
    }
    p->file.flags |= MT_TRACE_PACKED;
    p->file.major = p->file.horizon_clock != 0 ? MT_TRACE_MAJOR_BASE : MT_TRACE_MAJOR;
    p->file.minor = MT_TRACE_MINOR;
    p->file.file_tail = p->tail;
    return mt_os_write_at(p->fd, &p->file, p->file.header_bytes, 0);
}

uint64_t mt_packer_event_count(const struct mt_packer *p)
{
    return p->events;
}

uint64_t mt_packer_bytes(const struct mt_packer *p)
{
    return p->tail;
}
