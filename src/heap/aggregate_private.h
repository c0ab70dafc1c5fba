/* aggregate_private.h: what aggregate.c and aggregate_ranges.c share. The lock of aggregate.c is held around all of it. */
#ifndef MT_HEAP_AGGREGATE_PRIVATE_H
#define MT_HEAP_AGGREGATE_PRIVATE_H

#include "base/status.h"
#include "wire/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MT_AGGREGATE_NO_ROW = 0 };

/* aggregate.c. The number of the row of (stack, allocator), made if need be; MT_AGGREGATE_NO_ROW without room. */
uint32_t mt_aggregate_row_locked(uint32_t stack, enum mt_allocator allocator);
void mt_aggregate_grow_locked(uint32_t number, uint64_t clock, uint64_t bytes, uint64_t count);
void mt_aggregate_shrink_locked(uint32_t number, uint64_t clock, uint64_t bytes, uint64_t count);
/* Zeroed memory without huge pages. */
bool mt_aggregate_map_array(size_t bytes, void **ret);

/* aggregate_ranges.c. [low, high) is not empty. False: there was no room, something is not accounted for. */
bool mt_aggregate_map_locked(uint64_t clock, uint64_t low, uint64_t high, enum mt_map_kind kind, uint32_t stack);
/* kind: OPENED, CLOSED or EMPTIED. */
bool mt_aggregate_access_locked(uint64_t clock, uint64_t low, uint64_t high, enum mt_map_kind kind, uint32_t stack);
void mt_aggregate_unmap_locked(uint64_t clock, uint64_t low, uint64_t high);
/* As what the memory at addr counts when it is moved by mremap. */
enum mt_map_kind mt_aggregate_kind_moved_locked(uint64_t addr);
void mt_aggregate_forget_ranges_locked(void);

#endif
