/* history.c: see history.h. Writing and giving back; reading is in timeline.c. */
#include "tracker/history.h"

#include "base/varint.h"

#include <string.h>

enum { TAG_SAME_SIZE = 8, TAG_SAME_KIND = 16, TAG_SAME_STEP = 32, TAG_STACK = 64, TAG_UNMATCHED = 128, TAG_TYPE = 7 };
enum { FIRST_ORDER = 1024, FIRST_CHUNKS_LOG2 = 8 };

void mt_chunk_pool_init(struct mt_chunk_pool *pool, uint64_t history_events, uint32_t shards)
{
    *pool = (struct mt_chunk_pool){ .lock = MT_SPINLOCK_INIT(MT_RANK_TRACKER_POOL), .free_head = MT_CHUNK_NONE,
                                    .queue_head = MT_CHUNK_NONE, .queue_tail = MT_CHUNK_NONE };
    mt_segvec_init(&pool->chunks, MT_CHUNK_BYTES, FIRST_CHUNKS_LOG2);
    pool->keep_events = history_events == 0 ? 0 : history_events + (uint64_t)shards * MT_CHUNK_EVENTS_MAX;
}

void mt_chunk_pool_fini(struct mt_chunk_pool *pool)
{
    mt_segvec_fini(&pool->chunks);
}

void mt_history_init(struct mt_history *history, uint16_t shard)
{
    *history = (struct mt_history){ .shard = shard };
}

static size_t order_bytes(const struct mt_history *history)
{
    return history->order == NULL ? 0 : ((size_t)history->order_mask + 1) * sizeof(uint32_t);
}

void mt_history_fini(struct mt_history *history)
{
    mt_os_unmap(history->order, order_bytes(history));
    mt_history_init(history, history->shard);
}

uint64_t mt_history_bytes(const struct mt_history *history)
{
    return order_bytes(history);
}

/* ---- chunks ------------------------------------------------------------------------------------------------------- */

static bool pool_take_locked(struct mt_chunk_pool *pool, uint32_t *ret)
{
    if (pool->free_head == MT_CHUNK_NONE) {
        return mt_segvec_add(&pool->chunks, ret) == MT_OK;
    }
    *ret = pool->free_head;
    pool->free_head = mt_chunk_at(pool, *ret)->next;
    return true;
}

static bool oldest_may_go_locked(const struct mt_chunk_pool *pool)
{
    return pool->queue_head != MT_CHUNK_NONE &&
           pool->closed_events - mt_chunk_at(pool, pool->queue_head)->events >= pool->keep_events;
}

static void pool_queue_locked(struct mt_chunk_pool *pool, uint32_t number)
{
    struct mt_chunk *chunk = mt_chunk_at(pool, number);
    chunk->next = MT_CHUNK_NONE;
    if (pool->queue_tail == MT_CHUNK_NONE) {
        pool->queue_head = number;
    } else {
        mt_chunk_at(pool, pool->queue_tail)->next = number;
    }
    pool->queue_tail = number;
    pool->closed_events += chunk->events;
    mt_store_relaxed(&pool->evict, oldest_may_go_locked(pool));
}

static bool grow_order(struct mt_history *history)
{
    uint32_t slots = history->order == NULL ? FIRST_ORDER : (history->order_mask + 1) * 2;
    void *memory = NULL;
    if (mt_os_map_anonymous(slots * sizeof(uint32_t), &memory) != MT_OK) {
        return false;
    }
    uint32_t *order = memory;
    for (uint32_t i = 0; i < history->order_count; i++) {
        order[i] = history->order[(history->order_head + i) & history->order_mask];
    }
    mt_os_unmap(history->order, order_bytes(history));
    history->order = order;
    history->order_mask = slots - 1;
    history->order_head = 0;
    return true;
}

/* The open chunk, if any, is closed; the new one is open. */
static bool swap_chunks(struct mt_history *history, struct mt_chunk_pool *pool, uint32_t *ret)
{
    if (!mt_spinlock_lock(&pool->lock)) {
        return false;
    }
    bool taken = pool_take_locked(pool, ret);
    if (taken && history->open != NULL) {
        uint32_t newest = history->order_head + history->order_count - 1;
        pool_queue_locked(pool, history->order[newest & history->order_mask]);
    }
    mt_spinlock_unlock(&pool->lock);
    return taken;
}

static MT_COLD bool open_chunk(struct mt_history *history, struct mt_chunk_pool *pool, const struct mt_tracker_event *event)
{
    uint32_t number = 0;
    bool is_full = history->order == NULL || history->order_count > history->order_mask;
    if ((is_full && !grow_order(history)) || !swap_chunks(history, pool, &number)) {
        return false;
    }
    history->order[(history->order_head + history->order_count) & history->order_mask] = number;
    history->order_count++;
    struct mt_event_state *state = &history->state;
    struct mt_chunk *chunk = mt_chunk_at(pool, number);
    *chunk = (struct mt_chunk){ .next = MT_CHUNK_NONE, .first_ns = event->time_ns, .last_ns = event->time_ns,
                                .step_low = event->step, .step_high = event->step, .allocated_before = state->allocated,
                                .freed_before = state->freed, .first_number = history->events, .shard = history->shard };
    *state = (struct mt_event_state){ .time_ns = event->time_ns, .allocated = state->allocated, .freed = state->freed };
    history->open = chunk;
    return true;
}

bool mt_chunk_pool_oldest(struct mt_chunk_pool *pool, uint16_t *ret_shard)
{
    if (!mt_spinlock_lock(&pool->lock)) {
        return false;
    }
    bool may_go = oldest_may_go_locked(pool);
    if (may_go) {
        *ret_shard = mt_chunk_at(pool, pool->queue_head)->shard;
    }
    mt_store_relaxed(&pool->evict, may_go);
    mt_spinlock_unlock(&pool->lock);
    return may_go;
}

void mt_history_evict(struct mt_history *history, struct mt_chunk_pool *pool)
{
    if (!mt_spinlock_lock(&pool->lock)) {
        return;
    }
    uint32_t number = pool->queue_head;
    if (oldest_may_go_locked(pool) && mt_chunk_at(pool, number)->shard == history->shard) {
        struct mt_chunk *chunk = mt_chunk_at(pool, number);
        pool->queue_head = chunk->next;
        pool->queue_tail = chunk->next == MT_CHUNK_NONE ? MT_CHUNK_NONE : pool->queue_tail;
        pool->closed_events -= chunk->events;
        history->gone_ns = chunk->last_ns;
        chunk->next = pool->free_head;
        pool->free_head = number;
        history->order_head = (history->order_head + 1) & history->order_mask;
        history->order_count--;
        mt_store_relaxed(&pool->evict, oldest_may_go_locked(pool));
    }
    mt_spinlock_unlock(&pool->lock);
}

/* ---- events ------------------------------------------------------------------------------------------------------- */

MT_INLINE void add_totals(struct mt_event_state *state, const struct mt_tracker_event *event)
{
    switch ((enum mt_tracker_event_type)event->type) {
    case MT_TRACKER_ALLOCATION:
        state->allocated += event->size_bytes;
        break;
    case MT_TRACKER_DEALLOCATION:
        state->freed += event->unmatched ? 0 : event->size_bytes;
        break;
    case MT_TRACKER_REALLOCATION:
        state->allocated += event->size_bytes > event->old_size_bytes ? event->size_bytes - event->old_size_bytes : 0;
        state->freed += event->old_size_bytes > event->size_bytes ? event->old_size_bytes - event->size_bytes : 0;
        break;
    case MT_TRACKER_SNAPSHOT:
    case MT_TRACKER_GC_START:
    case MT_TRACKER_GC_END:
    case MT_TRACKER_EVENT_TYPES:
        break;
    }
}

static MT_NOINLINE uint8_t *put_rare(uint8_t *at, const struct mt_tracker_event *event)
{
    if (event->type == MT_TRACKER_REALLOCATION) {
        at = mt_varint_put(at, mt_zigzag((int64_t)(event->old_address - event->address)));
        at = mt_varint_put(at, event->old_size_bytes);
    } else if (event->type == MT_TRACKER_GC_START || event->type == MT_TRACKER_GC_END) {
        *at++ = (uint8_t)event->generation;
        at = event->type == MT_TRACKER_GC_END ? mt_varint_put(at, event->duration_ns) : at;
    }
    return at;
}

static uint8_t *put_event(uint8_t *at, const struct mt_event_state *state, const struct mt_tracker_event *event)
{
    unsigned tag = event->type;
    uint8_t *tag_at = at++;
    at = mt_varint_put(at, event->time_ns - state->time_ns);
    at = mt_varint_put(at, mt_zigzag((int64_t)(event->address - state->address)));
    if (event->size_bytes == state->size) {
        tag |= TAG_SAME_SIZE;
    } else {
        at = mt_varint_put(at, event->size_bytes);
    }
    if (event->kind == state->kind) {
        tag |= TAG_SAME_KIND;
    } else {
        at = mt_varint_put(at, event->kind);
    }
    if (event->step == state->step) {
        tag |= TAG_SAME_STEP;
    } else {
        at = mt_varint_put(at, mt_zigzag((int64_t)((uint64_t)event->step - (uint64_t)state->step)));
    }
    if (event->stack != 0) {
        tag |= TAG_STACK;
        at = mt_varint_put(at, event->stack);
    }
    if (MT_UNLIKELY(event->type > MT_TRACKER_DEALLOCATION)) {
        at = put_rare(at, event);
    }
    *tag_at = (uint8_t)(tag | (event->unmatched ? TAG_UNMATCHED : 0u));
    return at;
}

MT_INLINE void advance(struct mt_event_state *state, const struct mt_tracker_event *event)
{
    state->time_ns = event->time_ns;
    state->address = event->address;
    state->size = event->size_bytes;
    state->step = event->step;
    state->kind = event->kind;
    add_totals(state, event);
}

static bool needs_chunk(const struct mt_history *history)
{
    return history->open == NULL ||
           MT_CHUNK_HEADER_BYTES + history->open->bytes + MT_CHUNK_EVENT_MAX > MT_CHUNK_BYTES;
}

void mt_history_append(struct mt_history *history, struct mt_chunk_pool *pool, const struct mt_tracker_event *event)
{
    bool is_kept = pool->keep_events != 0;
    if (is_kept && MT_UNLIKELY(needs_chunk(history))) {
        is_kept = open_chunk(history, pool, event);
    }
    if (is_kept) {
        struct mt_chunk *chunk = history->open;
        uint8_t *end = put_event(chunk->data + chunk->bytes, &history->state, event);
        chunk->bytes = (uint16_t)(end - chunk->data);
        chunk->events++;
        chunk->last_ns = event->time_ns;
        chunk->step_low = event->step < chunk->step_low ? event->step : chunk->step_low;
        chunk->step_high = event->step > chunk->step_high ? event->step : chunk->step_high;
        advance(&history->state, event);
    } else {
        add_totals(&history->state, event);
    }
    history->events++;
}

void mt_chunk_begin(struct mt_chunk_reader *reader, const struct mt_chunk *chunk)
{
    reader->at = chunk->data;
    reader->left = chunk->events;
    reader->state = (struct mt_event_state){ .time_ns = chunk->first_ns, .allocated = chunk->allocated_before,
                                             .freed = chunk->freed_before };
}

static uint64_t get(struct mt_chunk_reader *reader)
{
    uint64_t value = 0;
    (void)mt_varint_get(&reader->at, reader->at + MT_VARINT_MAX, &value); /* our own bytes, in our own memory */
    return value;
}

static void get_rare(struct mt_chunk_reader *reader, struct mt_tracker_event *ret)
{
    if (ret->type == MT_TRACKER_REALLOCATION) {
        ret->old_address = ret->address + (uint64_t)mt_unzigzag(get(reader));
        ret->old_size_bytes = get(reader);
    } else if (ret->type == MT_TRACKER_GC_START || ret->type == MT_TRACKER_GC_END) {
        ret->generation = (int8_t)*reader->at++;
        ret->duration_ns = ret->type == MT_TRACKER_GC_END ? get(reader) : 0;
    }
}

void mt_chunk_read(struct mt_chunk_reader *reader, struct mt_tracker_event *ret)
{
    struct mt_event_state *state = &reader->state;
    unsigned tag = *reader->at++;
    *ret = (struct mt_tracker_event){ .type = (uint8_t)(tag & TAG_TYPE), .generation = -1,
                                      .unmatched = (tag & TAG_UNMATCHED) != 0 };
    ret->time_ns = state->time_ns + get(reader);
    ret->address = state->address + (uint64_t)mt_unzigzag(get(reader));
    ret->size_bytes = (tag & TAG_SAME_SIZE) != 0 ? state->size : get(reader);
    ret->kind = (tag & TAG_SAME_KIND) != 0 ? state->kind : (uint32_t)get(reader);
    ret->step = state->step;
    if ((tag & TAG_SAME_STEP) == 0) {
        ret->step = (int64_t)((uint64_t)state->step + (uint64_t)mt_unzigzag(get(reader)));
    }
    ret->stack = (tag & TAG_STACK) != 0 ? (uint32_t)get(reader) : 0;
    get_rare(reader, ret);
    advance(state, ret);
    ret->total_allocated_bytes = state->allocated;
    ret->total_freed_bytes = state->freed;
    reader->left--;
}
