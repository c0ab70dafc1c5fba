/* hashtab.h: 64-bit key -> 32-bit value, growing, insert only, read without a lock.
 *
 * Decides: linear probing over keys in anonymous memory, values beside them: 12 bytes a place. The place of a key is the upper
 * half of its product with the capacity, so that places are in the order of keys: a table grows by a quarter at a time, at a
 * load of 4/5, in one pass from front to back, and what has been passed is given back. From 256 KiB on a table takes 15 to 19 bytes a
 * key, and no more while it grows; below, where every growth costs a short program more than the memory is worth, it grows
 * faster. A look-up goes to memory that was long not used: tables of 8 MiB and more are in huge pages where the kernel gives them.
 * Keys are well-mixed hashes (non-zero) whose equality is taken as equality of what they stand for: with 64 bits and a million entries
 * a false match has probability 3e-8.
 * Pairing H1: a slot's value is stored before its key (release); readers load the key with acquire. Pairing H2: a new
 * array is filled before it is published (release); readers load the array with acquire. A reader may still be in an old
 * array: its memory reads as zeros, so a key is not found (then the reader looks again under the owner's lock) or has the value
 * 0, which is none. Old arrays keep their addresses for that; those of a table that is only read under the lock go.
 * Contexts: get [hook] any thread, unless the table is locked; put and clear under the owner's lock.
 */
#ifndef MT_HEAP_HASHTAB_H
#define MT_HEAP_HASHTAB_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MT_HASHTAB_GROWTHS = 64 }; /* to 60 GiB */

struct mt_hashtab_array {
    uint64_t capacity; /* in places; 0: unmapped */
    uint64_t bytes;    /* of the mapping */
    uint64_t *keys;
    uint32_t *values;
};

struct mt_hashtab {
    struct mt_hashtab_array *array; /* of arrays; NULL while empty */
    uint64_t count;
    bool locked; /* set before the first put: get is called under the owner's lock, too */
    struct mt_hashtab_array arrays[MT_HASHTAB_GROWTHS]; /* one after the other; never changed again once they are published */
};

/* key non-zero. Without the owner's lock false may also mean that the table is growing. */
bool mt_hashtab_get(const struct mt_hashtab *t, uint64_t key, uint32_t *ret_value);
/* Adds a key that is not there, value non-zero; false when there is no memory (the table stays as it was). */
bool mt_hashtab_put(struct mt_hashtab *t, uint64_t key, uint32_t value);
/* Empties the table for a new trace; no reader may be inside. */
void mt_hashtab_clear(struct mt_hashtab *t);

#endif
