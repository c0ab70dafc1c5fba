/* events.c: queries over the history, and cursors that follow it.
 *
 * Decides: what "the last N events" are: of all that is kept at the moment of the query (a little more than N), the newest N,
 * and nothing as old as an event that was given back: while others report, shards are not cut at the same place.
 * A cursor remembers for every shard which event comes next, by number, so that none is delivered twice and a gap is seen;
 * it takes only events stamped before the moment at which it looks, and so in order for good.
 */
#include "tracker/timeline.h"

#include <string.h>

void mt_events_release(struct mt_tracker_events *events)
{
    mt_os_unmap(events->items, events->mapped_bytes);
    *events = (struct mt_tracker_events){ 0 };
}

/* The part of time in which events can have a step of the range; steps may go back and forth. */
static mt_status window_of_steps(struct mt_tracker *tracker, const struct mt_tracker_query *query, uint64_t *ret_from_ns,
                                 uint64_t *ret_to_ns)
{
    uint64_t from = UINT64_MAX;
    uint64_t to = 0;
    for (size_t i = 0; i < MT_SHARDS_ALL; i++) {
        struct mt_shard *shard = &tracker->shards[i];
        if (!mt_shard_lock(tracker, shard)) {
            return MT_E_BUSY;
        }
        for (uint32_t k = 0; k < shard->history.order_count; k++) {
            const struct mt_chunk *chunk = mt_history_chunk(&shard->history, &tracker->pool, k);
            if (chunk->step_high >= query->from_step && chunk->step_low <= query->to_step) {
                from = chunk->first_ns < from ? chunk->first_ns : from;
                to = chunk->last_ns > to ? chunk->last_ns : to;
            }
        }
        mt_shard_unlock(shard);
    }
    *ret_from_ns = query->from_ns > from ? query->from_ns : from;
    *ret_to_ns = query->to_ns < to ? query->to_ns : to;
    return MT_OK;
}

static bool matches(const struct mt_tracker_query *query, const struct mt_tracker_event *event)
{
    return event->time_ns >= query->from_ns && event->time_ns <= query->to_ns && event->step >= query->from_step &&
           event->step <= query->to_step && (query->types == 0 || (query->types >> event->type & 1u) != 0);
}

/* Events beyond the newest history_events are not shown. Only a full copy knows how many there are. */
static void hide_surplus(const struct mt_tracker *tracker, struct mt_timeline *timeline)
{
    struct mt_tracker_event event;
    for (uint64_t surplus = timeline->events; surplus > tracker->history_events; surplus--) {
        if (!mt_timeline_next(timeline, &event, NULL)) {
            return;
        }
    }
}

static mt_status fill(struct mt_timeline *timeline, const struct mt_tracker_query *query, struct mt_tracker_events *ret)
{
    void *memory = NULL;
    size_t bytes = (timeline->events + 1) * sizeof(struct mt_tracker_event);
    mt_status status = mt_os_map_anonymous(bytes, &memory);
    if (status != MT_OK) {
        return status;
    }
    struct mt_tracker_events events = { .items = memory, .mapped_bytes = bytes };
    while (mt_timeline_next(timeline, &events.items[events.count], NULL)) {
        events.count += matches(query, &events.items[events.count]);
    }
    *ret = events;
    return MT_OK;
}

static bool all_steps(const struct mt_tracker_query *query)
{
    return query->from_step == INT64_MIN && query->to_step == INT64_MAX;
}

static mt_status open_window(struct mt_tracker *tracker, uint64_t from_ns, uint64_t to_ns, struct mt_timeline *ret)
{
    bool has_surplus = mt_tracker_events_kept(tracker) > tracker->history_events;
    mt_status status = mt_timeline_open(tracker, has_surplus ? 0 : from_ns, NULL, to_ns, ret);
    if (status == MT_OK) {
        if (has_surplus) {
            hide_surplus(tracker, ret);
        }
        mt_timeline_seek(ret, from_ns > ret->gone_ns ? from_ns : ret->gone_ns + 1);
    }
    return status;
}

int mt_events_collect(struct mt_tracker *tracker, const struct mt_tracker_query *query, struct mt_tracker_events *ret)
{
    static const struct mt_tracker_query all = { 0, UINT64_MAX, INT64_MIN, INT64_MAX, 0 };
    struct mt_timeline timeline;
    mt_status status = MT_OK;
    query = query != NULL ? query : &all;
    uint64_t now = mt_os_monotonic_ns();
    uint64_t from = query->from_ns;
    uint64_t to = query->to_ns < now ? query->to_ns : now;
    if (!all_steps(query)) {
        status = window_of_steps(tracker, query, &from, &to);
        to = to < now ? to : now;
    }
    if (status != MT_OK || from > to || query->from_step > query->to_step) {
        *ret = status == MT_OK ? (struct mt_tracker_events){ 0 } : *ret;
        return mt_tracker_code_of(status);
    }
    status = open_window(tracker, from, to, &timeline);
    if (status == MT_OK) {
        status = fill(&timeline, query, ret);
        mt_timeline_close(&timeline);
    }
    return mt_tracker_code_of(status);
}

/* ---- cursors ------------------------------------------------------------------------------------------------------- */

enum { BATCH_KEPT_BYTES = 256 * 1024 };

struct mt_event_cursor {
    struct mt_tracker *tracker;
    uint64_t next[MT_SHARDS_ALL]; /* number of the event that is due, a shard */
    uint64_t lost;
    struct mt_tracker_events batch;
    size_t at; /* in batch */
};

static mt_status begin_at_end(struct mt_event_cursor *cursor)
{
    for (size_t i = 0; i < MT_SHARDS_ALL; i++) {
        struct mt_shard *shard = &cursor->tracker->shards[i];
        if (!mt_shard_lock(cursor->tracker, shard)) {
            return MT_E_BUSY;
        }
        cursor->next[i] = shard->history.events;
        mt_shard_unlock(shard);
    }
    return MT_OK;
}

int mt_event_cursor_open(struct mt_tracker *tracker, bool from_start, struct mt_event_cursor **ret)
{
    void *memory = NULL;
    mt_status status = mt_os_map_anonymous(sizeof(struct mt_event_cursor), &memory);
    if (status != MT_OK) {
        return mt_tracker_code_of(status);
    }
    struct mt_event_cursor *cursor = memory;
    cursor->tracker = tracker;
    status = from_start ? MT_OK : begin_at_end(cursor);
    if (status != MT_OK) {
        mt_event_cursor_close(cursor);
        return mt_tracker_code_of(status);
    }
    *ret = cursor;
    return MT_TRACKER_OK;
}

void mt_event_cursor_close(struct mt_event_cursor *cursor)
{
    if (cursor != NULL) {
        mt_events_release(&cursor->batch);
        mt_os_unmap(cursor, sizeof *cursor);
    }
}

/* Notes a gap before the part's next event; false: it was delivered before, or stands among gaps and is lost too. */
static bool is_due(struct mt_event_cursor *cursor, const struct mt_timeline *timeline, uint32_t part)
{
    uint64_t number = mt_timeline_number(timeline, part);
    if (number < cursor->next[part]) {
        return false;
    }
    bool is_whole = timeline->parts[part].event.time_ns > timeline->gone_ns;
    cursor->lost += number - cursor->next[part] + !is_whole;
    cursor->next[part] = number + 1;
    return is_whole;
}

static void take_batch(struct mt_event_cursor *cursor, struct mt_timeline *timeline)
{
    struct mt_tracker_events *batch = &cursor->batch;
    while (timeline->heap_count > 0) {
        bool due = is_due(cursor, timeline, timeline->heap[0]);
        (void)mt_timeline_next(timeline, &batch->items[batch->count], NULL);
        batch->count += due;
    }
}

/* Room for so many events; a mapping that is large enough and not huge is used again. */
static bool make_batch(struct mt_event_cursor *cursor, uint64_t events)
{
    void *memory = NULL;
    size_t bytes = (events + 1) * sizeof(struct mt_tracker_event);
    cursor->batch.count = 0;
    if (bytes <= cursor->batch.mapped_bytes && cursor->batch.mapped_bytes <= BATCH_KEPT_BYTES) {
        return true;
    }
    mt_events_release(&cursor->batch);
    bytes = bytes < BATCH_KEPT_BYTES ? BATCH_KEPT_BYTES : bytes;
    if (mt_os_map_anonymous(bytes, &memory) != MT_OK) {
        return false;
    }
    cursor->batch = (struct mt_tracker_events){ .items = memory, .mapped_bytes = bytes };
    return true;
}

static void refill(struct mt_event_cursor *cursor)
{
    struct mt_timeline timeline;
    cursor->at = 0;
    cursor->batch.count = 0;
    if (mt_timeline_open(cursor->tracker, 0, cursor->next, mt_os_monotonic_ns() - 1, &timeline) != MT_OK) {
        return;
    }
    if (timeline.heap_count > 0 && make_batch(cursor, timeline.events)) {
        take_batch(cursor, &timeline);
    }
    mt_timeline_close(&timeline);
}

bool mt_event_next(struct mt_event_cursor *cursor, struct mt_tracker_event *ret)
{
    if (cursor->at == cursor->batch.count) {
        refill(cursor);
    }
    if (cursor->at == cursor->batch.count) {
        return false;
    }
    *ret = cursor->batch.items[cursor->at++];
    return true;
}

uint64_t mt_event_cursor_lost(const struct mt_event_cursor *cursor)
{
    return cursor->lost;
}
