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

/* What is known of a piece of a mapping; a new one has none of it. */
enum mt_piece_state {
    MT_PIECE_CLOSED = 1u << 0,  /* must not be touched */
    MT_PIECE_EMPTIED = 1u << 1, /* its pages were given back */
    MT_PIECE_BOTH = MT_PIECE_CLOSED | MT_PIECE_EMPTIED,
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

/* Takes the bits of clear from the state of all pieces in [low, low + bytes) and adds those of set. */
void mt_ranges_mark(struct mt_ranges *r, uint64_t low, uint64_t bytes, unsigned clear, unsigned set);

/* Chooses pieces. state: bits of mt_piece_state. */
struct mt_piece_choice {
    bool (*chosen)(const void *context, const struct mt_mapping *mapping, unsigned state);
    const void *context;
};
/* The bytes of the chosen pieces in [low, low + bytes). */
uint64_t mt_ranges_chosen(const struct mt_ranges *r, uint64_t low, uint64_t bytes, struct mt_piece_choice choice);
/* Gives those pieces to a new mapping; gone is called as in unmap for those they belonged to. Their state stays. Nothing
 * happens when there are none. */
void mt_ranges_give(struct mt_ranges *r, uint64_t low, uint64_t bytes, struct mt_piece_choice choice,
                    struct mt_mapping mapping,
                    void (*gone)(void *context, const struct mt_mapping *mapping, uint64_t lost), void *context);

/* Every mapping that is not gone, in no order. */
void mt_ranges_each(const struct mt_ranges *r, void (*each)(void *context, const struct mt_mapping *mapping),
                    void *context);

#endif
