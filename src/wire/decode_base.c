/* decode_base.c: a trace that begins at a base, because its writer keeps it below a bound.
 *
 * A base is one extent (block type 9) that holds extents: the metadata, and for each thread a block with what was still alive at
 * the base's clock, the horizon. The writer fills it behind the tail, says in the header that the trace begins there, and gives
 * what is before it back to the file system. So a reader begins inside the base and goes on behind it as ever; a base that the
 * header does not name is stepped over, because all it says is in front of it as well.
 * The header's base_offset only grows: it tells a reader that what it has found is not there any more. Context: [tool].
 */
#include "base/hash.h"
#include "wire/decode_source.h"
#include "wire/journal_file.h"

static bool is_base(const struct mt_block_header *h)
{
    return h->magic == MT_BLOCK_MAGIC && h->type == MT_BLOCK_BASE && h->extent_bytes >= sizeof *h &&
           h->extent_bytes % MT_EXTENT_ALIGN == 0 && h->header_crc == mt_crc32c(0, h, MT_BLOCK_CRC_BYTES);
}

uint64_t mt_reader_base_begin(struct mt_reader *r)
{
    struct mt_block_header h;
    size_t got;
    uint64_t at = r->header.base_offset;
    if (at < r->header.header_bytes) { /* the version is not asked: it was read a moment before, and may be the old one */
        return r->header.header_bytes;
    }
    mt_source_refresh(&r->source); /* it may be younger than the file's size is known */
    if (mt_reader_read(r, at, &h, sizeof h, &got) != MT_OK || got != sizeof h || !is_base(&h)) {
        return at; /* damaged: a hole, and what follows it */
    }
    r->base_end = at + h.extent_bytes;
    r->header.horizon_clock = h.clock_first;
    return at + sizeof h;
}

void mt_reader_drop_older(struct mt_reader *r)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct mt_extent *e = &r->extents[i];
        bool older = e->type == MT_BLOCK_EVENTS && !e->base && e->clock_first < r->header.horizon_clock && r->base_end != 0;
        if (!older) {
            r->extents[kept++] = *e;
        }
    }
    r->count = kept;
}

bool mt_reader_base_moved(const struct mt_reader *r)
{
    uint64_t now;
    size_t got;
    uint64_t header = r->has_journal ? MT_JOURNAL_OFFSET : 0;
    mt_status status = mt_reader_read(r, header + offsetof(struct mt_trace_header, base_offset), &now, sizeof now, &got);
    return r->header.state == MT_STATE_RECORDING && status == MT_OK && got == sizeof now && now > r->header.base_offset;
}
