/* cursor.h: the events of a trace in order.
 *
 * Decides: the order, (clock, stream), which trace.md section 4 proves to be a possible history: no address is freed
 * before it is allocated or allocated twice. Streams are opened when their first clock is due and closed at their end,
 * one payload each; while one stream is ahead of all others its records go straight from the decoder into the caller's
 * array. Reallocs are resolved: REALLOC_OLD becomes a FREE at its own clock when its NEW follows, and nothing when it
 * FAILED or the stream ends (bounded look-ahead: 4,096 records or to the end of the next block). Consumers only see
 * ALLOC, FREE, MAP, UNMAP and RESIZED.
 * A cursor that follows a trace which is polled (follow.h) goes on with what was found since, and stops in front of a
 * REALLOC_OLD whose outcome may still be written.
 * Context: [tool]; one thread a cursor.
 */
#ifndef MT_MODEL_CURSOR_H
#define MT_MODEL_CURSOR_H

#include "base/status.h"
#include "model/trace.h"
#include "wire/decode.h"

#include <stddef.h>
#include <stdint.h>

struct mt_cursor;

/* What could not be read on the way; grows while the cursor moves. */
struct mt_cursor_losses {
    uint64_t bad_blocks;     /* payload checksum, compression or a bad record: rest of the block skipped */
    uint64_t cut_records;    /* streams that end inside a record (cut file, killed writer) */
    uint64_t dropped_events; /* DROPPED records: what the writer could not record */
    uint64_t unfinished_reallocs; /* REALLOC_OLD without an outcome */
    struct mt_wire_error first_error; /* text NULL: none */
};

/* Events from the beginning up to and including stop_clock (UINT64_MAX: all). The trace must outlive the cursor. */
mt_status mt_cursor_new(const struct mt_trace *trace, uint64_t stop_clock, struct mt_cursor **ret) MT_CHECKED;
/* A cursor over nothing yet. */
struct mt_cursor *mt_cursor_follow(const struct mt_trace *trace);
/* Takes in what the trace's reader found when it was opened or polled last: once each time. False: some of it belongs before what
 * has been delivered. */
bool mt_cursor_feed(struct mt_cursor *cursor);
/* The next events are those up to and including stop_clock. */
void mt_cursor_resume(struct mt_cursor *cursor, uint64_t stop_clock);
void mt_cursor_free(struct mt_cursor *cursor);

/* The next events into out[0..capacity), capacity >= 1; returns how many, 0 at the end. MT_E_NOMEM and I/O errors end
 * the cursor early: mt_cursor_status. */
size_t mt_cursor_next(struct mt_cursor *cursor, struct mt_event *out, size_t capacity);
mt_status mt_cursor_status(const struct mt_cursor *cursor);
/* After the end: are there events after stop_clock? */
bool mt_cursor_has_more(const struct mt_cursor *cursor);

const struct mt_cursor_losses *mt_cursor_losses(const struct mt_cursor *cursor);
/* Stored event bytes consumed so far, to compare with mt_trace_info.event_bytes. */
uint64_t mt_cursor_done_bytes(const struct mt_cursor *cursor);

#endif
