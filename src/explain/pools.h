/* pools.h: the pools of Python's pymalloc in another process, known by their headers.
 *
 * Decides: the tables of pymalloc have no symbol that a stripped interpreter keeps, so each page of anonymous memory is asked whether a pool begins
 * there: its size class, the furthest offset and the number of blocks must agree with each other, which memory of others does not do by
 * accident. A pool is 16 KiB from CPython 3.10 on, 4 KiB before. With mimalloc (free threading) there are none. Source: CPython,
 * Objects/obmalloc.c, Include/internal/pycore_obmalloc.h. Context: [tool].
 */
#ifndef MT_EXPLAIN_POOLS_H
#define MT_EXPLAIN_POOLS_H

#include "explain/glibc.h"
#include "explain/pages.h"

struct mt_pools {
    uint64_t pools;
    uint64_t used_bytes; /* blocks in use */
    uint64_t free_bytes; /* blocks that are free in pools that have others, headers and rest of pools too; resident */
    uint64_t empty_bytes; /* pools without a block in use; resident */
    struct mt_spans memory;
};

/* Looks through [low, high), of which pages is told; adds to ret. */
void mt_pools_read(const struct mt_remote *remote, const struct mt_pages *pages, uint64_t low, uint64_t high, struct mt_pools *ret);
void mt_pools_fini(struct mt_pools *pools);

/* 48 bytes at a page: the size of the pool that begins there; 0: none does. */
struct mt_pool_head {
    uint32_t blocks_used, unused;
    uint64_t free_block, next, before;
    uint32_t arena, size_class, next_offset, last_offset;
};
uint64_t mt_pool_bytes(const struct mt_pool_head *head, uint64_t address);

#endif
