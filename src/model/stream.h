/* stream.h: the records of one stream, block after block. Private to model/.
 *
 * Decides: when a payload is loaded (when its first clock is due) and what becomes of a bad one (skipped and counted).
 * A second payload is only held while a realloc's outcome is searched in the next block; it becomes the current one
 * when the stream gets there.
 * A stream that follows is fed what is found of it while the trace is written: its list of extents is its own, the slot at its
 * end is waited at rather than finished, and goes on where it was left when the slot, or the block that became of it, has more.
 * Context: [tool].
 */
#ifndef MT_MODEL_STREAM_H
#define MT_MODEL_STREAM_H

#include "model/cursor.h"
#include "wire/decode_file.h"

struct mt_stream {
    uint64_t due;         /* clock of the next record, or a lower bound while not loaded: the merge key */
    uint32_t id;
    bool loaded;          /* payload of extents[next - 1] is being decoded */
    bool ahead_valid;     /* ahead holds extents[next] */
    bool follows;
    bool grown;           /* extents[next - 1] has more than payload */
    bool held;            /* at a REALLOC_OLD whose outcome is not written yet */
    const struct mt_extent *extents;
    size_t count, next;
    struct mt_extent *own; /* follows: the extents */
    size_t own_capacity;
    struct mt_event_decoder decoder;
    struct mt_payload payload;
    struct mt_payload ahead;
};

/* What a REALLOC_OLD led to. */
enum mt_realloc_outcome {
    MT_REALLOC_DONE,    /* the block has another size, which a REALLOC_NEW says */
    MT_REALLOC_THINNED, /* it has a smaller one, and is a sample no more */
    MT_REALLOC_ENDED,   /* the block ended; what there is instead is another one */
    MT_REALLOC_FAILED,
    MT_REALLOC_UNKNOWN,
    MT_REALLOC_PENDING, /* a stream that follows may still say */
};

/* True for the records that end a realloc; *ret_outcome is set then. */
MT_INLINE bool mt_realloc_ends(unsigned kind, enum mt_realloc_outcome *ret_outcome)
{
    switch (kind) {
    case MT_EVENT_REALLOC_NEW:
        *ret_outcome = MT_REALLOC_DONE;
        return true;
    case MT_EVENT_REALLOC_THINNED:
        *ret_outcome = MT_REALLOC_THINNED;
        return true;
    case MT_EVENT_REALLOC_GONE:
        *ret_outcome = MT_REALLOC_ENDED;
        return true;
    default:
        *ret_outcome = MT_REALLOC_FAILED;
        return kind == MT_EVENT_REALLOC_FAILED;
    }
}

/* Makes `due` exact: loads blocks until there is a record. False at the end of the stream (payloads released), or of what there is.
 * *ret_status: MT_E_NOMEM or MT_E_IO end everything. */
bool mt_stream_advance(struct mt_stream *s, const struct mt_reader *reader, struct mt_cursor_losses *losses,
                       uint64_t *done_bytes, mt_status *ret_status);
/* A raw kind that says what became of the REALLOC_OLD before it. */
static inline bool mt_stream_closes_realloc(unsigned kind)
{
    enum mt_realloc_outcome ignored;
    return mt_realloc_ends(kind, &ignored);
}

/* The outcome of a REALLOC_OLD, searched from the decoder's place on; nothing is consumed. */
enum mt_realloc_outcome mt_stream_outcome(struct mt_stream *s, const struct mt_reader *reader, unsigned depth);
void mt_stream_fini(struct mt_stream *s);

/* Follows: takes in extents found since, by seq. False: one of them belongs before what has been read. */
bool mt_stream_feed(struct mt_stream *s, const struct mt_extent *found, size_t count);
/* Follows: is there anything to decode? */
bool mt_stream_has_more(const struct mt_stream *s);

#endif
