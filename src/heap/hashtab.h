/* hashtab.h: 64-bit key -> 32-bit value, growing, insert only, read without a lock.
 *
 * Decides: linear probing over {key, value} pairs of 16 bytes in anonymous memory; load at most 3/4; doubling copies to a
 * new array and publishes it whole. Keys are well-mixed hashes (non-zero) whose equality is taken as equality of what they
 * stand for: with 64 bits and a million entries a false match has probability 3e-8.
 * Pairing H1: a slot's value is stored before its key (release); readers load the key with acquire. Pairing H2: a new
 * array is filled before it is published (release); readers load the array with acquire. Old arrays are kept, since a
 * reader may still be in them: together they are never larger than the present one.
 * Contexts: get [hook] any thread; put and clear under the owner's lock.
 */
#ifndef MT_HEAP_HASHTAB_H
#define MT_HEAP_HASHTAB_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mt_hashtab_array;

struct mt_hashtab {
    struct mt_hashtab_array *array; /* NULL while empty */
    uint64_t count;
};

/* key non-zero. */
bool mt_hashtab_get(const struct mt_hashtab *t, uint64_t key, uint32_t *ret_value);
/* Adds a key that is not there; false when there is no memory (the table stays as it was). */
bool mt_hashtab_put(struct mt_hashtab *t, uint64_t key, uint32_t value);
/* Empties the table for a new trace; no reader may be inside. */
void mt_hashtab_clear(struct mt_hashtab *t);

#endif
