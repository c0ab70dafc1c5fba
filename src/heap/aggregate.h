/* aggregate.h: totals a stack instead of events, kept in the trace file itself (docs/formats/trace.md 6).
 *
 * Decides: that with --aggregate the file holds one 64-byte row a (stack, allocator), updated in place through a shared
 * mapping: bounded by the number of distinct stacks, always up to date, readable after SIGKILL. Live blocks and ranges are
 * kept in anonymous memory to know what a free gives back. One lock serialises this mode, which makes peaks exact; the
 * exact and sample modes do not come here.
 * Peak of a row without copying the world: rows whose peak_number is not the header's have not changed since the peak, so
 * their live values are their part of it; a row is folded (live copied to peak) before its first change after a peak.
 * Contexts: [hook] with the guard set.
 */
#ifndef MT_HEAP_AGGREGATE_H
#define MT_HEAP_AGGREGATE_H

#include "base/status.h"
#include "wire/format.h"

#include <stdint.h>

mt_status mt_aggregate_init(void) MT_CHECKED;
void mt_aggregate_alloc(uint64_t clock, uint64_t addr, uint64_t size, enum mt_allocator allocator, uint32_t stack);
/* Unknown addresses (allocated before recording began) are ignored. */
void mt_aggregate_free(uint64_t clock, uint64_t addr);
void mt_aggregate_map(uint64_t clock, uint64_t addr, uint64_t bytes, enum mt_map_kind kind, uint32_t stack);
/* mremap: what was at old is at addr now, as much heap as it was. */
void mt_aggregate_remap(uint64_t clock, uint64_t old, uint64_t old_bytes, uint64_t addr, uint64_t bytes, uint32_t stack);
void mt_aggregate_unmap(uint64_t clock, uint64_t addr, uint64_t bytes);
/* The trace ended, nobody records: unmaps its rows. */
void mt_aggregate_close(void);
void mt_aggregate_after_fork(void);

#endif
