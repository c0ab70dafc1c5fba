/* names.h: the memory of everything a symbolizer hands out: interned strings and frame arrays.
 *
 * Decides: one copy of each string, in chunks that are freed together with the symbolizer, so that a caller may keep any
 * pointer it got (symbol.h) and may compare names of one symbolizer by address. Invariant: a chunk never moves. An
 * individual free would buy nothing: the names of a trace are needed until its last report is written. Context: [tool].
 */
#ifndef MT_SYMBOL_NAMES_H
#define MT_SYMBOL_NAMES_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mt_names_chunk;

struct mt_names {
    struct mt_names_chunk *chunks; /* newest first */
    const char **table;            /* open addressing, capacity a power of two, NULL = free */
    size_t capacity;
    size_t count;
};

enum { MT_NAME_MAX_BYTES = 64 * 1024 }; /* longer names are cut; the longest real ones (C++ templates) have about 20 KB */

/* An empty set; cannot fail. */
void mt_names_init(struct mt_names *names);
/* Frees every string and array. Accepts an initialised or zeroed set. */
void mt_names_fini(struct mt_names *names);
/* bytes of memory, 8-byte aligned, zeroed, living as long as the set; NULL when out of memory. */
void *mt_names_alloc(struct mt_names *names, size_t bytes);
/* The set's copy of text (bytes long, need not end in NUL, cut at MT_NAME_MAX_BYTES); NULL when out of memory. */
const char *mt_names_intern(struct mt_names *names, const char *text, size_t bytes);
/* Same for a NUL-terminated string. */
const char *mt_names_intern_text(struct mt_names *names, const char *text);

#endif
