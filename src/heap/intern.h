/* intern.h: stacks to numbers.
 *
 * Decides: a stack is known by a 64-bit hash of its native and Python frames (computed incrementally by the unwinders).
 * A hit costs one look-up without a lock; a stack seen for the first time is written to the metadata stream as nodes
 * (frame, parent), code objects and one STACK record. Python groups are tied to their evaluation loops by stack address.
 * Contexts: [hook] with the guard set.
 */
#ifndef MT_HEAP_INTERN_H
#define MT_HEAP_INTERN_H

#include "base/status.h"
#include "heap/unwind.h"
#include "pystack/pystack.h"

#include <stdbool.h>
#include <stdint.h>

/* What was captured: either part may be absent (NULL or count 0). */
struct mt_capture {
    const struct mt_unwinder *native;
    const struct mt_pystack *python;
    uint64_t innermost_sp; /* lowest stack address of the innermost native frame */
    bool native_truncated;
    bool python_truncated;
};

/* Number of the stack with that key (mt_hash of the capture), or 0 when it could not be recorded (counted). */
uint32_t mt_intern_stack(uint64_t key, const struct mt_capture *capture);
/* The number of the stack of one frame, `(folded)`, which stands for those that were folded; 0: it could not be recorded. */
uint32_t mt_intern_folded(void);
/* Forgets everything, for a new trace. No other thread may be inside. */
void mt_intern_clear(void);

#endif
