/* memory.h: allocation for the tools, where running out of memory ends the command.
 *
 * Decides: a tool has nothing sensible left to do when a small allocation fails, so these never return NULL: they print
 * one line and exit with 1. Sizes that come from a trace are checked by the reader before they get here.
 * A library in somebody else's process may not end it, nor keep what it lost: what it runs inside mt_memory_try is left instead, and
 * what it had allocated until then is freed. For that, blocks of the attempt under way are noted, in a table of the thread's. So a
 * file that frees what these functions gave must include this header: free() is mt_free here, which takes the block off the
 * list (tools/check-layers sees to it). Never linked into the agent. Context: [tool].
 */
#ifndef MT_UTIL_MEMORY_H
#define MT_UTIL_MEMORY_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Runs body(context) and returns true; false when one of the functions below ran out of memory in it, on this thread: body was left
 * where it stood (by longjmp). Then recover(context) (may be NULL) has given up what lives longer than the call, without allocating; after it
 * what the body had allocated and held was released. What was there before the call is recover's to judge: a change of it may
 * have been left in the middle, between two allocations. */
bool mt_memory_try(void (*body)(void *context), void (*recover)(void *context), void *context);
/* Inside an attempt: when it fails, undo(what, bytes) is called. what: a block of the functions below, or anything else that
 * memory stands for (a reader, a mapping). Returns nothing to undo by: mt_memory_release, or freeing it. */
void mt_memory_hold(void *what, size_t bytes, void (*undo)(void *what, size_t bytes));
void mt_memory_release(const void *what);
/* There is no memory for so many bytes: ends the attempt, or the tool. */
void mt_memory_out(size_t bytes) __attribute__((cold, noreturn));
/* For tests: on this thread the allocation after so many others fails, once. UINT64_MAX: none. */
void mt_memory_fail_after(uint64_t allocations);

/* Any block, or NULL. */
void mt_free(void *block);
#define free(block) mt_free(block)

/* bytes may be 0. Release with free(). */
void *mt_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
/* The same at a multiple of alignment. */
void *mt_alloc_aligned(size_t alignment, size_t bytes) __attribute__((malloc, returns_nonnull));
/* Zeroed; count * bytes is checked for overflow. */
void *mt_alloc_zero(size_t count, size_t bytes) __attribute__((malloc, returns_nonnull));
/* Grows an array to hold at least `need` elements of `bytes` each, doubling. *capacity is updated. */
void *mt_alloc_grow(void *array, size_t *capacity, size_t need, size_t bytes) __attribute__((returns_nonnull));
char *mt_strdup(const char *text) __attribute__((malloc, returns_nonnull));
char *mt_strndup(const char *text, size_t bytes) __attribute__((malloc, returns_nonnull));
/* asprintf that cannot fail. */
char *mt_format(const char *format, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));

#endif
