/* cursor.c: merges streams by (clock, stream) with a binary heap.
 *
 * The heap holds every stream that still has something, keyed by its next clock (a lower bound, its block's
 * clock_first, until the block is loaded). The top stream runs until the next smallest key: with one thread active that
 * is a whole batch, with many it is often one record, and then a step costs one sift. Specials (realloc halves, RATE,
 * DROPPED) are resolved in place after a run, only when the decoder saw one. Context: [tool].
 */
#include "model/cursor.h"

#include "model/stream.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

struct mt_cursor {
    const struct mt_reader *reader;
    uint64_t stop_clock;
    bool follows;
    struct mt_stream *streams; /* follows: by id */
    size_t stream_count, stream_capacity;
    struct mt_stream **heap;
    size_t heap_count, heap_capacity;
    struct mt_cursor_losses losses;
    uint64_t done_bytes;
    mt_status status;
};

static const uint32_t SPECIAL_KINDS = 1u << MT_EVENT_REALLOC_OLD | 1u << MT_EVENT_REALLOC_NEW |
                                      1u << MT_EVENT_REALLOC_FAILED | 1u << MT_EVENT_REALLOC_GONE |
                                      1u << MT_EVENT_REALLOC_THINNED |
                                      1u << MT_EVENT_DROPPED | 1u << MT_EVENT_RATE | 1u << MT_EVENT_LABEL;

static bool before(const struct mt_stream *a, const struct mt_stream *b)
{
    return a->due < b->due || (a->due == b->due && a->id < b->id);
}

static void sift_down(struct mt_cursor *c, size_t at)
{
    struct mt_stream *moving = c->heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= c->heap_count) {
            break;
        }
        if (child + 1 < c->heap_count && before(c->heap[child + 1], c->heap[child])) {
            child++;
        }
        if (!before(c->heap[child], moving)) {
            break;
        }
        c->heap[at] = c->heap[child];
        at = child;
    }
    c->heap[at] = moving;
}

/* Streams 1 … of the trace; extents are sorted by (stream, seq). */
static void find_streams(struct mt_cursor *c)
{
    size_t count;
    const struct mt_extent *extents = mt_reader_extents(c->reader, &count);
    size_t capacity = 0, used = 0;
    for (size_t i = 0; i < count; i++) {
        const struct mt_extent *e = &extents[i];
        if (e->type != MT_BLOCK_EVENTS) {
            continue;
        }
        /* only events can stand between two event blocks of one stream, unless a trace is hostile */
        bool more = used > 0 && c->streams[used - 1].id == e->stream &&
                    e == c->streams[used - 1].extents + c->streams[used - 1].count;
        if (more) {
            c->streams[used - 1].count++;
            continue;
        }
        c->streams = mt_alloc_grow(c->streams, &capacity, used + 1, sizeof *c->streams);
        c->streams[used++] = (struct mt_stream){ .id = e->stream, .due = e->clock_first, .extents = e, .count = 1 };
    }
    c->stream_count = used;
}

/* Puts all streams that have something into the heap. */
static void fill_heap(struct mt_cursor *c)
{
    c->heap = mt_alloc_grow(c->heap, &c->heap_capacity, c->stream_count, sizeof(struct mt_stream *));
    c->heap_count = 0;
    for (size_t i = 0; i < c->stream_count; i++) {
        if (!c->follows || mt_stream_has_more(&c->streams[i])) {
            c->heap[c->heap_count++] = &c->streams[i];
        }
    }
    for (size_t i = c->heap_count / 2; i-- > 0;) {
        sift_down(c, i);
    }
}

static void undo_cursor(void *cursor, size_t bytes)
{
    (void)bytes;
    mt_cursor_free(cursor);
}

/* Payloads are the wire layer's. */
static struct mt_cursor *new_cursor(void)
{
    struct mt_cursor *c = mt_alloc_zero(1, sizeof *c);
    mt_memory_hold(c, sizeof *c, undo_cursor);
    return c;
}

mt_status mt_cursor_new(const struct mt_trace *trace, uint64_t stop_clock, struct mt_cursor **ret)
{
    struct mt_cursor *c = new_cursor();
    c->reader = mt_trace_reader(trace);
    c->stop_clock = stop_clock;
    find_streams(c);
    fill_heap(c);
    *ret = c;
    return MT_OK;
}

struct mt_cursor *mt_cursor_follow(const struct mt_trace *trace)
{
    struct mt_cursor *c = new_cursor();
    c->reader = mt_trace_reader(trace);
    c->follows = true;
    return c;
}

/* The stream of an id, made if there is none. */
static struct mt_stream *stream_of(struct mt_cursor *c, uint32_t id)
{
    size_t low = 0, high = c->stream_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c->streams[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == c->stream_count || c->streams[low].id != id) {
        c->streams = mt_alloc_grow(c->streams, &c->stream_capacity, c->stream_count + 1, sizeof *c->streams);
        memmove(&c->streams[low + 1], &c->streams[low], (c->stream_count - low) * sizeof *c->streams);
        c->streams[low] = (struct mt_stream){ .id = id, .follows = true };
        c->stream_count++;
    }
    return &c->streams[low];
}

bool mt_cursor_feed(struct mt_cursor *c)
{
    size_t count, end;
    const struct mt_extent *extents = mt_reader_extents(c->reader, &count);
    bool in_time = true;
    for (size_t i = 0; i < count; i = end) {
        for (end = i + 1; end < count && extents[end].stream == extents[i].stream; end++) {}
        if (extents[i].stream != MT_STREAM_META && extents[i].stream != MT_STREAM_NONE) {
            in_time = mt_stream_feed(stream_of(c, extents[i].stream), &extents[i], end - i) && in_time;
        }
    }
    return in_time;
}

void mt_cursor_resume(struct mt_cursor *c, uint64_t stop_clock)
{
    c->stop_clock = stop_clock;
    fill_heap(c);
}

void mt_cursor_free(struct mt_cursor *c)
{
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < c->stream_count; i++) {
        mt_stream_fini(&c->streams[i]);
        free(c->streams[i].own);
    }
    free(c->heap);
    free(c->streams);
    free(c);
}

/* Makes the top of the heap a stream whose next record is known. False when there is nothing left. */
static bool settle_top(struct mt_cursor *c)
{
    while (c->heap_count > 0 && c->status == MT_OK) {
        struct mt_stream *top = c->heap[0];
        if (top->due > c->stop_clock) {
            return false;
        }
        uint64_t due = top->due;
        if (top->held) {
            c->heap[0] = c->heap[--c->heap_count];
        } else if (!mt_stream_advance(top, c->reader, &c->losses, &c->done_bytes, &c->status)) {
            if (c->status == MT_OK) {
                c->heap[0] = c->heap[--c->heap_count];
            }
        } else if (top->loaded && top->due == due) {
            return true;
        }
        if (c->heap_count > 0) {
            sift_down(c, 0);
        }
    }
    return false;
}

/* The last clock the top stream may run to before another one is due. */
static uint64_t run_limit(const struct mt_cursor *c)
{
    const struct mt_stream *top = c->heap[0];
    const struct mt_stream *second = NULL;
    for (size_t i = 1; i < c->heap_count && i <= 2; i++) {
        second = second == NULL || before(c->heap[i], second) ? c->heap[i] : second;
    }
    uint64_t limit = c->stop_clock;
    if (second != NULL && second->due <= limit) {
        limit = second->id > top->id ? second->due : second->due - 1;
    }
    return limit < top->due ? top->due : limit;
}

static enum mt_realloc_outcome outcome_of(struct mt_cursor *c, struct mt_stream *s, const struct mt_event *run,
                                          size_t count)
{
    unsigned depth = 1;
    enum mt_realloc_outcome outcome;
    for (size_t i = 0; i < count; i++) {
        depth += run[i].kind == MT_EVENT_REALLOC_OLD;
        if (mt_realloc_ends(run[i].kind, &outcome) && --depth == 0) {
            return outcome;
        }
    }
    return mt_stream_outcome(s, c->reader, depth);
}

/* What a special record is for the consumer; false: nothing. The stream is then held at a realloc that has no outcome yet. */
static bool resolve_one(struct mt_cursor *c, struct mt_stream *s, struct mt_event *event, size_t later)
{
    if (event->kind == MT_EVENT_REALLOC_NEW) {
        event->kind = MT_EVENT_ALLOC;
        event->flags = MT_EVENT_OF_REALLOC;
        return true;
    }
    if (event->kind == MT_EVENT_REALLOC_OLD) {
        enum mt_realloc_outcome outcome = outcome_of(c, s, event + 1, later);
        c->losses.unfinished_reallocs += outcome == MT_REALLOC_UNKNOWN;
        s->held = outcome == MT_REALLOC_PENDING;
        event->kind = MT_EVENT_FREE;
        event->flags = (uint8_t)(MT_EVENT_OF_REALLOC | (outcome == MT_REALLOC_DONE ? MT_EVENT_GOES_ON : 0) |
                                 (outcome == MT_REALLOC_THINNED ? MT_EVENT_THINNED : 0));
        return outcome < MT_REALLOC_FAILED;
    }
    c->losses.dropped_events += event->kind == MT_EVENT_DROPPED ? event->size : 0;
    return false;
}

/* Replaces special records by what they mean, in place; returns how many events remain. *ret_done: of how many records: up to
 * the one that the stream is held at. */
static size_t resolve(struct mt_cursor *c, struct mt_stream *s, struct mt_event *run, size_t count, size_t *ret_done)
{
    size_t kept = 0;
    *ret_done = count;
    for (size_t i = 0; i < count; i++) {
        bool special = (1u << run[i].kind & SPECIAL_KINDS) != 0;
        if (special && !resolve_one(c, s, &run[i], count - i - 1)) {
            if (s->held) {
                *ret_done = i;
                break;
            }
            continue;
        }
        if (kept != i) {
            run[kept] = run[i];
        }
        kept++;
    }
    return kept;
}

/* run_top where streams follow: one that is held is put back to there. */
static size_t run_following(struct mt_cursor *c, struct mt_event *out, size_t capacity)
{
    struct mt_stream *top = c->heap[0];
    top->decoder.seen = 0;
    struct mt_event_decoder before = top->decoder;
    size_t count = mt_decode_events(&top->decoder, run_limit(c), out, capacity), done;
    if ((top->decoder.seen & SPECIAL_KINDS) == 0) {
        return count;
    }
    size_t kept = resolve(c, top, out, count, &done);
    if (top->held) {
        struct mt_event skipped;
        top->decoder = before;
        for (size_t i = 0; i < done; i++) {
            (void)mt_decode_events(&top->decoder, UINT64_MAX, &skipped, 1);
        }
    }
    return kept;
}

/* Lets the top of the heap run until another stream is due; returns how many events that gave. */
static size_t run_top(struct mt_cursor *c, struct mt_event *out, size_t capacity)
{
    struct mt_stream *top = c->heap[0];
    size_t done;
    if (c->follows) {
        return run_following(c, out, capacity);
    }
    top->decoder.seen = 0;
    size_t count = mt_decode_events(&top->decoder, run_limit(c), out, capacity);
    if (top->decoder.seen & SPECIAL_KINDS) {
        count = resolve(c, top, out, count, &done);
    }
    return count;
}

size_t mt_cursor_next(struct mt_cursor *c, struct mt_event *out, size_t capacity)
{
    size_t count = 0;
    while (count < capacity && settle_top(c)) {
        count += run_top(c, out + count, capacity - count);
    }
    return count;
}

bool mt_cursor_has_more(const struct mt_cursor *cursor)
{
    return cursor->heap_count > 0;
}

mt_status mt_cursor_status(const struct mt_cursor *cursor)
{
    return cursor->status;
}

const struct mt_cursor_losses *mt_cursor_losses(const struct mt_cursor *cursor)
{
    return &cursor->losses;
}

uint64_t mt_cursor_done_bytes(const struct mt_cursor *cursor)
{
    return cursor->done_bytes;
}
