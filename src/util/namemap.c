/* namemap.c: byte strings to small numbers. */
#include "util/namemap.h"

#include "base/hash.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t hash;
    size_t offset; /* of the key in bytes */
    size_t length;
};

struct mt_namemap {
    struct entry *entries;
    size_t count;
    size_t capacity;
    uint32_t *slots; /* 1 + entry index, 0 empty; slot_count is a power of two, at most half full */
    size_t slot_count;
    char *bytes;
    size_t bytes_used;
    size_t bytes_capacity;
};

enum { FIRST_SLOTS = 256 };

struct mt_namemap *mt_namemap_new(void)
{
    struct mt_namemap *map = mt_alloc_zero(1, sizeof *map);
    map->slot_count = FIRST_SLOTS;
    map->slots = mt_alloc_zero(FIRST_SLOTS, sizeof *map->slots);
    return map;
}

void mt_namemap_free(struct mt_namemap *map)
{
    if (map != NULL) {
        free(map->entries);
        free(map->slots);
        free(map->bytes);
        free(map);
    }
}

/* Slot of the key, or the empty slot where it belongs. */
static size_t find_slot(const struct mt_namemap *map, uint64_t hash, const void *key, size_t length)
{
    size_t at = (size_t)hash & (map->slot_count - 1);
    while (map->slots[at] != 0) {
        const struct entry *entry = &map->entries[map->slots[at] - 1];
        if (entry->hash == hash && entry->length == length &&
            (length == 0 || memcmp(map->bytes + entry->offset, key, length) == 0)) {
            break;
        }
        at = (at + 1) & (map->slot_count - 1);
    }
    return at;
}

static void grow_slots(struct mt_namemap *map)
{
    free(map->slots);
    map->slot_count *= 2;
    map->slots = mt_alloc_zero(map->slot_count, sizeof *map->slots);
    for (size_t i = 0; i < map->count; i++) {
        size_t at = (size_t)map->entries[i].hash & (map->slot_count - 1);
        while (map->slots[at] != 0) {
            at = (at + 1) & (map->slot_count - 1);
        }
        map->slots[at] = (uint32_t)(i + 1);
    }
}

uint32_t mt_namemap_put(struct mt_namemap *map, const void *key, size_t bytes, bool *ret_new)
{
    uint64_t hash = mt_hash_bytes(key, bytes);
    size_t at = find_slot(map, hash, key, bytes);
    bool is_new = map->slots[at] == 0;
    if (ret_new != NULL) {
        *ret_new = is_new;
    }
    if (!is_new) {
        return map->slots[at] - 1;
    }
    map->entries = mt_alloc_grow(map->entries, &map->capacity, map->count + 1, sizeof *map->entries);
    map->bytes = mt_alloc_grow(map->bytes, &map->bytes_capacity, map->bytes_used + bytes + 1, 1);
    memcpy(map->bytes + map->bytes_used, key, bytes);
    map->entries[map->count] = (struct entry){ hash, map->bytes_used, bytes };
    map->bytes_used += bytes;
    map->slots[at] = (uint32_t)++map->count;
    if (map->count * 2 > map->slot_count) {
        grow_slots(map);
    }
    return (uint32_t)(map->count - 1);
}

size_t mt_namemap_count(const struct mt_namemap *map)
{
    return map->count;
}
