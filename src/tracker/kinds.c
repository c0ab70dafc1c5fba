/* kinds.c: see kinds.h. */
#include "tracker/kinds.h"

#include "base/hash.h"

#include <string.h>

enum { POINTER_SHIFT = 16, TEXT_BYTES = (MT_TRACKER_KIND_MAX_BYTES + 1) * MT_KINDS };
#define LEVELS_BYTES (MT_LEVELS * sizeof(struct mt_level))
#define NUMBER_MASK 0xFFFFu

mt_status mt_kinds_init(struct mt_kinds *kinds)
{
    void *levels = NULL;
    void *text = NULL;
    static const char *const reserved[] = { "Unknown", "Snapshot", "GC", "Other" };
    mt_status status = mt_os_map_anonymous(LEVELS_BYTES, &levels);
    if (status != MT_OK) {
        return status;
    }
    status = mt_os_map_anonymous(TEXT_BYTES, &text);
    if (status != MT_OK) {
        mt_os_unmap(levels, LEVELS_BYTES);
        return status;
    }
    kinds->lock = (struct mt_spinlock)MT_SPINLOCK_INIT(MT_RANK_TRACKER_POOL);
    kinds->levels = levels;
    kinds->text = text;
    for (size_t i = 0; i < MT_COUNTOF(reserved); i++) {
        (void)mt_kinds_intern(kinds, reserved[i], strlen(reserved[i]));
    }
    return MT_OK;
}

void mt_kinds_fini(struct mt_kinds *kinds)
{
    mt_os_unmap(kinds->levels, LEVELS_BYTES);
    mt_os_unmap(kinds->text, TEXT_BYTES);
}

static uint32_t slot_of(const char *name, size_t bytes)
{
    return (uint32_t)mt_hash_bytes(name, bytes) & (MT_KIND_HASH_SLOTS - 1);
}

static bool has_name(const struct mt_kind *kind, const char *name, size_t bytes)
{
    return kind->bytes == bytes && memcmp(kind->name, name, bytes) == 0;
}

int32_t mt_kinds_find(const struct mt_kinds *kinds, const char *name, size_t bytes)
{
    for (uint32_t at = slot_of(name, bytes);; at = (at + 1) & (MT_KIND_HASH_SLOTS - 1)) {
        uint32_t number = mt_load_acquire(&kinds->slots[at]);
        if (number == 0) {
            return -1;
        }
        if (has_name(&kinds->kinds[number - 1], name, bytes)) {
            return (int32_t)number - 1;
        }
    }
}

static uint32_t add_locked(struct mt_kinds *kinds, const char *name, size_t bytes)
{
    uint32_t number = kinds->count;
    uint32_t at = slot_of(name, bytes);
    char *text = kinds->text + kinds->text_used;
    memcpy(text, name, bytes);
    kinds->text_used += bytes + 1;
    kinds->kinds[number] = (struct mt_kind){ .name = text, .bytes = (uint32_t)bytes };
    while (kinds->slots[at] != 0) {
        at = (at + 1) & (MT_KIND_HASH_SLOTS - 1);
    }
    mt_store_release(&kinds->slots[at], (uint16_t)(number + 1));
    mt_store_release(&kinds->count, number + 1);
    return number;
}

uint32_t mt_kinds_intern(struct mt_kinds *kinds, const char *name, size_t bytes)
{
    int32_t found = mt_kinds_find(kinds, name, bytes);
    if (MT_LIKELY(found >= 0)) {
        return (uint32_t)found;
    }
    if (!mt_spinlock_lock(&kinds->lock)) {
        return MT_KIND_OTHER;
    }
    found = mt_kinds_find(kinds, name, bytes);
    uint32_t number = MT_KIND_OTHER;
    if (found >= 0) {
        number = (uint32_t)found;
    } else if (kinds->count < MT_KINDS) {
        number = add_locked(kinds, name, bytes);
    }
    mt_spinlock_unlock(&kinds->lock);
    return number;
}

static uint32_t cache_slot(const char *name)
{
    uint64_t address = (uint64_t)(uintptr_t)name;
    return (uint32_t)((address >> 3) ^ (address >> 12)) % MT_KIND_CACHE;
}

bool mt_kinds_lookup(struct mt_kinds *kinds, const char *name, uint32_t *ret)
{
    uint64_t key = (uint64_t)(uintptr_t)name << POINTER_SHIFT;
    uint64_t *slot = &kinds->cache[cache_slot(name)];
    uint64_t seen = mt_load_acquire(slot);
    uint32_t number = (uint32_t)(seen & NUMBER_MASK);
    if (MT_LIKELY((seen & ~(uint64_t)NUMBER_MASK) == key) && strcmp(kinds->kinds[number].name, name) == 0) {
        *ret = number;
        return true;
    }
    size_t bytes = strnlen(name, MT_TRACKER_KIND_MAX_BYTES + 1);
    if (bytes > MT_TRACKER_KIND_MAX_BYTES) {
        return false;
    }
    *ret = mt_kinds_intern(kinds, name, bytes);
    mt_store_release(slot, key | *ret);
    return true;
}
