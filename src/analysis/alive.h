/* alive.h: the replay of what is alive: which allocation an address belongs to, event by event.
 *
 * Decides: what becomes of a record whose other half is not there. An allocation at an address that is alive ends the older one
 * (its free was lost, or is in a part not yet read); a free or a resize of an unknown address changes nothing (it began before
 * the recording, or its allocation is in a part not yet read); frees of that kind are counted. Where a trace samples what blocks
 * grew by (MT_TRACE_GROWTH), an end says whether the block goes on at another address, or only stopped being a sample.
 * What an allocation is worth is the business of who counts: a struct mt_alive_counter of three functions, constant, so that
 * they are inlined into the loop. Ranges of address space are in ranges.h. Context: [tool], pure.
 */
#ifndef MT_ANALYSIS_ALIVE_H
#define MT_ANALYSIS_ALIVE_H

#include "analysis/liveset.h"
#include "wire/decode.h"

#include <stdbool.h>

enum mt_alive_end {
    MT_ALIVE_FREED,
    MT_ALIVE_REPLACED, /* something else began where it was */
    MT_ALIVE_GOES_ON,  /* a realloc: the next allocation of its thread is the same block */
    MT_ALIVE_THINNED,  /* a realloc made it smaller: it goes on, and is no sample any more */
};

struct mt_alive {
    struct mt_liveset blocks;
    bool growth; /* the trace's MT_TRACE_GROWTH: ends may be GOES_ON and THINNED */
    uint64_t unknown_frees, double_allocations;
};

/* Who counts. e: the event that is being applied. None of them may change the set. */
struct mt_alive_counter {
    /* A block began; entry has everything but site and ordinal, which are for the counter to set. */
    void (*began)(void *context, const struct mt_event *e, struct mt_live *entry);
    /* entry is still in the set. */
    void (*ended)(void *context, const struct mt_event *e, const struct mt_live *entry, enum mt_alive_end how);
    /* The block stays where it is; before: a copy with the size it had. site and ordinal are the counter's. */
    void (*resized)(void *context, const struct mt_event *e, const struct mt_live *before, struct mt_live *entry);
};

MT_INLINE void mt_alive_init(struct mt_alive *alive, bool growth)
{
    *alive = (struct mt_alive){ .growth = growth };
    mt_liveset_init(&alive->blocks);
}

/* May be called again, and of a zeroed one. */
MT_INLINE void mt_alive_fini(struct mt_alive *alive)
{
    mt_liveset_fini(&alive->blocks);
}

/* The block at addr, or NULL. */
MT_INLINE struct mt_live *mt_alive_at(const struct mt_alive *alive, uint64_t addr)
{
    return addr != 0 ? mt_liveset_find(&alive->blocks, addr) : NULL;
}

MT_INLINE void mt_alive_begin(struct mt_alive *alive, const struct mt_event *e, uint64_t time, const struct mt_alive_counter *counter,
                              void *context)
{
    if (MT_UNLIKELY(e->addr == 0)) {
        return;
    }
    struct mt_live *entry = mt_liveset_place(&alive->blocks, e->addr);
    if (MT_UNLIKELY(entry->addr != 0)) {
        alive->double_allocations++;
        counter->ended(context, e, entry, MT_ALIVE_REPLACED);
    }
    *entry = (struct mt_live){ .addr = e->addr, .size = e->size, .clock = time };
    counter->began(context, e, entry);
}

MT_INLINE enum mt_alive_end mt_alive_how(const struct mt_alive *alive, const struct mt_event *e)
{
    if (MT_LIKELY(!alive->growth || (e->flags & (MT_EVENT_GOES_ON | MT_EVENT_THINNED)) == 0)) {
        return MT_ALIVE_FREED;
    }
    return (e->flags & MT_EVENT_GOES_ON) != 0 ? MT_ALIVE_GOES_ON : MT_ALIVE_THINNED;
}

MT_INLINE void mt_alive_end(struct mt_alive *alive, const struct mt_event *e, const struct mt_alive_counter *counter, void *context)
{
    struct mt_live *entry = mt_alive_at(alive, e->addr);
    if (MT_UNLIKELY(entry == NULL)) {
        alive->unknown_frees++;
        return;
    }
    counter->ended(context, e, entry, mt_alive_how(alive, e));
    mt_liveset_remove(&alive->blocks, entry);
}

MT_INLINE void mt_alive_resize(struct mt_alive *alive, const struct mt_event *e, const struct mt_alive_counter *counter, void *context)
{
    struct mt_live *entry = mt_alive_at(alive, e->addr);
    if (entry != NULL) {
        struct mt_live before = *entry;
        entry->size = e->size;
        counter->resized(context, e, &before, entry);
    }
}

/* Something that is not followed began at e's address: what was known there has ended. */
MT_INLINE void mt_alive_replace(struct mt_alive *alive, const struct mt_event *e, const struct mt_alive_counter *counter, void *context)
{
    struct mt_live *entry = mt_alive_at(alive, e->addr);
    if (entry != NULL) {
        alive->double_allocations++;
        counter->ended(context, e, entry, MT_ALIVE_REPLACED);
        mt_liveset_remove(&alive->blocks, entry);
    }
}

/* An event of a block; time: of it, as it is to be kept in the entry. False: it is of something else. */
MT_INLINE bool mt_alive_apply(struct mt_alive *alive, const struct mt_event *e, uint64_t time, const struct mt_alive_counter *counter,
                              void *context)
{
    if (e->kind == MT_EVENT_ALLOC) {
        mt_alive_begin(alive, e, time, counter, context);
    } else if (e->kind == MT_EVENT_FREE) {
        mt_alive_end(alive, e, counter, context);
    } else if (e->kind == MT_EVENT_RESIZED) {
        mt_alive_resize(alive, e, counter, context);
    } else {
        return false;
    }
    return true;
}

#endif
