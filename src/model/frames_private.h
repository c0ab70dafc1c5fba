/* frames_private.h: the resolver's state. Private to model/frames*.c.
 *
 * frames.c turns one node into frames and remembers it; frames_merge.c decides the order of a whole stack.
 * Context: [tool].
 */
#ifndef MT_MODEL_FRAMES_PRIVATE_H
#define MT_MODEL_FRAMES_PRIVATE_H

#include "model/frame_table.h"
#include "model/frames.h"
#include "symbol/symbol.h"
#include "util/strlist.h"

/* Frames of one code location: a native pc (with inlines) or a Python instruction. */
struct mt_location {
    uint32_t trace_idx;
    uint32_t owner;   /* module_idx, or code number with the high bit of kind set */
    uint64_t address; /* pc, or lasti */
    bool python;
    bool evaluates;   /* native: the interpreter's evaluation loop (<= 3.10) */
    size_t first;     /* in spots, innermost first */
    size_t count;
};

/* A growing list of numbers. */
struct mt_numbers {
    uint32_t *data;
    size_t count, capacity;
};

enum { MT_LIST_BUFFERS = 4 }; /* slack for callers that hold on to a list a little too long */

struct mt_frames {
    const struct mt_trace_set *set;
    struct mt_frames_options options;
    struct mt_symbolizer *symbolizer; /* NULL: no symbols */
    struct mt_frame_table table;
    struct mt_location *locations;
    size_t location_count, location_capacity;
    struct mt_index location_index;
    struct mt_frame_spot *spots; /* of locations */
    size_t spot_count, spot_capacity;
    struct mt_numbers native, python; /* nodes of the stack being merged, innermost first */
    struct mt_numbers lists[MT_LIST_BUFFERS];  /* frame ids */
    struct mt_numbers places[MT_LIST_BUFFERS]; /* their spots */
    size_t list_at;
    uint32_t unknown, truncated; /* marker frames */
    struct mt_strlist replaced;  /* paths of binaries built anew since */
};

void mt_numbers_push(struct mt_numbers *n, uint32_t value);

/* frames.c; valid until the next call of either. */
const struct mt_location *mt_frames_native(struct mt_frames *f, uint32_t trace_idx, const struct mt_native_node *node);
const struct mt_location *mt_frames_python(struct mt_frames *f, uint32_t trace_idx, const struct mt_python_node *node);

/* frames_merge.c: appends the spots of a stack that exists to out. */
void mt_frames_merge(struct mt_frames *f, uint32_t trace_idx, const struct mt_stack *stack, struct mt_numbers *out);

#endif
