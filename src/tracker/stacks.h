/* stacks.h: stacks by number, each kept once.
 *
 * Decides: a stack is a list of words whose meaning is the caller's. Sixteen parts with a lock each, by hash, so that threads
 * rarely meet; a number is index << 4 | part, plus one. Invariant: a stack once numbered stays, at its address, until fini;
 * reading by number needs no lock. Context: any thread.
 */
#ifndef MT_TRACKER_STACKS_H
#define MT_TRACKER_STACKS_H

#include "base/lock.h"
#include "tracker/segvec.h"

#include <stdbool.h>

enum { MT_STACK_PARTS_LOG2 = 4, MT_STACK_PARTS = 1 << MT_STACK_PARTS_LOG2, MT_STACK_NUMBER_MAX = (1 << 22) - 1 };

/* In an arena: the words follow. */
struct mt_stack_entry {
    uint64_t hash;
    uint64_t count;
    uint64_t words[];
};

struct mt_stack_part {
    struct mt_spinlock lock;
    uint32_t *slots; /* index + 1; 0 empty */
    uint32_t mask;
    struct mt_segvec entries; /* const struct mt_stack_entry * */
    uint64_t *arena;            /* where the next entry goes */
    size_t arena_left;          /* words */
    void *arenas;               /* mappings, each begins with the address of the one before and its bytes */
    uint64_t mapped_bytes;
} __attribute__((aligned(64)));

struct mt_stacks {
    struct mt_stack_part parts[MT_STACK_PARTS];
};

void mt_stacks_init(struct mt_stacks *stacks);
void mt_stacks_fini(struct mt_stacks *stacks);
/* Number of a stack; 0: no memory, or too many. */
uint32_t mt_stacks_intern(struct mt_stacks *stacks, const uint64_t *words, size_t count, bool *ret_new);
/* NULL: no such number. */
const struct mt_stack_entry *mt_stacks_entry(const struct mt_stacks *stacks, uint32_t number);
uint64_t mt_stacks_bytes(const struct mt_stacks *stacks);

#endif
