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

static __attribute__((unused)) void forget(uint64_t addr)
{
    if (mt_engine_may_track((void *)(uintptr_t)addr)) {
        mt_engine_free((void *)(uintptr_t)addr);
    }
}

/* As the hooks do it; growth: how much larger its allocator says the block is, all of size where it is renewed. */
static __attribute__((noinline, unused)) void realloc_as(uint64_t old, uint64_t to, size_t size, size_t growth, enum mt_realloc_way way)
{
    MT_CAPTURE_CALLER(regs);
    void *from = (void *)(uintptr_t)old, *ptr = (void *)(uintptr_t)to;
    enum mt_verdict verdict = mt_engine_may_track(from) ? mt_engine_begin_realloc(from, size, way) : MT_SKIP;
    if (verdict == MT_RECORD) {
        mt_engine_end_realloc(from, ptr, size, way, MT_ALLOCATOR_REALLOC, &regs);
    } else if (verdict == MT_WATCH && to != 0 && to != old) {
        mt_engine_end_watched(from, ptr, size, way, MT_ALLOCATOR_REALLOC, &regs);
    } else if (verdict == MT_SKIP && growth > 0 && mt_engine_counts(growth) && mt_engine_begin(growth) == MT_RECORD) {
        mt_engine_end_growth(ptr, size, way, MT_ALLOCATOR_REALLOC, &regs);
    }
}

#endif
