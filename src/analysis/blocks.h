/* blocks.h: what a process holds at a moment, block by block.
 *
 * Decides: the same pass as every report (pass.h), so that sums over blocks are what reports say. Blocks and mappings of the heap
 * alone; a mapping may be in pieces and has no one address. Context: [tool].
 */
#ifndef MT_ANALYSIS_BLOCKS_H
#define MT_ANALYSIS_BLOCKS_H

#include "analysis/analysis.h"

struct mt_block {
    uint64_t addr;    /* UINT64_MAX: a mapping */
    uint64_t size;    /* bytes; of a mapping those that are left */
    uint64_t born_ns; /* on the run's axis */
    double bytes, count; /* what it stands for; exact traces: size, 1 */
    uint32_t stack, label, stream;
    uint8_t allocator; /* enum mt_allocator */
};

/* Each block alive after the events up to stop_clock, in no order. span: of the trace on its run's axis. interrupted (may be NULL)
 * is asked now and then: true ends it with MT_E_INTERRUPTED. MT_E_UNSUPPORTED: an aggregate has no blocks. MT_E_NOMEM, MT_E_IO. */
struct mt_blocks_visit {
    void (*each)(void *context, const struct mt_block *block);
    bool (*interrupted)(void *context);
    void *context;
    struct mt_cursor_losses *losses; /* of the events read, set at the end; may be NULL */
};
mt_status mt_blocks_alive(const struct mt_trace *trace, const struct mt_span *span, uint64_t stop_clock,
                          const struct mt_blocks_visit *visit) MT_CHECKED;

#endif
