/* memory.h: allocation for the tools, where running out of memory ends the command.
 *
 * Decides: a tool has nothing sensible left to do when a small allocation fails, so these never return NULL: they print
 * one line and exit with 1. Sizes that come from a trace are checked by the reader before they get here. A library in
 * somebody else's process may not end it: what it runs inside mt_memory_try is left instead. Never linked into the
 * agent. Context: [tool].
 */
#ifndef MT_UTIL_MEMORY_H
#define MT_UTIL_MEMORY_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

/* Runs body(context) and returns true; false when one of the functions below ran out of memory in it, on this thread:
 * body was left where it stood (by longjmp), and what it held is lost. */
bool mt_memory_try(void (*body)(void *context), void *context);

/* bytes may be 0. Release with free(). */
void *mt_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
/* Zeroed; count * bytes is checked for overflow. */
void *mt_alloc_zero(size_t count, size_t bytes) __attribute__((malloc, returns_nonnull));
/* Grows an array to hold at least `need` elements of `bytes` each, doubling. *capacity is updated. */
void *mt_alloc_grow(void *array, size_t *capacity, size_t need, size_t bytes) __attribute__((returns_nonnull));
char *mt_strdup(const char *text) __attribute__((malloc, returns_nonnull));
char *mt_strndup(const char *text, size_t bytes) __attribute__((malloc, returns_nonnull));
/* asprintf that cannot fail. */
char *mt_format(const char *format, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));

#endif
