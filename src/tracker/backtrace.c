/* backtrace.c: native stacks of callers that bring none.
 *
 * Decides: by default the unwinder of the compiler's run-time (_Unwind_Backtrace), because most code has no frame pointers
 * and a guessed stack is worse than none. It takes 0.1 us a frame and more, so it is asked for new frames only. Where a frame
 * lies is a function of the pcs and the stack pointer of those further in, as long as none of them has a frame pointer of its
 * own (alloca, realigned stacks): from a frame on from which that holds and where every return address is in the same place
 * as in the stack this thread captured last, this is that stack.
 * A program that is built with frame pointers may say so and gets the chain of them instead. The chain is followed upwards
 * only, on addresses known to be readable: a page is asked about once (0.1 us) and remembered while the thread stays on that
 * stack, so a register that holds something else ends the walk and nothing worse.
 * Context: any thread; not a signal handler that interrupted the unwinder.
 */
#include "tracker/private.h"

#include <string.h>
#include <unwind.h>

enum { WORD = sizeof(uint64_t), PAGE = 4096, FRAME_MAX = 1 << 20 /* no frame is larger */, DWARF_RBP = 6 };

/* slots[i]: where pcs[i], a return address, is on the stack; they rise. */
struct frames {
    uint64_t pcs[MT_TRACKER_DEPTH_MAX];
    uint64_t slots[MT_TRACKER_DEPTH_MAX];
    uint32_t count;
    uint32_t fixed; /* from this one on no frame has a frame pointer of its own */
};

struct walk {
    struct frames frames;
    const void *first;
    uint64_t bp; /* rbp in the frame added last */
    uint32_t depth;
    uint32_t met; /* frames of the last stack further in than the walk is */
};

/* The stack captured last, or nothing when some frame of it does not lie as a usual one. */
static _Thread_local struct {
    struct frames frames;
    uint32_t depth; /* it was cut there */
} t_last;

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

static void add_frame(struct walk *walk, uint64_t pc, uint64_t slot)
{
    walk->frames.pcs[walk->frames.count] = pc;
    walk->frames.slots[walk->frames.count++] = slot;
}

/* frame: where the caller's frame pointer is saved, its return address above it (x86-64 psABI 3.2.2). */
static void walk_frame_pointers(struct walk *walk, uint64_t frame)
{
    add_frame(walk, (uint64_t)(uintptr_t)walk->first, 0);
    while (walk->frames.count < walk->depth) {
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
        add_frame(walk, pc, 0);
        frame = next;
    }
}

/* Do all frames from `from` on have their return addresses where they are said to be? */
static bool hold(const struct frames *f, uint32_t from)
{
    for (uint32_t i = from; i < f->count; i++) {
        if (*(const uint64_t *)(uintptr_t)f->slots[i] != f->pcs[i]) {
            return false;
        }
    }
    return true;
}

/* Has the walk come to a frame of the last stack from which on that one is this one? Then takes the rest from there. The
 * stack above a frame that is there is there, and hold() read it when it was captured. */
static bool joins_last(struct walk *walk, uint64_t pc, uint64_t slot)
{
    const struct frames *last = &t_last.frames;
    uint32_t at = walk->met;
    while (at < last->count && last->slots[at] < slot) {
        at++;
    }
    walk->met = at;
    if (at == last->count || at < last->fixed || last->slots[at] != slot || last->pcs[at] != pc) {
        return false;
    }
    bool rest_was_cut = last->count == t_last.depth && walk->frames.count + last->count - at < walk->depth;
    if (rest_was_cut || !hold(last, at)) {
        return false;
    }
    for (; at < last->count && walk->frames.count < walk->depth; at++) {
        add_frame(walk, last->pcs[at], last->slots[at]);
    }
    return true;
}

/* While a frame is visited, its context's CFA is that of the frame it called: the return address lies below it. */
static _Unwind_Reason_Code visit(struct _Unwind_Context *context, void *argument)
{
    struct walk *walk = argument;
    uint64_t pc = _Unwind_GetIP(context);
    uint64_t slot = _Unwind_GetCFA(context) - WORD;
    if (walk->frames.count == 0 && pc != (uint64_t)(uintptr_t)walk->first) {
        return _URC_NO_REASON; /* our own frames */
    }
    if (walk->frames.count > 0 && walk->bp > walk->frames.slots[walk->frames.count - 1] && walk->bp < slot) {
        walk->frames.fixed = walk->frames.count; /* rbp points into the frame it was read in */
    }
    if (pc == 0 || joins_last(walk, pc, slot)) { /* 0: below the outermost frame */
        return _URC_END_OF_STACK;
    }
    add_frame(walk, pc, slot);
    walk->bp = _Unwind_GetGR(context, DWARF_RBP);
    return walk->frames.count < walk->depth ? _URC_NO_REASON : _URC_END_OF_STACK;
}

/* Keeps a stack that may be verified later: every return address in its place, on one stack without a gap. */
static void remember(const struct walk *walk)
{
    const struct frames *f = &walk->frames;
    t_last.frames.count = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        bool rises = i == 0 || (f->slots[i] > f->slots[i - 1] && f->slots[i] - f->slots[i - 1] < FRAME_MAX);
        if (!rises || f->slots[i] % WORD != 0 || !is_readable(f->slots[i])) {
            return;
        }
    }
    if (hold(f, 0)) {
        memcpy(t_last.frames.pcs, f->pcs, f->count * sizeof f->pcs[0]);
        memcpy(t_last.frames.slots, f->slots, f->count * sizeof f->slots[0]);
        t_last.frames.count = f->count;
        t_last.frames.fixed = f->fixed;
        t_last.depth = walk->depth;
    }
}

static void unwind(struct walk *walk, const void *frame)
{
    uint64_t slot = (uint64_t)(uintptr_t)frame + WORD; /* psABI: our frame pointer, our return address */
    if (!joins_last(walk, (uint64_t)(uintptr_t)walk->first, slot)) {
        (void)_Unwind_Backtrace(visit, walk);
        remember(walk);
    }
}

uint32_t mt_tracker_native_stack(struct mt_tracker *tracker, const void *first, const void *frame)
{
    struct walk walk;
    walk.first = first;
    walk.frames.count = 0;
    walk.frames.fixed = 0;
    walk.bp = 0;
    walk.depth = mt_load_relaxed(&tracker->stack_depth);
    walk.met = 0;
    if (tracker->frame_pointers) {
        walk_frame_pointers(&walk, (uint64_t)(uintptr_t)frame);
    } else {
        unwind(&walk, frame);
    }
    if (walk.frames.count == 0) {
        add_frame(&walk, (uint64_t)(uintptr_t)first, 0);
    }
    return mt_tracker_stack(tracker, walk.frames.pcs, walk.frames.count, NULL);
}
