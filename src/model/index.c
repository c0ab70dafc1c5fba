/* index.c: see index.h. Context: [tool]. */
#include "model/index.h"

#include "util/memory.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 64 };

static void put(struct mt_index *index, uint64_t hash, uint32_t position)
{
    size_t at = (size_t)hash & index->mask;
    while (index->slots[at].position != 0) {
        at = (at + 1) & index->mask;
    }
    index->slots[at] = (struct mt_index_slot){ position + 1, (uint32_t)(hash >> 32) };
}

static void grow(struct mt_index *index, uint64_t (*rehash)(const void *, uint32_t), const void *context)
{
    struct mt_index old = *index;
    size_t slots = old.slots != NULL ? 2 * (old.mask + 1) : FIRST_SLOTS;
    index->slots = mt_alloc_zero(slots, sizeof *index->slots);
    index->mask = slots - 1;
    for (size_t i = 0; old.slots != NULL && i <= old.mask; i++) {
        if (old.slots[i].position != 0) {
            put(index, rehash(context, old.slots[i].position - 1), old.slots[i].position - 1);
        }
    }
    free(old.slots);
}

void mt_index_add(struct mt_index *index, uint64_t hash, uint32_t position,
                  uint64_t (*rehash)(const void *context, uint32_t position), const void *context)
{
    if (index->slots == NULL || 8 * (index->count + 1) > 5 * (index->mask + 1)) {
        grow(index, rehash, context);
    }
    put(index, hash, position);
    index->count++;
}

void mt_index_fini(struct mt_index *index)
{
    free(index->slots);
    *index = (struct mt_index){ 0 };
}
