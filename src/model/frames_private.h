/* frames_private.h: the resolver's state. Private to model/frames*.c.
 *
 * frames.c turns one node into frames and remembers it; frames_merge.c decides the order of a whole stack.
 * Context: [tool].
 */
#ifndef MT_MODEL_FRAMES_PRIVATE_H
#define MT_MODEL_FRAMES_PRIVATE_H

#include "model/frame_table.h"
#include "model/frames.h"
#include "model/frames_bound.h"
#include "symbol/pyline.h"
#include "symbol/symbol.h"
#include "util/memory.h"
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

/* What folding remembers of a frame. */
struct mt_frame_note {
    uint8_t role;       /* enum mt_role + 1; 0 not asked yet */
    bool nameless;      /* set with the role: of the C library, which has no name for it */
    uint8_t part;       /* frames_fold.c: what it is to Python's start; 0 not asked yet */
    uint32_t made_spot; /* of a frame that stands for others: its only spot; 0 none yet */
};

/* A growing list of numbers. */
struct mt_numbers {
    uint32_t *data;
    size_t count, capacity;
};

MT_INLINE void mt_numbers_push(struct mt_numbers *n, uint32_t value)
{
    if (n->count == n->capacity) {
        n->data = mt_alloc_grow(n->data, &n->capacity, n->count + 1, sizeof *n->data);
    }
    n->data[n->count++] = value;
}

/* By code number: how far its line table has been read. */
struct mt_code_places {
    struct mt_pyline_place *data;
    size_t count;
};

/* The frame that stands for an import was made for what it was made of. */
struct mt_import_made {
    uint32_t inner, importer; /* frame ids + 1; 0 none */
    uint32_t trace_idx, node; /* the importer's Python node */
    uint32_t spot;
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
    struct mt_numbers *python_spots; /* by trace: by Python node, its spot; 0 not asked yet */
    struct mt_code_places *code_places; /* by trace */
    struct mt_numbers native, python; /* nodes of the stack being merged, innermost first */
    struct mt_numbers origins; /* of each spot that was merged: its Python node, 0 native */
    struct mt_numbers folded;  /* scratch of folding */
    struct mt_frame_note *notes; /* by frame id */
    size_t note_count, note_capacity;
    struct mt_imports *imports; /* by trace; made when first needed */
    struct mt_import_made *made; /* by mt_frames_fold: imports so far */
    size_t made_count, made_capacity;
    struct mt_index made_index;
    struct mt_numbers lists[MT_LIST_BUFFERS];  /* frame ids */
    struct mt_numbers places[MT_LIST_BUFFERS]; /* their spots */
    size_t list_at;
    struct mt_frame_list last; /* the list that was asked for last, of */
    size_t last_trace_idx;
    uint32_t last_python;
    uint32_t unknown, truncated; /* marker frames */
    struct mt_bound bound;
    uint64_t visited;   /* nodes that lists were made of */
    uint64_t shortened; /* lists that were cut by the bound */
    struct mt_strlist replaced;  /* paths of binaries built anew since */
};

/* frames.c; valid until the next call of either. */
const struct mt_location *mt_frames_native(struct mt_frames *f, uint32_t trace_idx, const struct mt_native_node *node);
/* The only spot of a Python node; node: that of this number. */
uint32_t mt_frames_python(struct mt_frames *f, uint32_t trace_idx, uint32_t number, const struct mt_python_node *node);

uint32_t mt_frames_add_spot(struct mt_frames *f, uint32_t id, uint64_t address); /* its number */

/* frames_merge.c: appends the spots of a stack that exists to out, and their Python nodes to f->origins. */
void mt_frames_merge(struct mt_frames *f, uint32_t trace_idx, const struct mt_stack *stack, struct mt_numbers *out);

/* frames_fold.c: folds a merged stack in place. */
void mt_frames_fold(struct mt_frames *f, uint32_t trace_idx, struct mt_numbers *spots);
void mt_frames_fold_fini(struct mt_frames *f);

#endif
