/* ranges.h: which mapping every mapped byte belongs to, exactly.
 *
 * Decides: partial unmaps, holes in the middle, MAP_FIXED over something else, several pieces of one mapping. A mapping
 * is one MAP record; it is one allocation until its last byte is gone. Pieces are disjoint half-open ranges in address
 * order. Structure: leaves of at most 128 pieces under one sorted directory, so an update moves at most 128 pieces, and
 * with a million pieces a directory of 16,000 pointers once in 64 updates. A balanced tree would cost a miss a level
 * instead.
 *
 *     mapping 1:  |######            ######|      (two pieces: the middle was unmapped)
 *     mapping 2:         |##########|             (mapped there afterwards)
 *
 * Context: [tool].
 */
#ifndef MT_ANALYSIS_RANGES_H
#define MT_ANALYSIS_RANGES_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mt_mapping {
    uint64_t bytes;  /* as mapped */
    uint64_t mapped; /* of these still there */
    uint64_t clock;
    uint32_t site;
    uint32_t ordinal;
};

struct mt_range_leaf;

struct mt_ranges {
    struct mt_range_leaf **leaves; /* none empty */
    size_t leaf_count, leaf_capacity;
    struct mt_mapping *mappings; /* mapped == 0: free, next free in site */
    size_t mapping_count, mapping_capacity;
    uint32_t free_mapping; /* + 1; 0 none */
};

void mt_ranges_fini(struct mt_ranges *r);

/* Takes [low, low + bytes) out of whatever is there; gone is called once for every mapping piece hit with the bytes it
 * lost (mapping->mapped already lowered; 0 now: its last byte). Returns the bytes that were mapped. A range past the
 * end of the address space is cut there. */
uint64_t mt_ranges_unmap(struct mt_ranges *r, uint64_t low, uint64_t bytes,
                         void (*gone)(void *context, const struct mt_mapping *mapping, uint64_t lost), void *context);

/* Adds a mapping at [low, low + bytes), where nothing is mapped (unmap first); mapping's bytes and mapped are set here.
 * Nothing happens when it is empty or wraps: false. */
bool mt_ranges_map(struct mt_ranges *r, uint64_t low, uint64_t bytes, struct mt_mapping mapping);

/* Every mapping that is not gone, in no order. */
void mt_ranges_each(const struct mt_ranges *r, void (*each)(void *context, const struct mt_mapping *mapping),
                    void *context);

#endif
