/* sampleset.h: one pass over the events of a trace that ends with what is alive, sample by sample.
 *
 * Decides: which samples are counted; what is alive is analysis/alive.h's. Amounts never go below zero, whatever the order, and
 * total = live + freed always. Allocations before `since` are followed too, so that their frees are known, but not counted.
 * Rejected: the sites of analysis/pass.h, which forget addresses.
 * It can be looked at between events as often as one likes: sums are kept, so that they cost nothing.
 * Memory: 32 bytes a live sample at most 5/8 full, 40 a kept freed one. Context: [tool].
 */
#ifndef MT_READER_SAMPLESET_H
#define MT_READER_SAMPLESET_H

#include "analysis/alive.h"
#include "memtap/profile.h"
#include "model/index.h"
#include "wire/decode.h"

#include <stdbool.h>

/* What many samples share. */
struct mt_origin {
    uint64_t rate_bytes;
    uint32_t stream, label;
    uint8_t allocator;
    bool counted; /* not before `since` */
};

struct mt_freed_sample {
    struct mt_live sample;
    uint64_t freed_clock;
};

struct mt_sampleset {
    uint64_t since_clock;
    uint8_t *stack_seen; /* of each stack number: a counted sample had it */
    size_t stack_count, stack_capacity;
    uint64_t unique_stacks;
    struct mt_alive alive; /* entry.site: stack, entry.ordinal: origin */
    struct mt_origin *origins;
    size_t origin_count, origin_capacity;
    struct mt_index origin_index;
    uint32_t last_origin;
    struct mt_freed_sample *freed; /* ring */
    size_t freed_limit, freed_capacity;
    uint64_t freed_count; /* ever, counted ones */
    uint64_t live_count, live_size, live_weight; /* counted ones, bytes */
    uint64_t total_count; /* counted ones */
    double total_weight;  /* each with the size it had last */
    double total_blocks;  /* that samples of all times stood for when they were allocated; what became one by growing was before */
    uint64_t events;
    uint64_t last_clock;
    uint64_t rate_bytes; /* of the latest sample */
    bool rate_known;
};

/* stack_count: numbers from there on are the unknown stack 0. growth: of the trace (MT_TRACE_GROWTH): a sample that a realloc
 * moves is the same one. */
void mt_sampleset_init(struct mt_sampleset *set, uint64_t since_clock, size_t freed_limit, size_t stack_count, bool growth);
/* The trace has more stacks now. */
void mt_sampleset_grow(struct mt_sampleset *set, size_t stack_count);
void mt_sampleset_apply(struct mt_sampleset *set, const struct mt_event *events, size_t count);
void mt_sampleset_fini(struct mt_sampleset *set);

/* Bytes a sample stands for, to the nearest; the size itself when exact (rate 0). */
uint64_t mt_sampleset_weight(uint64_t size_bytes, uint64_t rate_bytes);
/* Freed samples kept, oldest first: index 0 … count-1. */
size_t mt_sampleset_freed_kept(const struct mt_sampleset *set);
const struct mt_freed_sample *mt_sampleset_freed(const struct mt_sampleset *set, size_t index);

#endif
