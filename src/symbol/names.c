/* names.c: chunked arena and string set; see names.h. A chunk is 64 KiB, or as large as the one thing that needs more. */
#include "symbol/names.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 64 * 1024, TABLE_FIRST = 256 };

struct mt_names_chunk {
    struct mt_names_chunk *next;
    size_t used;
    size_t capacity;
    char data[];
};

void mt_names_init(struct mt_names *names)
{
    memset(names, 0, sizeof *names);
}

void mt_names_fini(struct mt_names *names)
{
    while (names->chunks != NULL) {
        struct mt_names_chunk *next = names->chunks->next;
        free(names->chunks);
        names->chunks = next;
    }
    free(names->table);
    mt_names_init(names);
}

static struct mt_names_chunk *chunk_with_room(struct mt_names *names, size_t bytes)
{
    struct mt_names_chunk *chunk = names->chunks;
    if (chunk != NULL && chunk->capacity - chunk->used >= bytes) {
        return chunk;
    }
    size_t capacity = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
    chunk = calloc(1, sizeof *chunk + capacity);
    if (chunk == NULL) {
        return NULL;
    }
    chunk->capacity = capacity;
    chunk->next = names->chunks;
    names->chunks = chunk;
    return chunk;
}

void *mt_names_alloc(struct mt_names *names, size_t bytes)
{
    if (bytes > SIZE_MAX / 2) {
        return NULL;
    }
    bytes = (bytes + 7) & ~(size_t)7;
    struct mt_names_chunk *chunk = chunk_with_room(names, bytes);
    if (chunk == NULL) {
        return NULL;
    }
    void *memory = chunk->data + chunk->used;
    chunk->used += bytes;
    return memory;
}

static size_t slot_of(const struct mt_names *names, const char *text, size_t bytes)
{
    size_t slot = (size_t)mt_hash_bytes(text, bytes) & (names->capacity - 1);
    while (names->table[slot] != NULL &&
           (strncmp(names->table[slot], text, bytes) != 0 || names->table[slot][bytes] != '\0')) {
        slot = (slot + 1) & (names->capacity - 1);
    }
    return slot;
}

/* Keeps the table at most half full. False: out of memory, the table as it was. */
static bool make_room(struct mt_names *names)
{
    if (names->count * 2 < names->capacity) {
        return true;
    }
    struct mt_names bigger = {.capacity = names->capacity == 0 ? TABLE_FIRST : names->capacity * 2};
    bigger.table = calloc(bigger.capacity, sizeof *bigger.table);
    if (bigger.table == NULL) {
        return false;
    }
    for (size_t i = 0; i < names->capacity; i++) {
        const char *text = names->table[i];
        if (text != NULL) {
            bigger.table[slot_of(&bigger, text, strlen(text))] = text;
        }
    }
    free(names->table);
    names->table = bigger.table;
    names->capacity = bigger.capacity;
    return true;
}

const char *mt_names_intern(struct mt_names *names, const char *text, size_t bytes)
{
    bytes = strnlen(text, bytes < MT_NAME_MAX_BYTES ? bytes : MT_NAME_MAX_BYTES);
    if (!make_room(names)) {
        return NULL;
    }
    size_t slot = slot_of(names, text, bytes);
    if (names->table[slot] != NULL) {
        return names->table[slot];
    }
    char *copy = mt_names_alloc(names, bytes + 1);
    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy, text, bytes);
    names->table[slot] = copy;
    names->count++;
    return copy;
}

const char *mt_names_intern_text(struct mt_names *names, const char *text)
{
    return mt_names_intern(names, text, MT_NAME_MAX_BYTES);
}
