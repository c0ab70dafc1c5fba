/* aggregate_private.h: what aggregate_ranges.c gives to those who count: aggregate.c, and totals.c for a trace with a bound. Their
 * lock is held around all of it. */
#ifndef MT_HEAP_AGGREGATE_PRIVATE_H
#define MT_HEAP_AGGREGATE_PRIVATE_H

#include "base/status.h"
#include "wire/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MT_AGGREGATE_NO_ROW = 0 };

/* Who counts what ranges hold. row: the number of the row of (stack, allocator), made if need be; MT_AGGREGATE_NO_ROW without room. */
struct mt_range_books {
    uint32_t (*row)(uint32_t stack, enum mt_allocator allocator);
    void (*grow)(uint32_t row, uint64_t clock, uint64_t bytes, uint64_t count);
    void (*shrink)(uint32_t row, uint64_t clock, uint64_t bytes, uint64_t count);
};
/* Zeroed memory without huge pages. */
bool mt_aggregate_map_array(size_t bytes, void **ret);

/* aggregate_ranges.c. [low, high) is not empty. False: there was no room, something is not accounted for. */
bool mt_aggregate_map_locked(uint64_t clock, uint64_t low, uint64_t high, enum mt_map_kind kind, uint32_t stack);
/* kind: OPENED, CLOSED or EMPTIED. */
bool mt_aggregate_access_locked(uint64_t clock, uint64_t low, uint64_t high, enum mt_map_kind kind, uint32_t stack);
void mt_aggregate_unmap_locked(uint64_t clock, uint64_t low, uint64_t high);
/* As what the memory at addr counts when it is moved by mremap. */
enum mt_map_kind mt_aggregate_kind_moved_locked(uint64_t addr);
/* Forgets all, for a new trace that is counted in those books (borrowed). Nobody else may be inside. */
void mt_aggregate_begin_ranges(const struct mt_range_books *books);

#endif
