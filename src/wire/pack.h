/* pack.h: rewrites a finished trace compactly.
 *
 * Decides: how a trace looks when nobody writes to it any more: slots become blocks, small blocks of a stream become
 * big ones (re-encoded: decoder state starts anew at each block, so concatenation would not do), payloads are
 * compressed with zstd, events by column, an index is the last extent, header flag PACKED. Quick packing, for the end of
 * a run, re-encodes small blocks only and joins large ones. Line tables keep what stacks ask them for. A packed trace says
 * exactly what the unpacked one said: every report is the same. Invariant: the original stays untouched until the new file
 * is complete and flushed to the disk; then one rename. Context: [tool].
 */
#ifndef MT_WIRE_PACK_H
#define MT_WIRE_PACK_H

#include "base/status.h"
#include "wire/decode.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MT_PACK_QUICK = 32 * 1024 }; /* quick_bytes for the blocks that a journal filled */

/* Lines of instructions at byte offsets lasti, which ascend, by a line table of that kind; symbol/pyline.h has it. */
typedef void mt_lines_of(uint32_t kind, const uint8_t *table, size_t table_bytes, uint32_t first_line,
                         const uint32_t *lasti, size_t count, uint32_t *ret_lines);

struct mt_pack_options {
    int level;             /* zstd level, 0: default (3) */
    uint32_t raw_bytes;    /* raw bytes of a block, 0: default (2 MiB; less when there are many streams) */
    uint32_t quick_bytes;  /* blocks of events with so many raw bytes are joined as they are and compressed fast, whatever the
                              level: half the CPU time, up to half more bytes; small blocks too. 0: none */
    bool writer_is_gone;   /* the caller knows that the process is dead, whatever the header says */
    /* Makes the summary block (trace.md section 8) from the trace at path, which is complete and not packed yet and has no
     * more than that many events: malloc'ed bytes, or *ret_data NULL for none. NULL: no summary. wire/ does not know what
     * is in it. */
    mt_status (*summarize)(const char *path, uint64_t events, uint8_t **ret_data, size_t *ret_bytes);
    mt_lines_of *lines_of; /* given: line tables keep the instructions that stacks name. NULL: they stay whole */
    const char *const *warnings; /* what the packer knows beside the trace: becomes NOTE records of it */
    size_t warning_count;
    void (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes); /* may be NULL */
    void *context;
};

struct mt_pack_result {
    uint64_t before_bytes, after_bytes;
    size_t warnings; /* of options, that are in the packed trace: all, or none where the trace has no metadata */
    uint64_t events; /* records; changes of the rate among them where blocks kept their borders */
};

/* Packs the trace at path into output (NULL: replaces path itself). A trace still being recorded is refused with
 * MT_E_BUSY, a cut off one with MT_E_TRUNCATED; an already packed one is MT_OK with nothing done when output is NULL.
 * Aggregate traces keep their table uncompressed. On any failure, a full disk above all (MT_E_NOSPACE), the original is
 * as it was and no temporary file is left. options, ret and ret_error may be NULL. */
mt_status mt_pack(const char *path, const char *output, const struct mt_pack_options *options,
                  struct mt_pack_result *ret, struct mt_wire_error *ret_error) MT_CHECKED;
/* The same into a file that is open for reading and writing and whose content goes first: something passing, which is not
 * flushed. The original is only read. */
mt_status mt_pack_into(const char *path, int fd, const struct mt_pack_options *options,
                       struct mt_wire_error *ret_error) MT_CHECKED;

#endif
