/* decode_source.h: where the bytes of a trace come from: a file (pread) or memory. Private to wire/decode_*.c.
 *
 * Reads may come short at the end, never past it; EINTR is retried. Context: [tool].
 */
#ifndef MT_WIRE_DECODE_SOURCE_H
#define MT_WIRE_DECODE_SOURCE_H

#include "base/status.h"
#include "wire/decode_file.h"

struct mt_source {
    int fd; /* -1: memory */
    const uint8_t *memory;
    uint64_t bytes; /* size when it was opened */
};

mt_status mt_source_open(struct mt_source *source, const char *path) MT_CHECKED;
void mt_source_close(struct mt_source *source);
mt_status mt_source_read(const struct mt_source *source, uint64_t offset, void *data, size_t bytes,
                         size_t *ret_bytes) MT_CHECKED;
/* The size as it is now. */
void mt_source_refresh(struct mt_source *source);
/* First offset >= offset that may hold data (the end of the source when none). */
uint64_t mt_source_next_data(const struct mt_source *source, uint64_t offset);

struct mt_slot_copy {
    uint8_t *data; /* malloc'ed */
    size_t bytes;
};

struct mt_reader {
    struct mt_source source;
    struct mt_trace_header header;
    struct mt_reader_report report;
    struct mt_extent *extents;
    size_t count, capacity;
    struct mt_slot_copy *copies;
    size_t copy_count, copy_capacity;
};

/* decode_scan.c: fills extents, copies and report of a reader whose source and header are set. */
mt_status mt_reader_scan(struct mt_reader *reader, struct mt_wire_error *error) MT_CHECKED;

/* Fills *error (may be NULL) and returns status. */
MT_INLINE mt_status mt_wire_fail(struct mt_wire_error *error, mt_status status, uint64_t offset, const char *text)
{
    if (error != NULL) {
        *error = (struct mt_wire_error){ .offset = offset, .text = text };
    }
    return status;
}

#endif
