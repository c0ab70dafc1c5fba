/* decode_source.h: where the bytes of a trace come from: a file (pread), memory, or a window of either. Private to
 * wire/decode_*.c.
 *
 * Every offset counts from the start of the source, so that a trace inside a file is read as one that is a file.
 * A window shares the descriptor of its file: a run of a thousand processes in one file is opened with one.
 * Reads may come short at the end, never past it; EINTR is retried. Context: [tool]; windows of one file may be used and
 * closed by different threads.
 */
#ifndef MT_WIRE_DECODE_SOURCE_H
#define MT_WIRE_DECODE_SOURCE_H

#include "base/status.h"
#include "wire/decode_file.h"

struct mt_source_file;

struct mt_source {
    struct mt_source_file *file; /* NULL: memory */
    const uint8_t *memory;       /* where the source starts in it */
    uint64_t start;              /* of the source in the file */
    uint64_t limit;              /* it never has more bytes than this, however the file grows */
    uint64_t bytes;              /* size when it was opened */
    uint64_t device, inode;      /* of the file */
};

mt_status mt_source_open(struct mt_source *source, const char *path) MT_CHECKED;
/* Takes over fd, a regular file's. */
mt_status mt_source_of_file(struct mt_source *source, int take_fd) MT_CHECKED;
struct mt_source mt_source_of_memory(const void *data, size_t bytes);
/* `bytes` of a source from `offset` on; less where it ends before. To be closed like any other. */
struct mt_source mt_source_window(const struct mt_source *source, uint64_t offset, uint64_t bytes);
void mt_source_close(struct mt_source *source); /* the numbers stay */
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

/* Where a slot is that a live trace had at some moment, used or not. */
struct mt_slot_place {
    uint64_t offset;
    uint32_t bytes; /* its room */
};

/* A piece without an extent: claimed and not written yet, or damage. */
struct mt_gap {
    uint64_t from, to;
};

struct mt_gaps {
    struct mt_gap *items;
    size_t count, capacity;
};

/* How far a live trace has been scanned: up to end, except for the gaps. Offsets are the reader's. */
struct mt_scanned {
    uint64_t end; /* where the next extent begins, if the last gap does not reach to there; 0: nothing was scanned */
    struct mt_gaps gaps;
};

struct mt_reader {
    struct mt_source source;
    struct mt_source journal; /* of a trace that is written or whose tool died: offsets from MT_JOURNAL_OFFSET on */
    bool has_journal;
    struct mt_trace_header header;
    struct mt_reader_report report;
    struct mt_extent *extents;
    size_t count, capacity;
    struct mt_nested *nested;
    size_t nested_count, nested_capacity;
    bool inside; /* is a nested trace itself: none is looked for in it */
    struct mt_slot_copy *copies;
    size_t copy_count, copy_capacity;
    /* a live trace */
    struct mt_slot_place *places;
    size_t place_count, place_capacity;
    struct mt_scanned scanned[2]; /* trace, journal */
    struct mt_gaps *gaps;         /* where the scan under way notes them; NULL: only counted */
    uint64_t base_end;            /* of the base that the trace begins at; 0: it has none */
};

/* Which source an offset of the reader is in, and where there. */
const struct mt_source *mt_reader_source(const struct mt_reader *reader, uint64_t *offset);

/* What a scan takes: places notes where slots are, used or not, instead of taking those in use. */
enum { MT_TAKE_SLOTS = 1, MT_TAKE_METADATA = 2, MT_TAKE_OTHERS = 4, MT_TAKE_ALL = 7, MT_TAKE_PLACES = 8 };

/* decode_extents.c: fills extents, copies and report of a reader whose source and header are set. */
mt_status mt_reader_scan(struct mt_reader *reader, struct mt_wire_error *error) MT_CHECKED;
/* decode_scan.c. Takes the wanted extents with a header in [from, to); counts holes. *ret_end: `to` behind a hole, else behind
 * the last extent, which may go beyond it. */
mt_status mt_scan_range(struct mt_reader *reader, uint64_t from, uint64_t to, unsigned take, uint64_t *ret_end) MT_CHECKED;
/* By stream, then seq, then blocks before slots. */
void mt_scan_sort(struct mt_reader *reader);
/* What a slot's header says now; *ret_used: it is a slot and some stream's. */
mt_status mt_scan_slot_header(struct mt_reader *reader, uint64_t offset, struct mt_block_header *ret, bool *ret_used) MT_CHECKED;
/* Makes e the extent of a slot of which `bytes` bytes were read when its header was *h. */
void mt_scan_adopt_slot(struct mt_extent *e, const struct mt_block_header *h, uint32_t bytes);
/* The extent of a slot that was read into take_data (malloc'ed) when its header was *h. */
mt_status mt_scan_add_copy(struct mt_reader *reader, uint8_t *take_data, size_t bytes, const struct mt_slot_place *place,
                           const struct mt_block_header *h) MT_CHECKED;

/* decode_base.c. Where the first extent of a trace is: header.base_offset is believed only where there is a base. */
uint64_t mt_reader_base_begin(struct mt_reader *reader);
/* Takes out what a base has made superfluous: events of before that are still in slots of the journal. */
void mt_reader_drop_older(struct mt_reader *reader);
/* Has the writer made another base the beginning since the header was read? */
bool mt_reader_base_moved(const struct mt_reader *reader);

/* What the header says is claimed, and where the scan has come to: behind the last extent or gap. */
struct mt_claim {
    uint64_t tail, seen;
};

/* decode_unfinished.c, after a scan: a gap that is blocks being written is no hole, and a file that ends in one not cut.
 * claim NULL: the file's end is not looked at. */
void mt_unfinished_settle(struct mt_reader *reader, const struct mt_gaps *gaps, const struct mt_claim *claim);

/* decode_live.c: what was written since the last call, or all there is. tail: as far as the header says now. */
mt_status mt_scan_live(struct mt_reader *reader, uint64_t start, uint64_t tail) MT_CHECKED;

/* decode_nested.c: traces inside this one; *ret_next: where the next extent begins. wanted: note it, else step over it.
 * mt_nested_take: behind the PROCESS block at offset. mt_nested_adopt: at offset itself, where its block is damaged and
 * mt_nested_begins says of the 64 bytes there that a trace begins. */
mt_status mt_nested_take(struct mt_reader *reader, uint64_t offset, const struct mt_block_header *h, bool wanted,
                         uint64_t *ret_next) MT_CHECKED;
bool mt_nested_begins(const struct mt_reader *reader, const uint8_t *at);
mt_status mt_nested_adopt(struct mt_reader *reader, uint64_t offset, bool wanted, uint64_t *ret_next) MT_CHECKED;

/* Fills *error (may be NULL) and returns status. */
MT_INLINE mt_status mt_wire_fail(struct mt_wire_error *error, mt_status status, uint64_t offset, const char *text)
{
    if (error != NULL) {
        *error = (struct mt_wire_error){ .offset = offset, .text = text };
    }
    return status;
}

#endif
