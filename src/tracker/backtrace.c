/* backtrace.c: native stacks of callers that bring none.
 *
 * Decides: the unwinder of the compiler's run-time (_Unwind_Backtrace), because most code has no frame pointers and a guessed
 * stack is worse than none.
 * Context: any thread, not a signal handler that interrupted the unwinder.
 */
#include "tracker/private.h"

#include <unwind.h>

struct walk {
    uint64_t pcs[MT_TRACKER_DEPTH_MAX];
    const void *first;
    uint32_t count, depth;
};

static _Unwind_Reason_Code visit(struct _Unwind_Context *context, void *argument)
{
    struct walk *walk = argument;
    uint64_t pc = _Unwind_GetIP(context);
    if (walk->count == 0 && pc != (uint64_t)(uintptr_t)walk->first) {
        return _URC_NO_REASON; /* our own frames */
    }
    walk->pcs[walk->count++] = pc;
    return walk->count < walk->depth ? _URC_NO_REASON : _URC_END_OF_STACK;
}

uint32_t mt_tracker_native_stack(struct mt_tracker *tracker, const void *first, const void *frame)
{
    struct walk walk = { .first = first, .depth = mt_tracker_stack_depth(tracker) };
    (void)frame;
    (void)_Unwind_Backtrace(visit, &walk);
    if (walk.count == 0) {
        walk.pcs[walk.count++] = (uint64_t)(uintptr_t)first;
    }
    return mt_tracker_stack(tracker, walk.pcs, walk.count, NULL);
}
