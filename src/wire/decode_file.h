/* decode_file.h: a trace file as an index of extents, and payloads on demand.
 *
 * Decides: what of a file is believed. The header must have the magic and a known major; every extent must have a valid
 * header checksum; where there is none, the search goes on in 64-byte steps (holes of a sparse file are skipped by
 * SEEK_DATA). Opening reads headers only: memory is one mt_extent (64 bytes) for every extent (>= 64 bytes of file).
 * A live file: file_tail is read once and extents beyond it do not exist; live slots are copied at once, metadata last,
 * so that every stack an event names is already there; blocks that a slot was flushed to meanwhile are picked up. It can be
 * polled: then only what was written since is looked at.
 * A file cut anywhere opens: the last block is delivered up to its last whole record, without its checksum (one of columns, in
 * a packed file: not at all).
 * A trace that is still written has its slots in a journal beside it (journal_file.h), which is read along.
 * A bounded trace begins at its base (decode_base.c): what was before is not looked at, and header.horizon_clock says when it was.
 * Reads with pread, never maps: a file truncated under a mapping is a SIGBUS. Context: [tool].
 */
#ifndef MT_WIRE_DECODE_FILE_H
#define MT_WIRE_DECODE_FILE_H

#include "base/status.h"
#include "wire/decode.h"
#include "wire/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MT_BLOCK_RAW_MAX = 16 * 1024 * 1024,  /* a block with more raw bytes is refused */
    MT_META_RATIO_MAX = 64,               /* metadata may not expand more than this (its records stay in memory) */
    MT_EVENT_RATIO_MAX = 256,             /* nor events; the writer pads with a zstd skippable frame to keep to it */
};

/* One block or live slot. */
struct mt_extent {
    uint64_t offset;       /* of its header in the file; in its journal: from MT_JOURNAL_OFFSET on (journal_file.h) */
    uint64_t clock_first;
    uint64_t clock_last;   /* slot: 0, unknown */
    uint32_t stream;
    uint32_t seq;
    uint32_t stored_bytes; /* payload bytes there are (slot: committed; cut block: what is left) */
    uint32_t raw_bytes;
    uint32_t events;       /* slot: 0, unknown */
    uint32_t payload_crc;
    uint32_t slot_copy;    /* slot: 1 + index of its copy in the reader; block: 0 */
    uint32_t extent_bytes; /* from header to next extent */
    uint32_t column_bytes; /* codec 2: decompressed bytes */
    uint8_t type;          /* enum mt_block_type of the content, never SLOT */
    uint8_t codec;
    bool cut : 1;          /* the file ends inside it: no checksum, last record may be partial */
    bool slot : 1;         /* a journal's content: no checksum, raw */
    bool base : 1;         /* inside the base that the trace begins at */
};
static_assert(sizeof(struct mt_extent) == 64, "the promise about memory");

/* What was found missing. */
struct mt_reader_report {
    uint64_t holes;           /* places with no valid extent header */
    uint64_t hole_bytes;
    uint64_t first_hole;      /* offset, 0: none */
    uint64_t truncated_at;    /* file size when it ends before file_tail or inside an extent; 0: whole */
    uint64_t lost_blocks;     /* gaps in the sequence numbers of streams */
    uint64_t duplicate_blocks; /* same stream and seq twice: the later one ignored */
    bool journal_missing;      /* the header names a journal that is not there: the last events of each thread are lost */
};

/* The trace of another process inside the file. */
struct mt_nested {
    uint64_t offset; /* of its header */
    uint64_t bytes;  /* of the whole trace, as far as the file has it */
};

struct mt_reader;

/* Opens a trace. MT_E_TRUNCATED shorter than the fixed header (512 bytes), MT_E_CORRUPT not a trace, MT_E_VERSION a
 * newer major, MT_E_NOENT/PERM/IO/NOMEM. ret_error may be NULL; it is filled on failure. */
mt_status mt_reader_open(const char *path, struct mt_reader **ret, struct mt_wire_error *ret_error) MT_CHECKED;
/* The same over bytes in memory, borrowed until close. */
mt_status mt_reader_open_memory(const void *data, size_t bytes, struct mt_reader **ret,
                                struct mt_wire_error *ret_error) MT_CHECKED;
void mt_reader_close(struct mt_reader *reader);

const struct mt_trace_header *mt_reader_header(const struct mt_reader *reader);
const struct mt_reader_report *mt_reader_report(const struct mt_reader *reader);
uint64_t mt_reader_file_bytes(const struct mt_reader *reader);

/* All usable extents, sorted by (stream, seq); free slots, superseded slots and duplicates left out. */
const struct mt_extent *mt_reader_extents(const struct mt_reader *reader, size_t *ret_count);

/* The traces inside this one, in the order of the file. */
const struct mt_nested *mt_reader_nested(const struct mt_reader *reader, size_t *ret_count);
/* Opens one of them, index < their count, as if it were a file: errors as mt_reader_open, offsets count from its own start.
 * It does not need `outer` afterwards. */
mt_status mt_reader_open_nested(const struct mt_reader *outer, size_t index, struct mt_reader **ret,
                                struct mt_wire_error *ret_error) MT_CHECKED;

/* Can it be polled? A trace that is recorded, in a file of its own. */
bool mt_reader_can_poll(const struct mt_reader *reader);
/* What has been written since the trace was opened or polled: header and report are as they are now, and the extents are the
 * blocks found since, and all slots as they are now, by stream and seq; a block may be there beside the slot it was, a
 * metadata block twice. path: of the file. MT_E_BUSY: it is another file now, or the trace has ended, was packed or begins at
 * another base: open it again. After any error the reader is to be closed. */
mt_status mt_reader_poll(struct mt_reader *reader, const char *path) MT_CHECKED;
/* Closes its files until it is polled: who keeps a descriptor for long in another's process may find something else there. */
void mt_reader_rest(struct mt_reader *reader);

/* A payload buffer to be reused over many loads; all zero at first. */
struct mt_payload {
    uint8_t *data;
    size_t bytes;
    size_t capacity;
};
void mt_payload_fini(struct mt_payload *p);

/* The file has been put into its packed form since it was opened, or is just being, or begins at a later base: what was found
 * before is not there any more. */
bool mt_reader_is_outdated(const struct mt_reader *reader);

/* Reads, checks and decompresses the payload of an extent. MT_E_CORRUPT checksum or compression, MT_E_IO, MT_E_NOMEM,
 * MT_E_BUSY outdated (above): open it again; a cut extent gives what can be had. Thread safe for different payloads. */
mt_status mt_reader_load(const struct mt_reader *reader, const struct mt_extent *extent, struct mt_payload *p,
                         struct mt_wire_error *ret_error) MT_CHECKED;

/* The same of a block of events in columns, as they are: head and columns (wire/columns.h). MT_E_INVAL: it is none. */
mt_status mt_reader_load_columns(const struct mt_reader *reader, const struct mt_extent *extent, struct mt_payload *p) MT_CHECKED;

/* Plain bytes of the file, for the aggregate table; short at the end of the file. */
mt_status mt_reader_read(const struct mt_reader *reader, uint64_t offset, void *data, size_t bytes,
                         size_t *ret_bytes) MT_CHECKED;

#endif
