/* maplog.c: see maplog.h. Entries are sorted by their beginning. */
#include "heap/maplog.h"

#include "base/atomic.h"
#include "base/lock.h"
#include "base/os.h"
#include "wire/format.h"

#include <string.h>

enum { FIRST_CAPACITY = 1024, LOOK_BACK = 64 };

static struct {
    struct mt_spinlock lock;
    struct mt_mapping_record *records;
    uint64_t count, capacity;
} g_maps = { .lock = MT_SPINLOCK_INIT(MT_RANK_AGGREGATE) };

/* Index of the first record that begins at addr or behind it. */
static uint64_t first_at(uint64_t addr)
{
    uint64_t low = 0, high = g_maps.count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (g_maps.records[middle].low < addr) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool grow_locked(void)
{
    uint64_t capacity = g_maps.capacity == 0 ? FIRST_CAPACITY : 2 * g_maps.capacity;
    void *base = NULL;
    if (mt_os_map_anonymous(capacity * sizeof *g_maps.records, &base) != MT_OK) {
        return false;
    }
    struct mt_mapping_record *old = g_maps.records;
    uint64_t old_bytes = g_maps.capacity * sizeof *old;
    if (old != NULL) {
        memcpy(base, old, g_maps.count * sizeof *old);
    }
    g_maps.records = base;
    g_maps.capacity = capacity;
    mt_fence_compiler();
    if (old != NULL) { /* last: another thread may fork at any time */
        mt_os_unmap(old, old_bytes);
    }
    return true;
}

/* What lies in [low, high) as a whole means nothing any more. */
static void forget_locked(uint64_t low, uint64_t high)
{
    uint64_t from = first_at(low), kept = from, at = from;
    for (; at < g_maps.count && g_maps.records[at].low < high; at++) {
        if (g_maps.records[at].low + g_maps.records[at].bytes > high) {
            g_maps.records[kept++] = g_maps.records[at];
        }
    }
    if (kept != at) {
        memmove(&g_maps.records[kept], &g_maps.records[at], (g_maps.count - at) * sizeof *g_maps.records);
        g_maps.count -= at - kept;
    }
}

/* Does any record reach into [low, high)? Also when it takes too long to tell: one too many does no harm. */
static bool may_overlap_locked(uint64_t low, uint64_t high)
{
    uint64_t at = first_at(high);
    for (uint64_t looked = 0; at > 0; looked++) {
        const struct mt_mapping_record *r = &g_maps.records[--at];
        if (looked == LOOK_BACK || r->low + r->bytes > low) {
            return true;
        }
    }
    return false;
}

static bool insert_locked(const struct mt_mapping_record *record)
{
    if (g_maps.count == g_maps.capacity && !grow_locked()) {
        return false;
    }
    uint64_t at = first_at(record->low);
    memmove(&g_maps.records[at + 1], &g_maps.records[at], (g_maps.count - at) * sizeof *g_maps.records);
    g_maps.records[at] = *record;
    g_maps.count++;
    return true;
}

/* Replaces what was there, unlike what only says how a range may be used. */
static bool replaces(const struct mt_mapping_record *record)
{
    return record->ends || (record->kind != MT_MAP_OPENED && record->kind != MT_MAP_CLOSED && record->kind != MT_MAP_EMPTIED);
}

static bool note_locked(const struct mt_mapping_record *record)
{
    uint64_t high = record->low + record->bytes;
    if (replaces(record)) {
        forget_locked(record->low, high);
    }
    bool means_nothing = (record->ends || !replaces(record)) && !may_overlap_locked(record->low, high);
    return means_nothing || insert_locked(record);
}

bool mt_maplog_note(const struct mt_mapping_record *record)
{
    if (record->bytes == 0 || record->low + record->bytes < record->low) {
        return true;
    }
    if (!mt_spinlock_lock(&g_maps.lock)) {
        return false;
    }
    bool noted = note_locked(record);
    mt_spinlock_unlock(&g_maps.lock);
    return noted;
}

static bool moved_kind_locked(uint64_t low, uint64_t high, uint16_t *ret_kind)
{
    const struct mt_mapping_record *found = NULL;
    for (uint64_t at = first_at(high), looked = 0; at > 0; looked++) {
        const struct mt_mapping_record *r = &g_maps.records[--at];
        if (looked == LOOK_BACK) {
            return false;
        }
        if (r->low + r->bytes > low) {
            bool one = found == NULL && replaces(r) && !r->ends && r->low <= low && r->low + r->bytes >= high;
            found = r;
            if (!one) {
                return false;
            }
        }
    }
    *ret_kind = found != NULL ? found->kind : (uint16_t)MT_MAP_MREMAP;
    return true;
}

bool mt_maplog_moved_kind(uint64_t low, uint64_t bytes, uint16_t *ret_kind)
{
    if (!mt_spinlock_lock(&g_maps.lock)) {
        return false;
    }
    bool known = moved_kind_locked(low, low + bytes, ret_kind);
    mt_spinlock_unlock(&g_maps.lock);
    return known;
}

bool mt_maplog_each(void (*take)(void *context, const struct mt_mapping_record *record), void *context)
{
    if (!mt_spinlock_lock(&g_maps.lock)) {
        return false;
    }
    for (uint64_t i = 0; i < g_maps.count; i++) {
        take(context, &g_maps.records[i]);
    }
    mt_spinlock_unlock(&g_maps.lock);
    return true;
}

uint64_t mt_maplog_count(void)
{
    return mt_load_relaxed(&g_maps.count);
}

void mt_maplog_clear(void)
{
    g_maps.count = 0;
}

void mt_maplog_after_fork(void)
{
    mt_spinlock_reset(&g_maps.lock);
    g_maps.count = 0;
}
