/* pools.c: see pools.h. */
#include "explain/pools.h"

#include "util/memory.h"

enum { CLASSES = 32, ALIGNMENT = 16, HEAD_BYTES = 48 };

static uint64_t block_bytes(const struct mt_pool_head *head)
{
    return ((uint64_t)head->size_class + 1) * ALIGNMENT;
}

static bool is_within(uint64_t address, uint64_t pool, uint64_t bytes)
{
    return address == 0 || (address > pool && address < pool + bytes && address % ALIGNMENT == 0);
}

/* Blocks begin behind the head; those from next_offset on were never handed out. last_offset is where the last one may begin. */
static bool is_pool(const struct mt_pool_head *head, uint64_t address, uint64_t bytes)
{
    uint64_t block = block_bytes(head);
    return address % bytes == 0 && head->last_offset == bytes - block && head->next_offset >= HEAD_BYTES &&
           head->next_offset <= head->last_offset + block && (head->next_offset - HEAD_BYTES) % block == 0 &&
           head->blocks_used <= (head->next_offset - HEAD_BYTES) / block && is_within(head->free_block, address, bytes);
}

uint64_t mt_pool_bytes(const struct mt_pool_head *head, uint64_t address)
{
    static const uint64_t sizes[] = { 16384, 4096 };
    for (size_t i = 0; head->size_class < CLASSES && i < MT_COUNTOF(sizes); i++) {
        if (is_pool(head, address, sizes[i])) {
            return sizes[i];
        }
    }
    return 0;
}

static void add_pool(const struct mt_pool_head *head, const struct mt_pages *pages, uint64_t address, uint64_t bytes, struct mt_pools *ret)
{
    uint64_t resident = mt_pages_resident(pages, address, address + bytes);
    uint64_t used = head->blocks_used * block_bytes(head);
    ret->pools++;
    mt_spans_add(&ret->memory, address, address + bytes);
    if (head->blocks_used == 0) {
        ret->empty_bytes += resident;
        return;
    }
    used = used < resident ? used : resident;
    ret->used_bytes += used;
    ret->free_bytes += resident - used;
}

void mt_pools_read(const struct mt_remote *remote, const struct mt_pages *pages, uint64_t low, uint64_t high, struct mt_pools *ret)
{
    uint64_t at = mt_pages_next(pages, (low + MT_PAGE_BYTES - 1) / MT_PAGE_BYTES * MT_PAGE_BYTES);
    while (at < high && high - at >= MT_PAGE_BYTES) {
        struct mt_pool_head head;
        uint64_t bytes = 0;
        if (mt_remote_read(remote, at, &head, sizeof head)) {
            bytes = mt_pool_bytes(&head, at);
        }
        if (bytes > 0 && at + bytes <= high) {
            add_pool(&head, pages, at, bytes, ret);
            at = mt_pages_next(pages, at + bytes);
        } else {
            at = mt_pages_next(pages, at + MT_PAGE_BYTES);
        }
    }
}

void mt_pools_fini(struct mt_pools *pools)
{
    mt_spans_clear(&pools->memory);
}
