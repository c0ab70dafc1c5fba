/* index.c: see index.h. Context: [tool]. */
#include "model/index.h"

#include "util/memory.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 64 };

static void put(struct mt_index *index, struct mt_index_slot slot)
{
    size_t at = mt_index_place(index, slot.hash_high);
    while (index->slots[at].position != 0) {
        at = (at + 1) & index->mask;
    }
    index->slots[at] = slot;
}

/* From front to back, which is nearly the order in the new slots, too: the memory of both is passed once. */
static void grow(struct mt_index *index)
{
    struct mt_index old = *index;
    size_t slots = old.slots != NULL ? 2 * (old.mask + 1) : FIRST_SLOTS;
    if (slots - 1 > UINT32_MAX) {
        mt_memory_out(SIZE_MAX);
    }
    index->slots = mt_alloc_zero(slots, sizeof *index->slots);
    index->mask = slots - 1;
    for (size_t i = 0; old.slots != NULL && i <= old.mask; i++) {
        if (old.slots[i].position != 0) {
            put(index, old.slots[i]);
        }
    }
    free(old.slots);
}

void mt_index_add(struct mt_index *index, uint64_t hash, uint32_t position)
{
    if (index->slots == NULL || 8 * (index->count + 1) > 5 * (index->mask + 1)) {
        grow(index);
    }
    put(index, (struct mt_index_slot){ position + 1, (uint32_t)(hash >> 32) });
    index->count++;
}

void mt_index_fini(struct mt_index *index)
{
    free(index->slots);
    *index = (struct mt_index){ 0 };
}
