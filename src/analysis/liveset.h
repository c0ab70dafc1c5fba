/* liveset.h: address -> the allocation alive there.
 *
 * Decides: open addressing with linear probing in 32-byte entries (two a cache line, one miss a look-up), at most 5/8
 * full, and deletion by shifting back, so that a long run of malloc and free never fills the table with tombstones.
 * Multiply-shift hash (Fibonacci): consecutive addresses spread. Address 0 marks a free entry and cannot be stored.
 * The batch loop prefetches entries ahead; that is worth 3x on tables larger than the cache. Context: [tool].
 */
#ifndef MT_ANALYSIS_LIVESET_H
#define MT_ANALYSIS_LIVESET_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

struct mt_live {
    uint64_t addr; /* 0: free */
    uint64_t size;
    uint64_t clock;
    uint32_t site;
    uint32_t ordinal; /* of the allocation in its thread, modulo 2^32 */
};

struct mt_liveset {
    struct mt_live *entries;
    size_t mask;
    unsigned shift; /* 64 - log2(entries) */
    size_t count;
};

/* Ends the tool when there is no memory. */
void mt_liveset_init(struct mt_liveset *t);
void mt_liveset_fini(struct mt_liveset *t);
void mt_liveset_grow(struct mt_liveset *t);

MT_INLINE size_t mt_liveset_home(const struct mt_liveset *t, uint64_t addr)
{
    return (size_t)((addr * 0x9E3779B97F4A7C15u) >> t->shift);
}

MT_INLINE void mt_liveset_prefetch(const struct mt_liveset *t, uint64_t addr)
{
    __builtin_prefetch(&t->entries[mt_liveset_home(t, addr)], 1);
}

/* The entry of addr (not 0), or NULL. */
MT_INLINE struct mt_live *mt_liveset_find(const struct mt_liveset *t, uint64_t addr)
{
    size_t at = mt_liveset_home(t, addr);
    for (;;) {
        struct mt_live *entry = &t->entries[at];
        if (entry->addr == addr) {
            return entry;
        }
        if (entry->addr == 0) {
            return NULL;
        }
        at = (at + 1) & t->mask;
    }
}

/* The entry of addr (not 0), or a place for it whose addr is 0: the caller fills it, addr included. Valid until the
 * next change. */
MT_INLINE struct mt_live *mt_liveset_place(struct mt_liveset *t, uint64_t addr)
{
    if (MT_UNLIKELY(8 * (t->count + 1) > 5 * (t->mask + 1))) {
        mt_liveset_grow(t);
    }
    size_t at = mt_liveset_home(t, addr);
    while (t->entries[at].addr != 0 && t->entries[at].addr != addr) {
        at = (at + 1) & t->mask;
    }
    t->count += t->entries[at].addr == 0;
    return &t->entries[at];
}

/* Removes an entry found before; entries behind it move up. */
MT_INLINE void mt_liveset_remove(struct mt_liveset *t, struct mt_live *entry)
{
    size_t hole = (size_t)(entry - t->entries);
    size_t at = hole;
    for (;;) {
        at = (at + 1) & t->mask;
        if (t->entries[at].addr == 0) {
            break;
        }
        size_t home = mt_liveset_home(t, t->entries[at].addr);
        if (((at - home) & t->mask) >= ((at - hole) & t->mask)) {
            t->entries[hole] = t->entries[at];
            hole = at;
        }
    }
    t->entries[hole].addr = 0;
    t->count--;
}

#endif
