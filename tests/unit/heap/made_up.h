/* made_up.h: allocations and frees of made-up addresses, told to the engine as a hook tells it. Everything is static: a test
 * includes it. */
#ifndef MT_TESTS_UNIT_HEAP_MADE_UP_H
#define MT_TESTS_UNIT_HEAP_MADE_UP_H

#include "heap/engine.h"

static MT_NOINLINE void record(uint64_t addr, size_t size)
{
    MT_CAPTURE_CALLER(regs);
    if (mt_engine_counts(size) && mt_engine_begin(size) == MT_RECORD) {
        mt_engine_end_alloc((void *)(uintptr_t)addr, size, MT_ALLOCATOR_MALLOC, &regs);
    }
}

static void forget(uint64_t addr)
{
    if (mt_engine_may_track((void *)(uintptr_t)addr)) {
        mt_engine_free((void *)(uintptr_t)addr);
    }
}

#endif
