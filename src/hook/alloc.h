/* alloc.h: the recorded paths of the allocator hooks, shared by all banks.
 *
 * Each is entered by a tail jump from the fast path in bank.h, so that its caller is the program: it captures its caller's
 * registers first. `real` are the originals of the bank the call came through.
 * Context: [hook]. errno is left as the real function leaves it. */
#ifndef MT_HOOK_ALLOC_H
#define MT_HOOK_ALLOC_H

#include "hook/table.h"

void *mt_alloc_malloc(size_t size, const struct mt_originals *real);
void *mt_alloc_calloc(size_t count, size_t size, const struct mt_originals *real);
/* Whatever the fast path does not do. */
void *mt_alloc_realloc(void *old, size_t size, const struct mt_originals *real);
/* A realloc to size bytes of a block that is no sample gave NULL. Returns NULL. */
void *mt_alloc_failed(size_t size);
/* A realloc made ptr, of size bytes, and mt_engine_counts(growth) said yes. Returns ptr. */
void *mt_alloc_grown(void *ptr, size_t size, size_t growth);
void mt_alloc_free(void *ptr, const struct mt_originals *real);
void mt_alloc_cfree(void *ptr, const struct mt_originals *real);
void mt_alloc_free_sized(void *ptr, size_t size, const struct mt_originals *real);
void mt_alloc_free_aligned_sized(void *ptr, size_t alignment, size_t size, const struct mt_originals *real);
int mt_alloc_posix_memalign(void **ret_ptr, size_t alignment, size_t size, const struct mt_originals *real);
void *mt_alloc_aligned_alloc(size_t alignment, size_t size, const struct mt_originals *real);
void *mt_alloc_memalign(size_t alignment, size_t size, const struct mt_originals *real);
void *mt_alloc_valloc(size_t size, const struct mt_originals *real);
void *mt_alloc_pvalloc(size_t size, const struct mt_originals *real);

/* operator new and delete of objects that define malloc as well (cxx.c). */
#define MT_CXX_RECORDED(result, name, parameters, arguments)                                                           \
    result mt_cxx_recorded_##name(MT_STRIP parameters, const struct mt_originals *real);
MT_HOOK_CXX_TABLE(MT_CXX_RECORDED)
#undef MT_CXX_RECORDED

#endif
