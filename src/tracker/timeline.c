/* timeline.c: see timeline.h. The merge is a binary heap over at most 65 shards. */
#include "tracker/timeline.h"

#include <string.h>

/* ---- copying ------------------------------------------------------------------------------------------------------ */

static const struct mt_chunk *copy_at(const struct mt_timeline *timeline, const struct mt_timeline_part *part, uint32_t i)
{
    return (const struct mt_chunk *)(const void *)(timeline->copies + (size_t)(part->first + i) * MT_CHUNK_BYTES);
}

/* First chunk that ends at or after from_ns and holds an event numbered from_number or later: by bisection, for both grow
 * from chunk to chunk. */
static uint32_t first_chunk_locked(const struct mt_tracker *tracker, const struct mt_history *history, uint64_t from_ns,
                                   uint64_t from_number)
{
    uint32_t low = from_number < history->events ? 0 : history->order_count;
    uint32_t high = history->order_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct mt_chunk *chunk = mt_history_chunk(history, &tracker->pool, middle);
        if (chunk->last_ns < from_ns || chunk->first_number + chunk->events <= from_number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Notes for each part how many chunks it has. */
static mt_status count_chunks(struct mt_timeline *timeline, struct mt_tracker *tracker, uint64_t from_ns,
                              const uint64_t *from_number, uint32_t *ret)
{
    *ret = 0;
    for (uint32_t i = 0; i < MT_SHARDS_ALL; i++) {
        struct mt_shard *shard = &tracker->shards[i];
        if (!mt_shard_lock(tracker, shard)) {
            return MT_E_BUSY;
        }
        uint32_t first = first_chunk_locked(tracker, &shard->history, from_ns, from_number == NULL ? 0 : from_number[i]);
        timeline->parts[i].chunks = shard->history.order_count - first;
        *ret += timeline->parts[i].chunks;
        mt_shard_unlock(shard);
    }
    return MT_OK;
}

/* Copies as many chunks as were counted: what was appended since, to chunks that had nothing due too, came after to_ns and
 * must not take the room of another shard. */
static uint32_t copy_shard_locked(struct mt_timeline *timeline, const struct mt_tracker *tracker,
                                  const struct mt_history *history, uint32_t first, uint32_t to, uint32_t counted)
{
    uint32_t copied = 0;
    for (uint32_t i = first; i < history->order_count && copied < counted; i++, copied++) {
        const struct mt_chunk *chunk = mt_history_chunk(history, &tracker->pool, i);
        if (chunk->first_ns > timeline->to_ns) {
            break;
        }
        size_t skipped = offsetof(struct mt_chunk, first_ns); /* the pool's word */
        memcpy(timeline->copies + (size_t)(to + copied) * MT_CHUNK_BYTES + skipped, &chunk->first_ns,
               MT_CHUNK_HEADER_BYTES + chunk->bytes - skipped);
        timeline->events += chunk->events;
    }
    return copied;
}

/* Of a part without copies: what came before the first chunk left out, or everything. */
static void set_totals_locked(struct mt_timeline_part *part, const struct mt_tracker *tracker,
                              const struct mt_history *history, uint32_t first)
{
    bool is_end = first >= history->order_count;
    const struct mt_chunk *chunk = is_end ? NULL : mt_history_chunk(history, &tracker->pool, first);
    part->allocated = is_end ? history->state.allocated : chunk->allocated_before;
    part->freed = is_end ? history->state.freed : chunk->freed_before;
}

static mt_status copy_chunks(struct mt_timeline *timeline, struct mt_tracker *tracker, uint64_t from_ns,
                             const uint64_t *from_number)
{
    uint32_t copied = 0;
    for (uint32_t i = 0; i < MT_SHARDS_ALL; i++) {
        struct mt_shard *shard = &tracker->shards[i];
        struct mt_timeline_part *part = &timeline->parts[i];
        if (!mt_shard_lock(tracker, shard)) {
            return MT_E_BUSY;
        }
        const struct mt_history *history = &shard->history;
        uint32_t first = first_chunk_locked(tracker, history, from_ns, from_number == NULL ? 0 : from_number[i]);
        part->first = copied;
        part->chunks = copy_shard_locked(timeline, tracker, history, first, copied, part->chunks);
        set_totals_locked(part, tracker, history, first);
        timeline->gone_ns = history->gone_ns > timeline->gone_ns ? history->gone_ns : timeline->gone_ns;
        mt_shard_unlock(shard);
        copied += part->chunks;
    }
    return MT_OK;
}

/* ---- merging ------------------------------------------------------------------------------------------------------ */

static bool is_before(const struct mt_timeline *timeline, uint32_t a, uint32_t b)
{
    uint64_t a_ns = timeline->parts[a].event.time_ns;
    uint64_t b_ns = timeline->parts[b].event.time_ns;
    return a_ns != b_ns ? a_ns < b_ns : a < b;
}

static void sift_down(struct mt_timeline *timeline, uint32_t at)
{
    for (;;) {
        uint32_t child = at * 2 + 1;
        if (child >= timeline->heap_count) {
            return;
        }
        child += child + 1 < timeline->heap_count && is_before(timeline, timeline->heap[child + 1], timeline->heap[child]);
        if (!is_before(timeline, timeline->heap[child], timeline->heap[at])) {
            return;
        }
        uint32_t swapped = timeline->heap[at];
        timeline->heap[at] = timeline->heap[child];
        timeline->heap[child] = swapped;
        at = child;
    }
}

static void build_heap(struct mt_timeline *timeline)
{
    timeline->heap_count = 0;
    for (uint32_t i = 0; i < MT_SHARDS_ALL; i++) {
        if (timeline->parts[i].has_event) {
            timeline->heap[timeline->heap_count++] = i;
        }
    }
    for (uint32_t at = timeline->heap_count / 2; at-- > 0;) {
        sift_down(timeline, at);
    }
}

/* Reads the part's next event. */
static void advance(struct mt_timeline *timeline, struct mt_timeline_part *part)
{
    while (part->reader.left == 0 && part->at + 1 < part->chunks) {
        part->at++;
        mt_chunk_begin(&part->reader, copy_at(timeline, part, part->at));
    }
    part->has_event = part->reader.left > 0;
    part->allocated = part->reader.state.allocated;
    part->freed = part->reader.state.freed;
    if (part->has_event) {
        mt_chunk_read(&part->reader, &part->event);
        part->has_event = part->event.time_ns <= timeline->to_ns;
    }
}

static void begin_chunk(struct mt_timeline *timeline, struct mt_timeline_part *part, uint32_t at)
{
    part->at = at;
    mt_chunk_begin(&part->reader, copy_at(timeline, part, at));
    advance(timeline, part);
}

static void sum_totals(struct mt_timeline *timeline)
{
    timeline->allocated = 0;
    timeline->freed = 0;
    for (uint32_t i = 0; i < MT_SHARDS_ALL; i++) {
        timeline->allocated += timeline->parts[i].allocated;
        timeline->freed += timeline->parts[i].freed;
    }
}

static mt_status make_copies(struct mt_timeline *timeline, uint32_t chunks)
{
    void *copies = timeline->small;
    size_t bytes = (size_t)chunks * MT_CHUNK_BYTES;
    if (bytes > sizeof timeline->small) {
        mt_status status = mt_os_map_anonymous(bytes, &copies);
        if (status != MT_OK) {
            return status;
        }
    }
    timeline->copies = copies;
    timeline->copies_bytes = bytes;
    return MT_OK;
}

mt_status mt_timeline_open(struct mt_tracker *tracker, uint64_t from_ns, const uint64_t *from_number, uint64_t to_ns,
                           struct mt_timeline *ret)
{
    uint32_t chunks = 0;
    memset(ret, 0, offsetof(struct mt_timeline, small));
    ret->to_ns = to_ns;
    mt_status status = count_chunks(ret, tracker, from_ns, from_number, &chunks);
    if (status != MT_OK) {
        return status;
    }
    status = make_copies(ret, chunks);
    if (status != MT_OK) {
        return status;
    }
    status = copy_chunks(ret, tracker, from_ns, from_number);
    if (status != MT_OK) {
        mt_timeline_close(ret);
        return status;
    }
    for (uint32_t i = 0; i < MT_SHARDS_ALL; i++) {
        if (ret->parts[i].chunks > 0) {
            begin_chunk(ret, &ret->parts[i], 0);
        }
    }
    build_heap(ret);
    sum_totals(ret);
    return MT_OK;
}

void mt_timeline_close(struct mt_timeline *timeline)
{
    if (timeline->copies != timeline->small) {
        mt_os_unmap(timeline->copies, timeline->copies_bytes);
    }
    timeline->copies = NULL;
}

static void seek_part(struct mt_timeline *timeline, struct mt_timeline_part *part, uint64_t from_ns)
{
    uint32_t at = part->at;
    while (at + 1 < part->chunks && copy_at(timeline, part, at)->last_ns < from_ns) {
        at++;
    }
    if (at != part->at) {
        begin_chunk(timeline, part, at);
    }
    while (part->has_event && part->event.time_ns < from_ns) {
        advance(timeline, part);
    }
}

void mt_timeline_seek(struct mt_timeline *timeline, uint64_t from_ns)
{
    for (uint32_t i = 0; i < MT_SHARDS_ALL; i++) {
        if (timeline->parts[i].has_event) {
            seek_part(timeline, &timeline->parts[i], from_ns);
        }
    }
    build_heap(timeline);
    sum_totals(timeline);
}

uint64_t mt_timeline_number(const struct mt_timeline *timeline, uint32_t part_idx)
{
    const struct mt_timeline_part *part = &timeline->parts[part_idx];
    const struct mt_chunk *chunk = copy_at(timeline, part, part->at);
    return chunk->first_number + chunk->events - part->reader.left - 1;
}

bool mt_timeline_next(struct mt_timeline *timeline, struct mt_tracker_event *ret, uint32_t *ret_part)
{
    if (timeline->heap_count == 0) {
        return false;
    }
    uint32_t which = timeline->heap[0];
    struct mt_timeline_part *part = &timeline->parts[which];
    *ret = part->event;
    timeline->allocated += part->event.total_allocated_bytes - part->allocated;
    timeline->freed += part->event.total_freed_bytes - part->freed;
    ret->total_allocated_bytes = timeline->allocated;
    ret->total_freed_bytes = timeline->freed;
    if (ret_part != NULL) {
        *ret_part = which;
    }
    advance(timeline, part);
    if (!part->has_event) {
        timeline->heap[0] = timeline->heap[--timeline->heap_count];
    }
    sift_down(timeline, 0);
    return true;
}
