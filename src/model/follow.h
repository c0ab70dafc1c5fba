/* follow.h: one trace, read once while it grows.
 *
 * Decides: what has been read stays read. A poll costs what was written since the one before, whatever the length of the
 * trace: new blocks, the slots as they are now, new metadata; events come in the order of a cursor. Where that order would
 * need something put before what was delivered already (a thread was stopped between stamping a record and committing it;
 * a realloc whose outcome comes after younger events of other threads; a block that was missing), and where the file is
 * not the same any more (packed, ended, replaced), the trace is opened anew, all events come again and the generation is
 * another one: whoever follows then begins from nothing. So what a follower has seen is always what one reading of the
 * whole trace would have shown.
 * No descriptor is held between readings: a program that reads its own trace may close and reuse any number.
 * Context: [tool], one thread at a time.
 */
#ifndef MT_MODEL_FOLLOW_H
#define MT_MODEL_FOLLOW_H

#include "model/cursor.h"
#include "model/trace.h"

struct mt_follow;

/* path is copied; place: of the trace in that file. Nothing is opened before the first poll. */
struct mt_follow *mt_follow_new(const char *path, size_t place);
void mt_follow_free(struct mt_follow *follow);

/* Takes in what was written since. Errors and ret_error as mt_trace_open; the next poll tries again, from the beginning. */
mt_status mt_follow_poll(struct mt_follow *follow, struct mt_wire_error *ret_error) MT_CHECKED;
/* As it was polled last; NULL after a failure. Another one when the generation is another one. */
struct mt_trace *mt_follow_trace(const struct mt_follow *follow);
/* From 1 on: of the events that are delivered. */
uint64_t mt_follow_generation(const struct mt_follow *follow);

/* The events after those delivered, up to and including stop_clock. After each poll, and before next. MT_E_BUSY: events beyond
 * it have been delivered: poll again. */
mt_status mt_follow_begin(struct mt_follow *follow, uint64_t stop_clock) MT_CHECKED;
/* *ret_count events into out[0..capacity), 0 at the end. MT_E_BUSY: they belong before what was delivered, or the trace was
 * packed: poll again. MT_E_NOMEM, MT_E_IO. */
mt_status mt_follow_next(struct mt_follow *follow, struct mt_event *out, size_t capacity, size_t *ret_count) MT_CHECKED;
/* What could not be read of what was delivered. Valid until the next poll. */
const struct mt_cursor_losses *mt_follow_losses(const struct mt_follow *follow);
/* The next poll begins from the beginning. */
void mt_follow_restart(struct mt_follow *follow);
/* Nothing more is read before the next poll: closes descriptors. */
void mt_follow_rest(struct mt_follow *follow);

#endif
