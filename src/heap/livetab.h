/* livetab.h: the addresses of live sampled allocations, and the filter that lets free() pass by.
 *
 * Decides: how free() knows that a pointer was sampled. An exact open-addressing table holds the sampled pointers; in front
 * of it stands a counting filter of bytes (index: high bits of a 32-bit product, so the low 32 address bits count) that is
 * deletable, small enough for the L1/L2 cache and kept at a load of at most 1/16, so that at most one free in sixteen
 * looks further.
 *
 *      free(p) -> filter[(uint32_t)p * K >> shift] == 0 ? done : table lookup (seqlock, no lock) : under the lock remove
 *
 * A counter that reaches 255 sticks (never decremented): a false "maybe", never a false "no".
 * Why not relocation or a Bloom filter: docs/decisions/0001-track-in-place.md.
 * In exact mode the filter word points at a page of ones, when off at a page of zeros.
 * Contexts: [hook] with the guard set.
 */
#ifndef MT_HEAP_LIVETAB_H
#define MT_HEAP_LIVETAB_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mt_filter_state { MT_FILTER_NONE, MT_FILTER_ALL, MT_FILTER_TABLE };

/* Makes the table ready and points the filter as said. */
mt_status mt_livetab_init(void) MT_CHECKED;
void mt_livetab_show(enum mt_filter_state state);
/* Which of the trace's records a live sample is: what a base says of it (checkpoint.h). */
struct mt_birth {
    uint64_t clock;
    uint32_t stack, stream, label;
    uint32_t allocator; /* enum mt_allocator */
};
/* What is known of a live sample: the size its last record says, and the rate that its weight goes by. */
struct mt_sample {
    uint64_t size, rate_bytes;
    struct mt_birth birth;
    uint16_t tag; /* of this insertion: another block that is at the address later has another one */
};

/* Adds a pointer just allocated. False when there is no memory or the lock was not had: the sample has no end. */
bool mt_livetab_insert(const void *ptr, const struct mt_sample *sample);
/* Without a lock. True too when it could not be told: mt_livetab_remove says. */
bool mt_livetab_contains(const void *ptr);
/* The same, and what is known of it; under the lock when it could not be told without (not had in time: counted as dropped,
 * false). */
bool mt_livetab_find(const void *ptr, struct mt_sample *ret);
/* Removes ptr, under the lock: ask mt_livetab_contains before. True when it was there; ret, which may be NULL, has what it was then. When
 * the lock is not had in time the event is counted as dropped. */
bool mt_livetab_remove(const void *ptr, struct mt_sample *ret);
/* The same, if it is still the block that was found there. */
bool mt_livetab_remove_found(const void *ptr, const struct mt_sample *found);
uint64_t mt_livetab_count(void);
/* Calls take for each, under the lock; false: the lock was not had. take may not need another lock. */
bool mt_livetab_each(void (*take)(void *context, uint64_t ptr, const struct mt_sample *sample), void *context) MT_CHECKED;
void mt_livetab_clear(void);
void mt_livetab_after_fork(void);

#endif
