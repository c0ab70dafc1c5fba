/* decode_nested.c: the traces of other processes inside a file (docs/formats/trace.md section 1.3).
 *
 * Decides: where such a trace ends, which the block in front of it says. Where that block is damaged the trace's own
 * header is found by its magic and says how long it is: blocks behind it must never pass for those of the trace around.
 * Context: [tool].
 */
#include "wire/decode_source.h"

#include <stdlib.h>
#include <string.h>

static bool push(struct mt_reader *r, uint64_t offset, uint64_t bytes)
{
    if (r->nested_count == r->nested_capacity) {
        size_t capacity = r->nested_capacity ? 2 * r->nested_capacity : 16;
        struct mt_nested *grown = realloc(r->nested, capacity * sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        r->nested = grown;
        r->nested_capacity = capacity;
    }
    r->nested[r->nested_count++] = (struct mt_nested){ offset, bytes };
    return true;
}

/* The trace at `offset` says it has so many bytes. */
static mt_status take(struct mt_reader *r, uint64_t offset, uint64_t bytes, bool wanted, uint64_t *ret_next)
{
    uint64_t there = r->source.bytes > offset ? r->source.bytes - offset : 0;
    if (bytes > there) {
        bytes = there;
        r->report.truncated_at = r->report.truncated_at != 0 ? r->report.truncated_at : r->source.bytes;
    }
    *ret_next = (offset + bytes + MT_EXTENT_ALIGN - 1) & ~(uint64_t)(MT_EXTENT_ALIGN - 1);
    return !wanted || push(r, offset, bytes) ? MT_OK : MT_E_NOMEM;
}

mt_status mt_nested_take(struct mt_reader *r, uint64_t offset, const struct mt_block_header *h, bool wanted,
                         uint64_t *ret_next)
{
    uint64_t next;
    mt_status status = take(r, offset + sizeof *h, h->clock_first, wanted, &next);
    *ret_next = next > offset + h->extent_bytes ? next : offset + h->extent_bytes;
    return status;
}

bool mt_nested_begins(const struct mt_reader *r, const uint8_t *at)
{
    return !r->inside && memcmp(at, MT_TRACE_MAGIC, sizeof MT_TRACE_MAGIC - 1) == 0;
}

mt_status mt_nested_adopt(struct mt_reader *r, uint64_t offset, bool wanted, uint64_t *ret_next)
{
    uint64_t tail = 0;
    size_t got;
    mt_status status = mt_source_read(&r->source, offset + offsetof(struct mt_trace_header, file_tail), &tail,
                                      sizeof tail, &got);
    if (status != MT_OK) {
        return status;
    }
    bool plausible = got == sizeof tail && tail >= MT_TRACE_FIXED_BYTES;
    return take(r, offset, plausible ? tail : UINT64_MAX, wanted, ret_next);
}
