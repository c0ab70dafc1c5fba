/* pool.h: memory that lives as long as a trace: appended to, never freed singly. Addresses are stable.
 *
 * Chunks double from 4 KiB to 1 MiB, so the waste is bounded by the content. Context: [tool].
 */
#ifndef MT_MODEL_POOL_H
#define MT_MODEL_POOL_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

struct mt_pool_chunk {
    struct mt_pool_chunk *next;
    max_align_t data[];
};

struct mt_pool {
    struct mt_pool_chunk *chunks;
    uint8_t *at, *end;
    size_t next_bytes;
};

/* Uninitialised memory; align is a power of two up to 16. Never NULL. */
void *mt_pool_take(struct mt_pool *pool, size_t bytes, size_t align) __attribute__((returns_nonnull));
/* A copy with a NUL behind it. */
char *mt_pool_text(struct mt_pool *pool, const void *data, size_t bytes) __attribute__((returns_nonnull));
void mt_pool_fini(struct mt_pool *pool);

#endif
