/* index.h: a hash index over an array somebody else owns: hash -> candidate positions.
 *
 * Decides: linear probing, at most 5/8 full, 8 bytes a slot: position and the upper half of the hash, so that nearly
 * every candidate is the right one. That half also says the place, by its upper bits: an index grows without asking for hashes, in one
 * pass from front to back. The caller compares keys; nothing is ever removed. Position UINT32_MAX is reserved.
 *     size_t probe = 0;
 *     uint32_t at;
 *     while ((at = mt_index_next(&index, hash, &probe)) != MT_INDEX_NONE && !same(&array[at], key)) {}
 * Context: [tool].
 */
#ifndef MT_MODEL_INDEX_H
#define MT_MODEL_INDEX_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

#define MT_INDEX_NONE UINT32_MAX

struct mt_index_slot {
    uint32_t position; /* + 1; 0 free */
    uint32_t hash_high;
};

struct mt_index {
    struct mt_index_slot *slots;
    size_t mask; /* slots - 1; slots NULL: empty */
    size_t count;
};

/* Where the search begins. */
MT_INLINE size_t mt_index_place(const struct mt_index *index, uint32_t hash_high)
{
    return (size_t)(((uint64_t)hash_high * (index->mask + 1)) >> 32);
}

/* The next candidate for hash, MT_INDEX_NONE when there is none. *probe is 0 at the first call. */
MT_INLINE uint32_t mt_index_next(const struct mt_index *index, uint64_t hash, size_t *probe)
{
    if (index->slots == NULL) {
        return MT_INDEX_NONE;
    }
    for (;;) {
        const struct mt_index_slot *slot = &index->slots[(mt_index_place(index, (uint32_t)(hash >> 32)) + (*probe)++) & index->mask];
        if (slot->position == 0) {
            return MT_INDEX_NONE;
        }
        if (slot->hash_high == (uint32_t)(hash >> 32)) {
            return slot->position - 1;
        }
    }
}

/* hash: well mixed in its upper half. */
void mt_index_add(struct mt_index *index, uint64_t hash, uint32_t position);
void mt_index_fini(struct mt_index *index);

#endif
