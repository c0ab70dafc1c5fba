/* history.h: the last events of a tracker, a few bytes each.
 *
 *   shard 0:  chunk -> chunk -> chunk (open)          a chunk is 1 KiB: header, then about 120 events
 *   shard 1:  chunk -> chunk (open)                   closed chunks also queue in the pool, by the time they closed
 *
 * Decides: every shard of the tracker writes its own chunks under its own lock, so recording shares nothing but, once a
 * chunk, the pool. An event is a tag byte and varint differences to the one before (docs below); a chunk starts from zero
 * and carries the totals before it, so any chunk can be read alone, and time, step and number can be bisected.
 * Which events are the last N is decided when they are read: a chunk is given back only when at least N events are known to
 * be newer than its newest (the events of closed chunks behind it, less what one open chunk a shard can hold that is older).
 * Invariant: within a shard events are in order of time; an event that was stamped before a reader read the clock is in its
 * chunk before the reader gets that shard's lock. So all events up to that clock, merged by (time, shard), are the history.
 *
 *   event:  tag, varint time difference, svarint address difference [, varint size] [, varint kind] [, svarint step
 *           difference] [, varint stack], then by type: REALLOCATION svarint old address - address, varint old size;
 *           GC_START u8 generation; GC_END u8 generation, varint duration
 *   tag:    bits 0-2 type; 3 size, 4 kind, 5 step as before; 6 has a stack; 7 unmatched
 *
 * Rejected: one ring of fixed 64-byte events (a global index, 64 MB for a million); a ring a thread (lives as long as the
 * longest thread, and merging needs every thread's consent).
 * Context: mt_history_append under the shard's lock; mt_history_evict without any lock; readers as said.
 */
#ifndef MT_TRACKER_HISTORY_H
#define MT_TRACKER_HISTORY_H

#include "base/lock.h"
#include "memtap/tracker.h"
#include "tracker/segvec.h"

#include <stdbool.h>

enum {
    MT_CHUNK_BYTES = 1024,
    MT_CHUNK_EVENT_MAX = 84, /* tag, eight varints, one byte */
    MT_CHUNK_EVENT_MIN = 3,
};
#define MT_CHUNK_NONE 0xFFFFFFFFu

struct mt_chunk {
    uint32_t next; /* free list or queue of closed chunks; under the pool's lock. The rest: under the shard's */
    uint32_t unused;
    uint64_t first_ns, last_ns;
    int64_t step_low, step_high;
    uint64_t allocated_before, freed_before; /* the shard's totals before the first event */
    uint64_t first_number;                   /* of the shard's events, 0 … */
    uint16_t events, bytes;
    uint16_t shard;
    uint8_t data[];
};
#define MT_CHUNK_HEADER_BYTES offsetof(struct mt_chunk, data)
#define MT_CHUNK_EVENTS_MAX ((MT_CHUNK_BYTES - MT_CHUNK_HEADER_BYTES) / MT_CHUNK_EVENT_MIN)

/* What the difference coding of the next event starts from. */
struct mt_event_state {
    uint64_t time_ns, address, size;
    int64_t step;
    uint32_t kind;
    uint64_t allocated, freed; /* the shard's totals so far; not reset between chunks */
};

/* Chunks of all shards. */
struct mt_chunk_pool {
    struct mt_spinlock lock;
    struct mt_segvec chunks;
    uint32_t free_head;
    uint32_t queue_head, queue_tail; /* closed chunks, oldest first */
    uint64_t closed_events;          /* in the queue */
    uint64_t keep_events;            /* that many behind the oldest, and it may go; 0: no history */
    bool evict;                      /* the oldest may go. Writers: under lock; readers: any, relaxed */
};

/* One shard's part. */
struct mt_history {
    struct mt_event_state state;
    struct mt_chunk *open; /* the newest chunk; NULL none */
    uint32_t *order;       /* ring of chunk numbers, oldest first */
    uint32_t order_mask, order_head, order_count;
    uint64_t events;       /* ever, kept or not */
    uint64_t gone_ns;      /* time of the newest event that was given back */
    uint16_t shard;
};

void mt_chunk_pool_init(struct mt_chunk_pool *pool, uint64_t history_events, uint32_t shards);
void mt_chunk_pool_fini(struct mt_chunk_pool *pool);
MT_INLINE struct mt_chunk *mt_chunk_at(const struct mt_chunk_pool *pool, uint32_t number)
{
    return mt_segvec_at(&pool->chunks, number);
}

void mt_history_init(struct mt_history *history, uint16_t shard);
void mt_history_fini(struct mt_history *history);
/* Keeps an event; its totals are not looked at. An event that cannot be kept for want of memory is only counted. */
void mt_history_append(struct mt_history *history, struct mt_chunk_pool *pool, const struct mt_tracker_event *event);
/* The i-th chunk, oldest first. */
MT_INLINE struct mt_chunk *mt_history_chunk(const struct mt_history *history, const struct mt_chunk_pool *pool, uint32_t i)
{
    return mt_chunk_at(pool, history->order[(history->order_head + i) & history->order_mask]);
}
uint64_t mt_history_bytes(const struct mt_history *history);

/* Which shard's oldest chunk may go; false: none. */
bool mt_chunk_pool_oldest(struct mt_chunk_pool *pool, uint16_t *ret_shard);
/* Gives the oldest chunk back if it is this shard's. Under the shard's lock. */
void mt_history_evict(struct mt_history *history, struct mt_chunk_pool *pool);

/* Reads the next event of a chunk's copy; state starts from mt_chunk_begin. */
struct mt_chunk_reader {
    const uint8_t *at;
    struct mt_event_state state;
    uint32_t left;
};
void mt_chunk_begin(struct mt_chunk_reader *reader, const struct mt_chunk *chunk);
/* left > 0. ret's totals are the shard's. */
void mt_chunk_read(struct mt_chunk_reader *reader, struct mt_tracker_event *ret);

#endif
