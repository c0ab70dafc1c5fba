/* lock.h: a spin lock with a rank, for the agent's few rare critical sections.
 *
 * Decides: which locks exist in the agent and in which order they may nest (ranks, outer lower than inner). A thread
 * may only wait for a lock of a higher rank than any it holds, or of the same rank where the table says so; builds with
 * MT_CHECKS (unit tests, sanitizers) stop where it does not. Never held across user code, dlopen, Python or malloc.
 * Spinning is bounded: a lock that cannot be had within a quarter of a second returns false and the caller drops and counts,
 * because waiting for ever in a foreign malloc would be worse than a lost record. After fork the child re-initialises.
 */
#ifndef MT_BASE_LOCK_H
#define MT_BASE_LOCK_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum mt_lock_rank {
    MT_RANK_TOUCH = 5,   /* watched reservations */
    MT_RANK_ORPHAN = 7,  /* stream shared by threads that are past their end */
    MT_RANK_AGENT = 10,  /* agent state machine, blocks of threads */
    MT_RANK_MODULES = 20, /* module map rebuild */
    MT_RANK_AGGREGATE = 30,
    MT_RANK_LABEL = 35, /* pool of threads' labels */
    MT_RANK_LIVE = 40,  /* sampled-pointer table writers */
    MT_RANK_TOTALS = 43, /* rows a site of a trace with a bound */
    MT_RANK_TENSORS = 45, /* blocks of torch's CPU allocator */
    MT_RANK_META = 50,  /* stack interning and the metadata stream */
    MT_RANK_FILE = 70,  /* slot pool */
    MT_RANK_WAITING = 72, /* blocks that could not be written yet */
    MT_RANK_DESCRIPTOR = 75, /* opening the trace again */
    MT_RANK_TRACKER_SHARD = 80, /* tracker: one shard; two of them in the order of their numbers */
    MT_RANK_TRACKER_POOL = 90,  /* tracker: chunks of history, names of kinds, stacks */
};

struct mt_spinlock {
    uint32_t held; /* 0 free, 1 held. Writers: any thread; pairing L1: release in unlock with acquire in lock */
    uint32_t rank;
    struct mt_spinlock *outer; /* the holder's next outer lock; writer: the holder */
};

#define MT_SPINLOCK_INIT(rank_value) { 0, (rank_value), NULL }

/* Takes the lock; false when it could not be had within the bound. Context: [hook], guard set. */
bool mt_spinlock_lock(struct mt_spinlock *lock) MT_CHECKED;
bool mt_spinlock_try(struct mt_spinlock *lock) MT_CHECKED;
/* The same for a lock whose holder gives it back with a store of its own (tracker/private.h): it is not among those that
 * mt_spinlock_release_all frees. A listed lock must be given back by mt_spinlock_unlock, or the list would go on with it. */
bool mt_spinlock_take_unlisted(struct mt_spinlock *lock) MT_CHECKED;
void mt_spinlock_unlock(struct mt_spinlock *lock);
/* Does the calling thread hold a listed lock? In a signal handler: it has interrupted somebody who does. */
bool mt_spinlock_is_any_held(void) MT_CHECKED;
/* Frees all locks the calling thread holds and says how many: it was interrupted while it held them and does not come back.
 * What they guard may be half done. */
unsigned mt_spinlock_release_all(void) MT_CHECKED;
/* Makes a lock free again in a fork child, whoever held it in the parent. Context: [fork-child]. */
void mt_spinlock_reset(struct mt_spinlock *lock);

#endif
