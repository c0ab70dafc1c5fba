/* frames_bound.h: how much of a stack is shown where a trace has too much of them.
 *
 * Decides: stacks share their nodes, so a small file can describe frames without number: 20,000 stacks nested in each other
 * are 40,000 records and 200 million frames. Reading has to cost what the file costs: when all stacks together have more
 * frames (or bytes of names) than a constant times the records, each stack gets an equal share, spent on its innermost frames and
 * on its outermost ones, with a marker between. Stacks as deep as those of programs (MT_BOUND_FRAMES_WHOLE) are shown whole at any rate: that
 * is a constant times their records too.
 * Depths are sums along parents, which have smaller numbers: one pass a trace. Context: [tool].
 */
#ifndef MT_MODEL_FRAMES_BOUND_H
#define MT_MODEL_FRAMES_BOUND_H

#include "model/stacks.h"
#include "model/trace.h"

enum {
    MT_BOUND_FRAMES_A_RECORD = 32, /* on average; most real traces have a record or more for each 30 frames */
    MT_BOUND_FRAMES_WHOLE = 512,   /* so much of one kind is always shown: a job that imports pandas has 57 a record, 311 deep */
    MT_BOUND_FRAMES_FREE = 1 << 20,
    MT_BOUND_FRAMES_LEAST = 128, /* a stack's share is never less */
    MT_BOUND_OUTER = 32,         /* outermost frames of a stack that is cut */
};

/* The nodes of one kind of one trace. All zero: no bound. */
struct mt_bound_chain {
    uint32_t *depth;     /* by node: nodes from it to the root */
    uint64_t *bytes;     /* the same of the bytes of their names */
    uint32_t *outer;     /* by node: the outermost part that is always shown begins there */
    size_t count;
};

struct mt_bound {
    struct mt_bound_chain *native, *python; /* by trace; NULL: no bound */
    size_t traces;
    uint32_t frames; /* a stack's share */
    uint64_t bytes;
};

void mt_bound_make(const struct mt_trace_set *set, struct mt_bound *ret);
void mt_bound_fini(struct mt_bound *bound);

#endif
