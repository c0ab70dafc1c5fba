/* pool.c: see pool.h. Context: [tool]. */
#include "model/pool.h"

#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CHUNK = 4096, LAST_CHUNK = 1024 * 1024 };

static void new_chunk(struct mt_pool *pool, size_t need)
{
    size_t bytes = pool->next_bytes ? pool->next_bytes : FIRST_CHUNK;
    pool->next_bytes = bytes < LAST_CHUNK ? 2 * bytes : bytes;
    bytes = bytes < need ? need : bytes;
    struct mt_pool_chunk *chunk = mt_alloc(sizeof *chunk + bytes);
    chunk->next = pool->chunks;
    pool->chunks = chunk;
    pool->at = (uint8_t *)chunk->data;
    pool->end = pool->at + bytes;
}

void *mt_pool_take(struct mt_pool *pool, size_t bytes, size_t align)
{
    size_t skip = (0 - (size_t)(uintptr_t)pool->at) & (align - 1);
    if (pool->at == NULL || bytes + skip > (size_t)(pool->end - pool->at)) {
        new_chunk(pool, bytes);
        skip = 0;
    }
    void *taken = pool->at + skip;
    pool->at += skip + bytes;
    return taken;
}

char *mt_pool_text(struct mt_pool *pool, const void *data, size_t bytes)
{
    char *text = mt_pool_take(pool, bytes + 1, 1);
    if (bytes > 0) {
        memcpy(text, data, bytes);
    }
    text[bytes] = '\0';
    return text;
}

void mt_pool_fini(struct mt_pool *pool)
{
    while (pool->chunks != NULL) {
        struct mt_pool_chunk *next = pool->chunks->next;
        free(pool->chunks);
        pool->chunks = next;
    }
    *pool = (struct mt_pool){ 0 };
}
