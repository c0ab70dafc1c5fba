/* kinds.h: the kinds of a tracker ("CPU", "GPU", …) and their totals that must be exact at every moment.
 *
 * Decides: a kind is a small number for good, at most MT_TRACKER_KINDS_MAX; what comes after is "Other". A name is looked up
 * by the caller's pointer first: a cache of (pointer, number) pairs in single words, always checked against the name itself,
 * because a buffer may hold another text the next time. Then by hash, without a lock; only a new name takes one.
 * The live bytes of a kind are one shared word, because a peak is a property of the sum at a moment and needs one order of
 * all changes. The peak is raised when the sum falls, with the value it fell from, and when it is read: a maximum is always
 * what stands right before a fall, or what stands now. So allocations pay one atomic add, and the peak is exact.
 * Invariant: peak >= every value that was ever current. Context: any thread.
 */
#ifndef MT_TRACKER_KINDS_H
#define MT_TRACKER_KINDS_H

#include "base/lock.h"
#include "memtap/tracker.h"
#include "tracker/segvec.h"

#include <stdbool.h>

enum { MT_KIND_UNKNOWN = 0, MT_KIND_SNAPSHOT = 1, MT_KIND_GC = 2, MT_KIND_OTHER = 3, MT_KINDS = MT_TRACKER_KINDS_MAX + 1 };
enum { MT_KIND_CACHE = 64, MT_KIND_HASH_SLOTS = 4096 };

/* A sum and its largest value. Writers: any thread. */
struct mt_level {
    uint64_t current; /* pairing T2: none; a sum of relaxed adds has one order by itself */
    uint64_t peak;
};

/* The sum of all kinds is in the cache line of the first three kinds of a program's own: a report then fetches one line from
 * another core, not two. */
enum { MT_LEVEL_ALL = MT_KIND_OTHER + 1, MT_LEVELS = MT_KINDS + 1 };

MT_INLINE void mt_level_raise_peak(struct mt_level *level, uint64_t value)
{
    uint64_t seen = mt_load_relaxed(&level->peak);
    while (MT_UNLIKELY(value > seen) && !mt_cas_acq_rel(&level->peak, &seen, value)) {
    }
}

MT_INLINE void mt_level_add(struct mt_level *level, uint64_t bytes)
{
    (void)mt_fetch_add_relaxed(&level->current, bytes);
}

MT_INLINE void mt_level_sub(struct mt_level *level, uint64_t bytes)
{
    mt_level_raise_peak(level, mt_fetch_sub_relaxed(&level->current, bytes));
}

/* Up to date, and never less than what an earlier call gave. */
MT_INLINE uint64_t mt_level_peak(struct mt_level *level)
{
    mt_level_raise_peak(level, mt_load_relaxed(&level->current));
    return mt_load_relaxed(&level->peak);
}

struct mt_kind {
    const char *name;
    uint32_t bytes;
};

struct mt_kinds {
    struct mt_spinlock lock;
    uint32_t count;                       /* writers: under lock; pairing T3: release when published */
    uint16_t slots[MT_KIND_HASH_SLOTS];   /* number + 1; writers: under lock; pairing T3 */
    uint64_t cache[MT_KIND_CACHE];        /* pointer << 16 | number; writers: any thread, whole words; pairing T3 */
    struct mt_kind kinds[MT_KINDS];
    struct mt_level *levels;              /* MT_LEVELS: see mt_kinds_level */
    char *text;                           /* where names are kept */
    size_t text_used;
};

MT_INLINE struct mt_level *mt_kinds_level(const struct mt_kinds *kinds, uint32_t kind)
{
    return &kinds->levels[kind == MT_KIND_OTHER ? 0 : kind + 1];
}

MT_INLINE struct mt_level *mt_kinds_level_all(const struct mt_kinds *kinds)
{
    return &kinds->levels[MT_LEVEL_ALL];
}

mt_status mt_kinds_init(struct mt_kinds *kinds) MT_CHECKED;
void mt_kinds_fini(struct mt_kinds *kinds);
/* Number of a name of 1 to MT_TRACKER_KIND_MAX_BYTES bytes; MT_KIND_OTHER when there is no room. */
uint32_t mt_kinds_intern(struct mt_kinds *kinds, const char *name, size_t bytes);
/* Number of a name, or -1. */
int32_t mt_kinds_find(const struct mt_kinds *kinds, const char *name, size_t bytes);
/* By the pointer first. name: not empty. False: too long. */
bool mt_kinds_lookup(struct mt_kinds *kinds, const char *name, uint32_t *ret);

#endif
