/* memory_held.h: what an attempt holds (memory.h): blocks, and things to be undone. Private to util/memory.c.
 *
 * Open addressing over addresses, at most half full; removal moves entries up. Plain malloc and free. Context: [tool].
 */
#ifndef MT_UTIL_MEMORY_HELD_H
#define MT_UTIL_MEMORY_HELD_H

#include <stdbool.h>
#include <stddef.h>

struct mt_held_item {
    void *what; /* NULL: free slot */
    size_t bytes;
    void (*undo)(void *what, size_t bytes); /* NULL: it is a block alone */
    bool is_block;
};

struct mt_held_table {
    struct mt_held_item *slots;
    size_t count, capacity; /* a power of two */
};

/* Room for one more. False: no memory. */
bool mt_held_reserve(struct mt_held_table *t);
/* what must not be in it. False: no memory; not after reserve. */
bool mt_held_add(struct mt_held_table *t, struct mt_held_item item);
/* True: it was there, as a block. */
bool mt_held_remove(struct mt_held_table *t, const void *what);
/* Undoes what is to be undone, then frees the blocks that are left. */
void mt_held_undo(struct mt_held_table *t);

#endif
