/* stream.c: see stream.h. Context: [tool]. */
#include "model/stream.h"

#include "util/memory.h"

#include <string.h>

enum { OUTCOME_BATCH = 16, OUTCOME_RECORDS_MAX = 4096 };

static void note_error(struct mt_cursor_losses *losses, const struct mt_wire_error *error)
{
    if (losses->first_error.text == NULL) {
        losses->first_error = *error;
    }
}

/* The current block is over: why? */
static void finish_block(struct mt_stream *s, struct mt_cursor_losses *losses, uint64_t *done_bytes)
{
    const struct mt_extent *e = &s->extents[s->next - 1];
    bool packed = e->codec != MT_CODEC_NONE;
    uint64_t inside = (uint64_t)(s->decoder.at - s->decoder.begin);
    struct mt_wire_error error = { .offset = packed ? inside : e->offset + sizeof(struct mt_block_header) + inside,
                                   .in_payload = packed };
    *done_bytes += e->stored_bytes;
    if (s->decoder.state == MT_DECODE_CUT) {
        losses->cut_records++;
        error.text = "the block ends inside a record";
        note_error(losses, &error);
    } else if (s->decoder.state == MT_DECODE_BAD) {
        losses->bad_blocks++;
        error.text = "impossible event record: rest of the block skipped";
        note_error(losses, &error);
    }
    s->loaded = false;
}

/* At the end of what there is of a slot? */
static bool is_waiting(const struct mt_stream *s)
{
    return s->follows && s->next == s->count && s->extents[s->next - 1].slot;
}

/* The decoder goes on in a payload that begins like the one it was in. */
static mt_status load_again(struct mt_stream *s, const struct mt_reader *reader, struct mt_cursor_losses *losses)
{
    struct mt_wire_error error = { 0 };
    size_t done = (size_t)(s->decoder.at - s->decoder.begin);
    mt_status status = mt_reader_load(reader, &s->extents[s->next - 1], &s->payload, &error);
    if (status == MT_E_NOMEM || status == MT_E_IO || status == MT_E_BUSY) {
        return status;
    }
    bool whole = status == MT_OK && s->payload.bytes >= done;
    s->decoder.begin = s->payload.data;
    s->decoder.at = s->payload.data + (whole ? done : 0);
    s->decoder.end = s->payload.data + (whole ? s->payload.bytes : 0);
    s->decoder.state = !whole ? MT_DECODE_BAD : s->decoder.state == MT_DECODE_END ? MT_DECODE_MORE : s->decoder.state;
    if (status != MT_OK) {
        note_error(losses, &error);
    }
    s->grown = false;
    return MT_OK;
}

static mt_status load_next(struct mt_stream *s, const struct mt_reader *reader, struct mt_cursor_losses *losses)
{
    const struct mt_extent *e = &s->extents[s->next++];
    mt_status status = MT_OK;
    struct mt_wire_error error = { 0 };
    if (s->ahead_valid) {
        struct mt_payload current = s->payload;
        s->payload = s->ahead;
        s->ahead = current;
        s->ahead_valid = false;
    } else {
        status = mt_reader_load(reader, e, &s->payload, &error);
    }
    if (status == MT_E_NOMEM || status == MT_E_IO || status == MT_E_BUSY) {
        return status;
    }
    if (status != MT_OK) {
        losses->bad_blocks++;
        note_error(losses, &error);
        s->payload.bytes = 0;
    }
    mt_decode_begin_in_units(&s->decoder, s->payload.data != NULL ? s->payload.data : (const void *)"", s->payload.bytes,
                             e->clock_first, s->id, mt_reader_header(reader)->clock_shift);
    s->loaded = true;
    return MT_OK;
}

bool mt_stream_advance(struct mt_stream *s, const struct mt_reader *reader, struct mt_cursor_losses *losses,
                       uint64_t *done_bytes, mt_status *ret_status)
{
    if (s->grown) {
        *ret_status = load_again(s, reader, losses);
        if (*ret_status != MT_OK) {
            return false;
        }
    }
    while (!s->loaded || !mt_decode_peek(&s->decoder, &s->due)) {
        if (s->loaded) {
            if (is_waiting(s)) {
                return false;
            }
            finish_block(s, losses, done_bytes);
            if (s->next < s->count && s->extents[s->next].clock_first > s->due) {
                s->due = s->extents[s->next].clock_first; /* load it when it is due */
                return true;
            }
        }
        if (s->next == s->count) {
            mt_stream_fini(s);
            return false;
        }
        *ret_status = load_next(s, reader, losses);
        if (*ret_status != MT_OK) {
            return false;
        }
    }
    return true;
}

/* Looks for the record that closes `*depth` open REALLOC_OLDs. */
static bool search(struct mt_event_decoder *d, unsigned *depth, size_t *budget, enum mt_realloc_outcome *ret)
{
    struct mt_event events[OUTCOME_BATCH];
    size_t count;
    while (*budget > 0 && (count = mt_decode_events(d, UINT64_MAX, events, OUTCOME_BATCH)) > 0) {
        for (size_t i = 0; i < count; i++) {
            *depth += events[i].kind == MT_EVENT_REALLOC_OLD;
            if (mt_realloc_ends(events[i].kind, ret) && --*depth == 0) {
                return true;
            }
        }
        *budget -= count < *budget ? count : *budget;
    }
    return false;
}

enum mt_realloc_outcome mt_stream_outcome(struct mt_stream *s, const struct mt_reader *reader, unsigned depth)
{
    enum mt_realloc_outcome outcome;
    size_t budget = OUTCOME_RECORDS_MAX;
    struct mt_event_decoder d = s->decoder;
    if (search(&d, &depth, &budget, &outcome)) {
        return outcome;
    }
    enum mt_realloc_outcome none = s->follows && budget > 0 ? MT_REALLOC_PENDING : MT_REALLOC_UNKNOWN;
    if (budget == 0 || s->next == s->count) {
        return none;
    }
    const struct mt_extent *e = &s->extents[s->next];
    s->ahead_valid = s->ahead_valid || mt_reader_load(reader, e, &s->ahead, NULL) == MT_OK;
    if (!s->ahead_valid) {
        return MT_REALLOC_UNKNOWN;
    }
    mt_decode_begin_in_units(&d, s->ahead.data, s->ahead.bytes, e->clock_first, s->id,
                             mt_reader_header(reader)->clock_shift);
    if (search(&d, &depth, &budget, &outcome)) {
        return outcome;
    }
    return budget > 0 && s->next + 1 == s->count ? none : MT_REALLOC_UNKNOWN;
}

void mt_stream_fini(struct mt_stream *s)
{
    mt_payload_fini(&s->payload);
    mt_payload_fini(&s->ahead);
    s->ahead_valid = false;
}

/* Keeps the current extent and the blocks behind it: what slots hold is found anew each time. */
static void keep_blocks(struct mt_stream *s)
{
    size_t from = s->next > 0 ? s->next - 1 : 0, kept = 0;
    for (size_t i = from; i < s->count; i++) {
        if (i < s->next || !s->own[i].slot) {
            s->own[kept++] = s->own[i];
        }
    }
    s->next -= from;
    s->count = kept;
    s->ahead_valid = false;
}

/* Puts an extent where its seq says, behind the current one. A block is better than the slot it was. */
static void put(struct mt_stream *s, const struct mt_extent *e)
{
    size_t at = s->count;
    while (at > s->next && s->own[at - 1].seq >= e->seq) {
        at--;
    }
    if (at < s->count && s->own[at].seq == e->seq) {
        s->own[at] = s->own[at].slot ? *e : s->own[at];
        return;
    }
    s->own = mt_alloc_grow(s->own, &s->own_capacity, s->count + 1, sizeof *s->own);
    memmove(&s->own[at + 1], &s->own[at], (s->count - at) * sizeof *s->own);
    s->own[at] = *e;
    s->count++;
}

/* An extent with a seq that has been begun. False: it was passed over as missing. */
static bool put_early(struct mt_stream *s, const struct mt_extent *e)
{
    struct mt_extent *current = &s->own[s->next - 1];
    if (e->seq == current->seq && current->slot) {
        s->grown = s->loaded && e->raw_bytes > s->payload.bytes;
        *current = *e;
        return true;
    }
    return e->slot;
}

bool mt_stream_feed(struct mt_stream *s, const struct mt_extent *found, size_t count)
{
    bool in_time = true;
    keep_blocks(s);
    for (size_t i = 0; i < count; i++) {
        const struct mt_extent *e = &found[i];
        if (e->type != MT_BLOCK_EVENTS || e->stored_bytes == 0) {
            continue; /* an empty slot does not know its first clock yet */
        }
        if (s->next > 0 && e->seq <= s->own[s->next - 1].seq) {
            in_time = put_early(s, e) && in_time;
        } else {
            put(s, e);
        }
    }
    s->extents = s->own;
    s->held = false;
    if (!s->loaded && s->next < s->count) {
        s->due = s->own[s->next].clock_first > s->due ? s->own[s->next].clock_first : s->due;
    }
    return in_time;
}

bool mt_stream_has_more(const struct mt_stream *s)
{
    return !s->held && (s->grown || s->next < s->count || (s->loaded && s->decoder.state == MT_DECODE_MORE));
}
