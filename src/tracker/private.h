/* private.h: what a tracker consists of. Only for src/tracker.
 *
 *   address --region--> shard (one of 64): lock | live blocks | totals by kind | history
 *                     shard 64: events without an address (snapshots, collections)
 *   shared by all:    level of all bytes and of each kind (atomic), chunk pool, names of kinds, stacks
 *
 * Decides: an operation on an address holds the lock of its shard and no other (a reallocation: two, lower number first).
 * Under it the clock is read, so that an address's events have the order in which they took effect. Totals and counts are the
 * shard's own; reading them adds up all shards. Only the live bytes are shared: two atomic adds (kinds.h).
 */
#ifndef MT_TRACKER_PRIVATE_H
#define MT_TRACKER_PRIVATE_H

#include "memtap/tracker.h"
#include "tracker/history.h"
#include "tracker/kinds.h"
#include "tracker/live.h"
#include "tracker/stacks.h"

#include <pthread.h>

enum { MT_SHARDS_LOG2 = 6, MT_SHARDS = 1 << MT_SHARDS_LOG2, MT_SHARD_OTHER = MT_SHARDS, MT_SHARDS_ALL = MT_SHARDS + 1 };

enum { MT_TRACKER_LOCKS = MT_SHARDS_ALL + 2 + MT_STACK_PARTS }; /* all of a tracker's spin locks */

/* Totals of one kind in one shard. Writers: under the shard's lock. */
struct mt_kind_totals {
    uint64_t allocated_bytes, freed_bytes;
    uint64_t allocations, deallocations;
};

/* What happens rarely, per shard. Writers: under the shard's lock. */
struct mt_rare_counts {
    uint64_t reallocations, mismatches, size_mismatches, double_allocations;
    uint64_t snapshots, gc_time_ns, gc_by_generation[MT_TRACKER_GENERATIONS];
};

struct mt_shard {
    struct mt_spinlock lock;
    struct mt_kind_totals *kinds; /* MT_KINDS */
    struct mt_live_index live;
    struct mt_history history;
    struct mt_rare_counts rare;
} __attribute__((aligned(64)));

/* The thread that takes snapshots. */
struct mt_snapshot_timer {
    int (*take)(struct mt_tracker *tracker);
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t thread;
    bool has_thread;
    bool on;
    bool quit;
    uint32_t interval_ms;
};

struct mt_tracker {
    bool enabled;        /* writers: any; readers: relaxed, any */
    bool capture_stacks; /* same */
    bool frame_pointers; /* constant */
    uint32_t stack_depth;
    int64_t step;
    uint64_t history_events;
    uint64_t records_dropped, stacks_dropped; /* relaxed adds */
    struct mt_kind_totals *totals;            /* MT_SHARDS_ALL times MT_KINDS */
    struct mt_chunk_pool pool;
    struct mt_stacks stacks;
    struct mt_snapshot_timer timer;
    struct mt_tracker *next, *previous; /* list of all trackers, for fork (fork.c) */
    uint8_t held_at_fork[MT_TRACKER_LOCKS];
    struct mt_kinds kinds;
    struct mt_shard shards[MT_SHARDS_ALL];
};

/* Waits about a second at most; false is counted in records_dropped. */
bool mt_shard_wait(struct mt_tracker *tracker, struct mt_shard *shard) MT_CHECKED;
/* Takes a shard's lock, at once when it is free (as mt_spinlock_try, without a call). */
MT_INLINE MT_CHECKED bool mt_shard_lock(struct mt_tracker *tracker, struct mt_shard *shard)
{
    uint32_t expected = 0;
    return MT_LIKELY(mt_cas_acq_rel(&shard->lock.held, &expected, 1u)) || mt_shard_wait(tracker, shard);
}
MT_INLINE void mt_shard_unlock(struct mt_shard *shard)
{
    mt_store_release(&shard->lock.held, 0u);
}

/* Gives chunks of old events back when there are enough newer ones. Without a lock. */
void mt_tracker_trim(struct mt_tracker *tracker);
/* Events in the history, the surplus over history_events included. */
uint64_t mt_tracker_events_kept(struct mt_tracker *tracker);
int mt_tracker_code_of(mt_status status);

/* The native stack of the caller of the public function that calls this, as a stack's number. first: that function's return
 * address; frame: its frame, __builtin_frame_address(0). */
uint32_t mt_tracker_native_stack(struct mt_tracker *tracker, const void *first, const void *frame);

/* take: what the thread does when it is due. */
mt_status mt_snapshot_timer_init(struct mt_snapshot_timer *timer, uint32_t interval_ms,
                                 int (*take)(struct mt_tracker *tracker)) MT_CHECKED;
/* Ends the thread, if any, and waits for it. */
void mt_snapshot_timer_fini(struct mt_snapshot_timer *timer);
/* In a fork child: there is no thread, and nobody waits or holds anything. */
void mt_snapshot_timer_forget(struct mt_snapshot_timer *timer);
/* Enabled or disabled: the thread looks again. */
void mt_snapshot_timer_poke(struct mt_snapshot_timer *timer);

/* List of all trackers, so that a fork child finds every lock free. */
void mt_tracker_enlist(struct mt_tracker *tracker);
void mt_tracker_delist(struct mt_tracker *tracker);

#endif
