/* engine.h: the books of the fake engine (engine.c beside it). */
#ifndef MT_TESTS_FAKES_ENGINE_H
#define MT_TESTS_FAKES_ENGINE_H

#include "heap/engine.h"

struct fake_books {
    uint64_t allocations[MT_ALLOCATOR__COUNT];
    uint64_t bytes[MT_ALLOCATOR__COUNT];
    uint64_t frees;         /* of blocks that were recorded */
    uint64_t unknown_frees; /* of blocks that were not (allocated before recording began) */
    uint64_t counted_twice; /* allocations at a live address */
    uint64_t twice_size;    /* size of the last of these */
    uint64_t unbalanced;    /* ends that did not match a begin */
    uint64_t bad_caller;    /* registers that cannot be a caller's */
    uint64_t abandoned;
    uint64_t failed[MT_ALLOCATOR__COUNT]; /* for want of memory */
    uint64_t live;
    uint64_t live_bytes;
    uint64_t maps[MT_MAP_EMPTIED + 1];
    uint64_t untouched;    /* of these: held as far as they are touched */
    uint64_t access_bytes; /* opened, closed, emptied */
    uint64_t unmaps;
    uint64_t mapped_bytes;
    uint64_t unmapped_bytes;
    uint64_t thread_starts;
    uint64_t thread_exits;
    uint64_t forks;
    uint64_t refreshes;
    uint64_t notes;
    uint64_t last_pc; /* caller of the last recorded call */
};
extern struct fake_books mt_g_fake;

/* rate 0: exact. */
void fake_engine_start(uint64_t rate);
void fake_engine_stop(void);

#endif
