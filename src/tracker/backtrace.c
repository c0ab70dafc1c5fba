/* backtrace.c: native stacks of callers that bring none.
 *
 * Decides: by default the unwinder of the compiler's run-time (_Unwind_Backtrace), because most code has no frame pointers
 * and a guessed stack is worse than none. A program that is built with frame pointers may say so and gets the chain of them
 * instead, fifty times faster. The chain is followed upwards only, on addresses known to be readable: a page is asked about
 * once (0.1 us) and remembered while the thread stays on that stack, so a register that holds something else ends the walk and
 * nothing worse.
 * Context: any thread; not a signal handler that interrupted the unwinder.
 */
#include "tracker/private.h"

#include <unwind.h>

enum { WORD = sizeof(uint64_t), PAGE = 4096, FRAME_MAX = 1 << 20 /* no frame is larger */ };

struct walk {
    uint64_t pcs[MT_TRACKER_DEPTH_MAX];
    const void *first;
    uint32_t count, depth;
};

/* Readable addresses around this thread's stack pointer, whole pages. */
static _Thread_local struct {
    uint64_t low, high;
} t_stack;

static bool is_readable(uint64_t address)
{
    if (address >= t_stack.low && address + 2 * WORD <= t_stack.high) {
        return true;
    }
    uint64_t page = address & ~(uint64_t)(PAGE - 1);
    uint64_t end = (address + 2 * WORD + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    for (uint64_t at = page; at < end; at += PAGE) {
        if (!mt_os_is_readable(at)) {
            return false;
        }
    }
    bool joins = page == t_stack.high;
    t_stack.low = joins ? t_stack.low : page;
    t_stack.high = end;
    return true;
}

/* frame: where the caller's frame pointer is saved, its return address above it (x86-64 psABI 3.2.2). */
static void walk_frame_pointers(struct walk *walk, uint64_t frame)
{
    walk->pcs[walk->count++] = (uint64_t)(uintptr_t)walk->first;
    while (walk->count < walk->depth) {
        if (frame % WORD != 0 || !is_readable(frame)) {
            return;
        }
        uint64_t next = *(const uint64_t *)(uintptr_t)frame;
        if (next <= frame || next - frame > FRAME_MAX || next % WORD != 0 || !is_readable(next)) {
            return;
        }
        uint64_t pc = ((const uint64_t *)(uintptr_t)next)[1];
        if (pc < PAGE) {
            return;
        }
        walk->pcs[walk->count++] = pc;
        frame = next;
    }
}

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
    struct walk walk;
    walk.first = first;
    walk.count = 0;
    walk.depth = mt_tracker_stack_depth(tracker);
    if (tracker->frame_pointers) {
        walk_frame_pointers(&walk, (uint64_t)(uintptr_t)frame);
    } else {
        (void)_Unwind_Backtrace(visit, &walk);
    }
    if (walk.count == 0) {
        walk.pcs[walk.count++] = (uint64_t)(uintptr_t)first;
    }
    return mt_tracker_stack(tracker, walk.pcs, walk.count, NULL);
}
