/* alloc.c: see alloc.h. Order, everywhere: begin, the real call, end; a free is recorded before the real free. */
#include "hook/alloc.h"

#include "heap/engine.h"
#include "hook/measure.h"

#include <errno.h>

MT_NOINLINE void *mt_alloc_malloc(size_t size, const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    if (mt_engine_begin(size) == MT_SKIP) {
        return real->malloc(size);
    }
    void *ptr = real->malloc(size);
    mt_engine_end_alloc(ptr, size, MT_ALLOCATOR_MALLOC, &regs);
    return ptr;
}

/* count * size does not overflow: the fast path looked. */
MT_NOINLINE void *mt_alloc_calloc(size_t count, size_t size, const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    if (mt_engine_begin(count * size) == MT_SKIP) {
        return real->calloc(count, size);
    }
    void *ptr = real->calloc(count, size);
    mt_engine_end_alloc(ptr, count * size, MT_ALLOCATOR_CALLOC, &regs);
    return ptr;
}

/* realloc(NULL, size): a plain allocation, made by the real realloc. */
static MT_NOINLINE void *realloc_new(size_t size, const struct mt_originals *real, const struct mt_frame_regs *regs)
{
    if (!mt_engine_counts(size) || mt_engine_begin(size) == MT_SKIP) {
        return real->realloc(NULL, size);
    }
    void *ptr = real->realloc(NULL, size);
    mt_engine_end_alloc(ptr, size, MT_ALLOCATOR_REALLOC, regs);
    return ptr;
}

/* realloc(old, 0): glibc frees and returns NULL; others free and return a new empty block. Both are a free, and an
 * allocation of what came back. */
static MT_NOINLINE void *realloc_to_nothing(void *old, const struct mt_originals *real, const struct mt_frame_regs *regs)
{
    if (mt_engine_may_track(old)) {
        mt_engine_free(old);
    }
    if (!mt_engine_counts(0) || mt_engine_begin(0) == MT_SKIP) {
        mt_engine_enter_end(old, 0); /* an allocator that calls free here must not be heard twice */
        void *ptr = real->realloc(old, 0);
        mt_engine_leave_end();
        return ptr;
    }
    void *ptr = real->realloc(old, 0);
    mt_engine_end_alloc(ptr, 0, MT_ALLOCATOR_REALLOC, regs);
    return ptr;
}

/* The block is no sample: it may become one by what it grows by. */
static MT_NOINLINE void *realloc_measured(void *old, size_t size, const struct mt_originals *real, const struct mt_frame_regs *regs)
{
    struct mt_measured measured = mt_measure_begin(real, old);
    void *ptr = real->realloc(old, size);
    if (ptr == NULL) {
        mt_engine_note_failure(size, MT_ALLOCATOR_REALLOC, regs);
        return NULL;
    }
    uint64_t growth = mt_measure_end(real, measured, ptr, size);
    if (growth > 0 && mt_engine_counts(growth) && mt_engine_begin(growth) == MT_RECORD) {
        mt_engine_end_growth(ptr, size, mt_measure_way(real), MT_ALLOCATOR_REALLOC, regs);
    }
    return ptr;
}

MT_NOINLINE void *mt_alloc_realloc(void *old, size_t size, const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    if (old == NULL) {
        return realloc_new(size, real, &regs);
    }
    if (size == 0) {
        return realloc_to_nothing(old, real, &regs);
    }
    if (mt_engine_may_track(old)) {
        enum mt_realloc_way way = mt_measure_way(real);
        enum mt_verdict verdict = mt_engine_begin_realloc(old, size, way);
        if (verdict == MT_RECORD) {
            void *ptr = real->realloc(old, size);
            mt_engine_end_realloc(old, ptr, size, way, MT_ALLOCATOR_REALLOC, &regs);
            return ptr;
        }
        if (verdict == MT_WATCH) {
            void *ptr = real->realloc(old, size);
            if (MT_UNLIKELY(ptr != old) && ptr != NULL) {
                mt_engine_end_watched(old, ptr, size, way, MT_ALLOCATOR_REALLOC, &regs);
            }
            return ptr;
        }
    }
    return realloc_measured(old, size, real, &regs);
}

MT_NOINLINE void *mt_alloc_failed(size_t size)
{
    MT_CAPTURE_CALLER(regs);
    mt_engine_note_failure(size, MT_ALLOCATOR_REALLOC, &regs);
    return NULL;
}

MT_NOINLINE void *mt_alloc_grown(void *ptr, size_t size, size_t growth)
{
    MT_CAPTURE_CALLER(regs);
    if (mt_engine_begin(growth) == MT_RECORD) {
        mt_engine_end_growth(ptr, size, MT_REALLOC_GROWS, MT_ALLOCATOR_REALLOC, &regs);
    }
    return ptr;
}

MT_NOINLINE void mt_alloc_free(void *ptr, const struct mt_originals *real)
{
    if (ptr != NULL) {
        mt_engine_free(ptr);
    }
    real->free(ptr);
}

MT_NOINLINE void mt_alloc_cfree(void *ptr, const struct mt_originals *real)
{
    if (ptr != NULL) {
        mt_engine_free(ptr);
    }
    mt_engine_enter_end(ptr, 0);
    real->cfree(ptr);
    mt_engine_leave_end();
}

MT_NOINLINE void mt_alloc_free_sized(void *ptr, size_t size, const struct mt_originals *real)
{
    if (ptr != NULL) {
        mt_engine_free(ptr);
    }
    mt_engine_enter_end(ptr, 0);
    real->free_sized(ptr, size);
    mt_engine_leave_end();
}

MT_NOINLINE void mt_alloc_free_aligned_sized(void *ptr, size_t alignment, size_t size, const struct mt_originals *real)
{
    if (ptr != NULL) {
        mt_engine_free(ptr);
    }
    mt_engine_enter_end(ptr, 0);
    real->free_aligned_sized(ptr, alignment, size);
    mt_engine_leave_end();
}

/* An alignment that cannot be is a mistake, and no want of memory. */
static void end_aligned(void *ptr, int error, size_t size, enum mt_allocator allocator, const struct mt_frame_regs *regs)
{
    if (ptr == NULL && error == EINVAL) {
        mt_engine_abandon();
    } else {
        mt_engine_end_alloc(ptr, size, allocator, regs);
    }
}

MT_NOINLINE int mt_alloc_posix_memalign(void **ret_ptr, size_t alignment, size_t size, const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    if (mt_engine_begin(size) == MT_SKIP) {
        return real->posix_memalign(ret_ptr, alignment, size);
    }
    int error = real->posix_memalign(ret_ptr, alignment, size);
    end_aligned(error == 0 ? *ret_ptr : NULL, error, size, MT_ALLOCATOR_POSIX_MEMALIGN, &regs);
    return error;
}

MT_NOINLINE void *mt_alloc_aligned_alloc(size_t alignment, size_t size, const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    if (mt_engine_begin(size) == MT_SKIP) {
        return real->aligned_alloc(alignment, size);
    }
    void *ptr = real->aligned_alloc(alignment, size);
    end_aligned(ptr, errno, size, MT_ALLOCATOR_ALIGNED_ALLOC, &regs);
    return ptr;
}

MT_NOINLINE void *mt_alloc_memalign(size_t alignment, size_t size, const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    if (mt_engine_begin(size) == MT_SKIP) {
        return real->memalign(alignment, size);
    }
    void *ptr = real->memalign(alignment, size);
    end_aligned(ptr, errno, size, MT_ALLOCATOR_MEMALIGN, &regs);
    return ptr;
}

MT_NOINLINE void *mt_alloc_valloc(size_t size, const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    if (mt_engine_begin(size) == MT_SKIP) {
        return real->valloc(size);
    }
    void *ptr = real->valloc(size);
    mt_engine_end_alloc(ptr, size, MT_ALLOCATOR_VALLOC, &regs);
    return ptr;
}

MT_NOINLINE void *mt_alloc_pvalloc(size_t size, const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    if (mt_engine_begin(size) == MT_SKIP) {
        return real->pvalloc(size);
    }
    void *ptr = real->pvalloc(size);
    mt_engine_end_alloc(ptr, size, MT_ALLOCATOR_PVALLOC, &regs);
    return ptr;
}
