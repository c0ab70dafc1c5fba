/* pack.c: the driver: reads streams in order, writes the packed file, renames it into place.
 *
 * Streams are packed one after the other, so a reader of one thread reads one part of the file; block headers carry the
 * clocks, so merging costs nothing more. The new file is written under a temporary name in the same directory, flushed
 * (fsync), and renamed over the target; every failure before the rename removes it. Context: [tool].
 */
#include "wire/pack.h"

#include "wire/decode_file.h"
#include "wire/decode_source.h"
#include "wire/encode.h"
#include "wire/journal_file.h"
#include "wire/pack_lines.h"
#include "wire/pack_writer.h"
#include "wire/records.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DEFAULT_LEVEL = 3,
    DEFAULT_RAW = 2 * 1024 * 1024,
    LEAST_RAW = 4096,
    OPEN_RAW = 64 * 1024 * 1024, /* a merging reader holds a raw block of every stream: together no more than this */
    OPEN_RAW_LEAST = 32 * 1024,
    EVENT_BATCH = 1024,
};

struct job {
    const char *path;
    const struct mt_reader *reader;
    const struct mt_pack_options *options;
    struct mt_packer *packer;
    struct mt_payload payload;
    uint64_t done, total;
    struct mt_event *batch;
    struct mt_used_lines used;
    uint8_t *record; /* room to write a metadata record anew */
    size_t record_capacity;
    bool warned;
};

static void progress(struct job *j, const struct mt_extent *e)
{
    j->done += e->stored_bytes;
    if (j->options != NULL && j->options->progress != NULL) {
        j->options->progress(j->options->context, j->done, j->total);
    }
}

/* All records of one event block into the packer. What cannot be decoded is lost, as it is to every reader. */
static mt_status pack_events(struct job *j, const struct mt_extent *e)
{
    struct mt_event_decoder d;
    mt_status status = MT_OK;
    mt_decode_begin_in_units(&d, j->payload.data, j->payload.bytes, e->clock_first, e->stream,
                             mt_reader_header(j->reader)->clock_shift);
    while (status == MT_OK && d.state == MT_DECODE_MORE) {
        size_t count = mt_decode_events(&d, UINT64_MAX, j->batch, EVENT_BATCH);
        status = mt_packer_events(j->packer, j->batch, count);
    }
    return status;
}

/* A CODE record with a smaller line table; false: as it is. */
static mt_status pack_code(struct job *j, struct mt_bytes record, bool *ret_packed)
{
    size_t bytes = (size_t)(record.end - record.at);
    *ret_packed = false;
    if (!mt_pack_reserve(&j->record, &j->record_capacity, bytes + MT_VARINT_MAX + 1)) {
        return MT_E_NOMEM;
    }
    uint8_t *payload = j->record + MT_VARINT_MAX + 1, head[MT_VARINT_MAX + 1];
    size_t reduced = mt_used_lines_reduce(&j->used, j->options->lines_of, record, payload);
    if (reduced == 0) {
        return MT_OK;
    }
    *ret_packed = true;
    size_t head_bytes = mt_meta_head(head, MT_META_CODE, reduced);
    memcpy(payload - head_bytes, head, head_bytes);
    return mt_packer_metadata(j->packer, payload - head_bytes, head_bytes + reduced);
}

/* Metadata records have no state: whole records are copied. */
static mt_status pack_metadata(struct job *j)
{
    struct mt_bytes b = mt_bytes_of(j->payload.data, j->payload.bytes);
    struct mt_bytes record;
    uint8_t tag;
    mt_status status = MT_OK;
    const uint8_t *from = b.at;
    while (status == MT_OK && mt_bytes_record(&b, &tag, &record)) {
        bool packed = false;
        if (tag == MT_META_CODE && j->options != NULL && j->options->lines_of != NULL) {
            status = pack_code(j, record, &packed);
        }
        if (status == MT_OK && !packed) {
            status = mt_packer_metadata(j->packer, from, (size_t)(b.at - from));
        }
        from = b.at;
    }
    return status;
}

static mt_status add_warning(struct job *j, const char *text)
{
    static const char key[] = "warning";
    size_t capacity = strlen(text) + sizeof key + 2 * MT_VARINT_MAX;
    size_t head_room = MT_VARINT_MAX + 1;
    struct mt_meta_builder b;
    uint8_t head[MT_VARINT_MAX + 1];
    if (!mt_pack_reserve(&j->record, &j->record_capacity, head_room + capacity)) {
        return MT_E_NOMEM;
    }
    mt_meta_begin(&b, j->record + head_room, capacity);
    mt_record_put_note(&b, &(struct mt_record_note){ { key, sizeof key - 1 }, { text, strlen(text) } });
    size_t head_bytes = mt_meta_head(head, MT_META_NOTE, b.bytes);
    memcpy(j->record + head_room - head_bytes, head, head_bytes);
    return mt_packer_metadata(j->packer, j->record + head_room - head_bytes, head_bytes + b.bytes);
}

/* Behind the first block of metadata; any place is as good. */
static mt_status add_warnings(struct job *j)
{
    mt_status status = MT_OK;
    for (size_t i = 0; j->options != NULL && !j->warned && i < j->options->warning_count && status == MT_OK; i++) {
        status = add_warning(j, j->options->warnings[i]);
    }
    j->warned = true;
    return status;
}

/* What the metadata needs line tables for. An extent that cannot be read says nothing: nobody can read it later. */
static mt_status find_used_lines(struct job *j)
{
    size_t count;
    const struct mt_extent *e = mt_reader_extents(j->reader, &count);
    bool room = true;
    for (size_t i = 0; i < count && room; i++) {
        if (e[i].type != MT_BLOCK_META || mt_reader_load(j->reader, &e[i], &j->payload, NULL) != MT_OK) {
            continue;
        }
        struct mt_bytes b = mt_bytes_of(j->payload.data, j->payload.bytes), record;
        uint8_t tag;
        while (room && mt_bytes_record(&b, &tag, &record)) {
            room = tag != MT_META_PYTHON_NODE || mt_used_lines_add(&j->used, record);
        }
    }
    mt_used_lines_settle(&j->used);
    return room ? MT_OK : MT_E_NOMEM;
}

static mt_status pack_extent(struct job *j, const struct mt_extent *e, struct mt_wire_error *error)
{
    if (e->type == MT_BLOCK_INDEX) {
        return MT_OK;
    }
    if (e->type == MT_BLOCK_AGGREGATE || e->type == MT_BLOCK_SUMMARY) {
        return mt_packer_copy(j->packer, j->reader, e);
    }
    mt_status status = mt_reader_load(j->reader, e, &j->payload, error);
    if (status == MT_E_CORRUPT || status == MT_E_TRUNCATED || status == MT_E_UNSUPPORTED) {
        return mt_packer_gap(j->packer, e); /* keeps its sequence number free: readers see the loss as before */
    }
    if (status != MT_OK) {
        return status;
    }
    status = mt_packer_stream(j->packer, e);
    if (status != MT_OK) {
        return status;
    }
    if (e->type == MT_BLOCK_META) {
        status = pack_metadata(j);
        return status == MT_OK ? add_warnings(j) : status;
    }
    uint32_t quick = j->options != NULL ? j->options->quick_bytes : 0;
    bool keeps_borders = quick != 0 && e->raw_bytes >= quick && !e->slot && !e->cut;
    status = keeps_borders ? mt_packer_block(j->packer, e, &j->payload) : MT_E_CORRUPT;
    return status == MT_E_CORRUPT ? pack_events(j, e) : status; /* damaged ones are taken event by event, too */
}

static mt_status pack_summary(struct job *j)
{
    uint8_t *data = NULL;
    size_t bytes = 0;
    bool packed = (mt_reader_header(j->reader)->flags & MT_TRACE_PACKED) != 0; /* has its summary, if any */
    if (packed || j->options == NULL || j->options->summarize == NULL) {
        return MT_OK;
    }
    mt_status status = j->options->summarize(j->path, mt_packer_event_count(j->packer), &data, &bytes);
    if (status == MT_OK && data != NULL) {
        status = mt_packer_single(j->packer, MT_BLOCK_SUMMARY, data, bytes);
    }
    free(data);
    return status;
}

/* Traces inside this one are packed before they come there: they are taken along as they are. */
static mt_status pack_nested(struct job *j)
{
    size_t count;
    const struct mt_nested *nested = mt_reader_nested(j->reader, &count);
    mt_status status = MT_OK;
    for (size_t i = 0; i < count && status == MT_OK; i++) {
        status = mt_packer_nested(j->packer, j->reader, &nested[i]);
    }
    return status;
}

static mt_status pack_all(struct job *j, struct mt_wire_error *error)
{
    size_t count;
    const struct mt_extent *extents = mt_reader_extents(j->reader, &count);
    mt_status status = j->options != NULL && j->options->lines_of != NULL ? find_used_lines(j) : MT_OK;
    for (size_t i = 0; i < count; i++) {
        j->total += extents[i].stored_bytes;
    }
    for (size_t i = 0; i < count && status == MT_OK; i++) {
        status = pack_extent(j, &extents[i], error);
        progress(j, &extents[i]);
    }
    if (status == MT_OK) {
        status = pack_summary(j);
    }
    if (status == MT_OK) {
        status = pack_nested(j);
    }
    return status == MT_OK ? mt_packer_finish(j->packer) : status;
}

static mt_status check_packable(const struct mt_reader *reader, bool writer_is_gone, struct mt_wire_error *error)
{
    uint64_t truncated_at = mt_reader_report(reader)->truncated_at;
    if (truncated_at != 0) {
        return mt_wire_fail(error, MT_E_TRUNCATED, truncated_at, "the file is cut off: it is kept as it is");
    }
    if (mt_reader_header(reader)->state == MT_STATE_RECORDING && !writer_is_gone) {
        return mt_wire_fail(error, MT_E_BUSY, offsetof(struct mt_trace_header, state), "still being recorded");
    }
    return MT_OK;
}

/* Raw bytes of a block when nobody says: smaller when many streams are read at once. */
static uint32_t default_raw_bytes(const struct mt_reader *reader)
{
    size_t count, streams = 0;
    const struct mt_extent *e = mt_reader_extents(reader, &count);
    for (size_t i = 0; i < count; i++) {
        streams += e[i].type == MT_BLOCK_EVENTS && (i == 0 || e[i].stream != e[i - 1].stream);
    }
    size_t share = OPEN_RAW / (streams + 1);
    share = share < DEFAULT_RAW ? share : DEFAULT_RAW;
    return (uint32_t)(share > OPEN_RAW_LEAST ? share : OPEN_RAW_LEAST);
}

static mt_status write_packed(const char *path, const struct mt_reader *reader, int fd,
                              const struct mt_pack_options *options, struct mt_pack_result *result,
                              struct mt_wire_error *error)
{
    int level = options != NULL && options->level != 0 ? options->level : DEFAULT_LEVEL;
    uint32_t raw = options != NULL && options->raw_bytes != 0 ? options->raw_bytes : default_raw_bytes(reader);
    raw = raw < LEAST_RAW ? LEAST_RAW : raw > MT_BLOCK_RAW_MAX ? (uint32_t)MT_BLOCK_RAW_MAX : raw;
    struct job j = { .path = path, .reader = reader, .options = options };
    bool quick = options != NULL && options->quick_bytes != 0;
    mt_status status = mt_packer_new(fd, level, quick, raw, mt_reader_header(reader), &j.packer);
    if (status != MT_OK) {
        return mt_wire_fail(error, status, 0, "out of memory");
    }
    j.batch = malloc(EVENT_BATCH * sizeof *j.batch);
    status = j.batch != NULL ? pack_all(&j, error) : MT_E_NOMEM;
    result->events = mt_packer_event_count(j.packer);
    result->after_bytes = mt_packer_bytes(j.packer);
    result->warnings = j.warned && options != NULL ? options->warning_count : 0;
    free(j.batch);
    free(j.record);
    mt_used_lines_fini(&j.used);
    mt_payload_fini(&j.payload);
    mt_packer_free(j.packer);
    return status == MT_OK ? MT_OK
                           : mt_wire_fail(error, status, result->after_bytes, "the packed trace could not be written");
}

static mt_status replace(const char *path, const char *output, const struct mt_reader *reader,
                         const struct mt_pack_options *options, struct mt_pack_result *result,
                         struct mt_wire_error *error)
{
    char temporary[PATH_MAX];
    int bytes = snprintf(temporary, sizeof temporary, "%s.pack-XXXXXX", output);
    if (bytes < 0 || (size_t)bytes >= sizeof temporary) {
        return mt_wire_fail(error, MT_E_INVAL, 0, "the path is too long");
    }
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        return mt_wire_fail(error, mt_status_from_errno(errno), 0, "no file can be made beside the trace");
    }
    struct stat st;
    mt_status status = write_packed(path, reader, fd, options, result, error);
    if (status == MT_OK && fsync(fd) != 0) {
        status = mt_wire_fail(error, mt_status_from_errno(errno), result->after_bytes, "the packed trace could not be written");
    }
    if (status == MT_OK && stat(path, &st) == 0) {
        (void)fchmod(fd, st.st_mode & 07777);
    }
    if (close(fd) != 0 && status == MT_OK) {
        status = mt_wire_fail(error, mt_status_from_errno(errno), 0, "the packed trace could not be written");
    }
    if (status == MT_OK && output == path) {
        mt_journal_remove_left(path);
    }
    if (status == MT_OK && rename(temporary, output) != 0) {
        status = mt_wire_fail(error, mt_status_from_errno(errno), 0, "the packed trace could not be put in place");
    }
    if (status == MT_OK && output == path) {
        mt_journal_remove(path, mt_reader_header(reader));
    }
    if (status != MT_OK) {
        (void)unlink(temporary);
    }
    return status;
}

static mt_status open_packable(const char *path, const struct mt_pack_options *options, struct mt_reader **ret,
                               struct mt_pack_result *ret_result, struct mt_wire_error *error)
{
    struct mt_reader *reader;
    mt_status status = mt_reader_open(path, &reader, error);
    if (status != MT_OK) {
        return status;
    }
    status = check_packable(reader, options != NULL && options->writer_is_gone, error);
    if (status != MT_OK) {
        mt_reader_close(reader);
        return status;
    }
    *ret_result = (struct mt_pack_result){ .before_bytes = mt_reader_file_bytes(reader),
                                           .after_bytes = mt_reader_file_bytes(reader) };
    *ret = reader;
    return MT_OK;
}

mt_status mt_pack(const char *path, const char *output, const struct mt_pack_options *options,
                  struct mt_pack_result *ret, struct mt_wire_error *ret_error)
{
    struct mt_reader *reader;
    struct mt_pack_result result;
    mt_status status = open_packable(path, options, &reader, &result, ret_error);
    if (status != MT_OK) {
        return status;
    }
    bool packed = (mt_reader_header(reader)->flags & MT_TRACE_PACKED) != 0;
    if (!packed || output != NULL) {
        status = replace(path, output != NULL ? output : path, reader, options, &result, ret_error);
    }
    mt_reader_close(reader);
    if (status == MT_OK && ret != NULL) {
        *ret = result;
    }
    return status;
}

mt_status mt_pack_into(const char *path, int fd, const struct mt_pack_options *options, struct mt_wire_error *ret_error)
{
    struct mt_reader *reader;
    struct mt_pack_result result;
    mt_status status = open_packable(path, options, &reader, &result, ret_error);
    if (status != MT_OK) {
        return status;
    }
    if (ftruncate(fd, 0) != 0) {
        status = mt_wire_fail(ret_error, mt_status_from_errno(errno), 0, "the packed trace could not be written");
    } else {
        status = write_packed(path, reader, fd, options, &result, ret_error);
    }
    mt_reader_close(reader);
    return status;
}
