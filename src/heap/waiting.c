/* waiting.c: see waiting.h. A lock of its own, never held across a call of anybody else's but the writer. */
#include "heap/waiting.h"

#include "base/atomic.h"
#include "base/lock.h"
#include "base/os.h"

#include <string.h>

struct waiting {
    struct waiting *next;
    size_t mapped_bytes;
    size_t payload_bytes;
    struct mt_block_header header; /* the payload follows */
};

static struct {
    struct mt_spinlock lock;
    struct waiting *first, *last;
    uint64_t bytes;
    mt_status why;  /* the first one waits */
    uint32_t count; /* shared */
} g_waiting = { .lock = MT_SPINLOCK_INIT(MT_RANK_WAITING) };

bool mt_waiting_may_help(mt_status why)
{
    switch (why) {
    case MT_E_NOSPACE:
    case MT_E_TOO_LARGE: /* the program may raise its limit again */
    case MT_E_NOFILES:
    case MT_E_NOMEM:
    case MT_E_BUSY:
    case MT_E_IO:
        return true;
    case MT_OK:
    case MT_E_PERM:
    case MT_E_NOENT:
    case MT_E_EXIST:
    case MT_E_INVAL:
    case MT_E_CORRUPT:
    case MT_E_VERSION:
    case MT_E_TRUNCATED:
    case MT_E_FULL:
    case MT_E_UNSUPPORTED:
    case MT_E_INTERRUPTED:
    case MT_E_READONLY:
    case MT_E_REPLACED:
    case MT_E_SIZE:
    case MT_STATUS__COUNT:
    default:
        return false;
    }
}

bool mt_waiting_is_empty(void)
{
    return mt_load_relaxed(&g_waiting.count) == 0;
}

static void append_locked(struct waiting *block, mt_status why)
{
    if (g_waiting.first == NULL) {
        g_waiting.first = block;
        g_waiting.why = why;
    } else {
        g_waiting.last->next = block;
    }
    g_waiting.last = block;
    g_waiting.bytes += block->mapped_bytes;
    mt_store_relaxed(&g_waiting.count, g_waiting.count + 1);
}

mt_status mt_waiting_add(const struct mt_block_header *header, const void *payload, size_t bytes, mt_status why)
{
    void *base = NULL;
    size_t mapped = sizeof(struct waiting) + bytes;
    if (mt_load_relaxed(&g_waiting.bytes) + mapped > MT_WAITING_MAX_BYTES) {
        return MT_E_FULL;
    }
    mt_status status = mt_os_map_anonymous(mapped, &base);
    if (status != MT_OK) {
        return status;
    }
    struct waiting *block = base;
    *block = (struct waiting){ .mapped_bytes = mapped, .payload_bytes = bytes, .header = *header };
    memcpy(block + 1, payload, bytes);
    if (!mt_spinlock_lock(&g_waiting.lock)) {
        mt_os_unmap(base, mapped);
        return MT_E_BUSY;
    }
    append_locked(block, why);
    mt_spinlock_unlock(&g_waiting.lock);
    return MT_OK;
}

static void remove_first_locked(void)
{
    struct waiting *block = g_waiting.first;
    g_waiting.first = block->next;
    g_waiting.bytes -= block->mapped_bytes;
    mt_store_relaxed(&g_waiting.count, g_waiting.count - 1);
    mt_os_unmap(block, block->mapped_bytes);
}

mt_status mt_waiting_write(mt_status (*write)(const struct mt_block_header *header, const void *payload, size_t bytes))
{
    if (mt_waiting_is_empty()) {
        return MT_OK;
    }
    if (!mt_spinlock_lock(&g_waiting.lock)) {
        return MT_E_BUSY;
    }
    mt_status status = MT_OK;
    while (g_waiting.first != NULL && status == MT_OK) {
        status = write(&g_waiting.first->header, g_waiting.first + 1, g_waiting.first->payload_bytes);
        if (status == MT_OK) {
            remove_first_locked();
        }
    }
    mt_spinlock_unlock(&g_waiting.lock);
    return status;
}

struct mt_waiting_loss mt_waiting_drop(void)
{
    struct mt_waiting_loss loss = { .why = MT_OK };
    if (!mt_waiting_is_empty() && mt_spinlock_lock(&g_waiting.lock)) {
        loss.why = g_waiting.why;
        loss.clock = g_waiting.first->header.clock_first;
        while (g_waiting.first != NULL) {
            loss.events += g_waiting.first->header.events;
            remove_first_locked();
        }
        mt_spinlock_unlock(&g_waiting.lock);
    }
    return loss;
}

void mt_waiting_after_fork(void)
{
    mt_spinlock_reset(&g_waiting.lock);
    (void)mt_waiting_drop();
}
