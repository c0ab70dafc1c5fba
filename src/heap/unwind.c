/* unwind.c: walking a stack, and reusing the previous one.
 *
 * The walk is a loop of one cache probe and one load a frame; everything that is not a plain row leaves it for
 * step_rare (unwind_rare.c). Frames are written once, in the order they are found, and hashed on the way
 * (unwind_hash.h): the time of a walk is the latency from one pc to the next, and that work fits into it.
 *
 * Reuse (the memo): the layout of a frame is a function of its pc, its sp and of the words its rules read. So once the
 * walk is in a state (sp, pc, and rbp where older rows use it) that the previous stack was in too, all older frames are
 * the same if the words they were read from still hold the same values; those are independent loads, no pointer chasing:
 * about 1 ns a frame where walking costs 5. The words are compared first, from the base inward, up to the first that
 * changed. That alone proves nothing, as stale frames of an earlier call can match: what it gives is the place where the
 * walk must come to if the stacks have a part in common, so that the walk has one limit to watch for and no second list to
 * follow (whose branches cannot be predicted: 100 ns a pair of unlike stacks of 40 frames).
 * rbp is an ordinary register in code without frame pointers; it is part of the state only where a row further out
 * takes its CFA from it before it is restored (MT_FRAME_NEEDS_BP). Without that nearly no stack would match.
 *
 * Invariants: reads only inside the span of stackbounds.h; frames[] is innermost first and verified at every capture;
 * signal frames and frames inside them are always walked. Contexts: [hook], own thread.
 * Measured alternatives: docs/decisions/0002-unwinder.md.
 */
#include "heap/unwind.h"

#include "base/atomic.h"
#include "base/hash.h"
#include "heap/modules.h"
#include "heap/modules_map.h"
#include "heap/unwind_walk.h"

enum {
    KEPT_MIN = 4,      /* that many outermost frames are walked as fast as they are verified and moved */
    POWER_FRAMES = 10, /* a power of the hash's multiplier costs as much as hashing that many frames */
};

size_t mt_unwinder_memory_bytes(void)
{
    return sizeof(struct mt_unwind_state);
}

/* Puts the sentinels around u->frames. */
static void put_ends(struct mt_unwinder *u)
{
    u->frames[-1].cfa = 0;
    u->frames[u->count].cfa = UINT64_MAX;
    u->frames[u->count].row = MT_FRAME_RARE;
}

/* No previous stack. */
static void forget_frames(struct mt_unwinder *u)
{
    struct mt_unwind_state *state = mt_unwind_state_of(u);
    state->usable = 0;
    u->frames = state->home->frames;
    u->count = 0;
    u->hash = 0;
    put_ends(u);
}

void mt_unwinder_init(struct mt_unwinder *u, void *memory)
{
    struct mt_unwind_state *state = memory;
    u->state = state;
    state->home = &state->areas[0];
    state->scratch = &state->areas[1];
    forget_frames(u);
    u->epoch = mt_modules_epoch();
    mt_stackbounds_init(u);
}

/* ---- the memo ------------------------------------------------------------------------------------------------------ */

/* The words a frame's caller was found by, where they are not the return address and rbp saved in the frame. */
static MT_NOINLINE bool is_rare_unchanged(const struct mt_native_frame *frame)
{
    struct mt_cfi_row row = mt_row_unpack((uint32_t)(frame->row >> 32));
    if ((frame->row & MT_FRAME_READ_BP) != 0) {
        uint64_t slot = row.bp_rule == MT_BP_AT_BP ? frame->bp : frame->cfa + (uint64_t)(int64_t)row.bp_offset;
        if (mt_stack_word(slot) != frame[1].bp) {
            return false;
        }
    }
    if ((frame->row & MT_FRAME_READ_CFA) != 0) { /* never the innermost frame: that would be RARE */
        uint64_t base = row.kind == MT_ROW_RSP_DEREF ? frame[-1].cfa : frame->bp;
        return mt_stack_word(base + (uint64_t)(int64_t)row.offset) + (uint64_t)(int64_t)row.addend == frame->cfa;
    }
    return true;
}

/* True when all that was read for a usual frame is as it was; false for a RARE one. */
MT_INLINE bool is_unchanged(const struct mt_native_frame *frame)
{
    uint64_t flags = frame->row & (MT_FRAME_READ_BP | MT_FRAME_RARE);
    if (MT_LIKELY(flags == 0)) {
        return mt_stack_word(frame->cfa - 8) == frame[1].pc;
    }
    return flags == MT_FRAME_READ_BP && mt_stack_word(frame->cfa - 8) == frame[1].pc &&
           mt_stack_word(frame->cfa - 8 * mt_entry_bp(frame->row)) == frame[1].bp;
}

/* find_unchanged from `frame` on inward, for stacks with RARE frames. */
static MT_NOINLINE const struct mt_native_frame *find_unchanged_slowly(const struct mt_native_frame *frame, uint64_t floor)
{
    while (frame[-1].cfa > floor &&
           (is_unchanged(frame - 1) || ((frame[-1].row & MT_FRAME_RARE) != 0 &&
                                        mt_stack_word(frame[-1].cfa - 8) == frame->pc && is_rare_unchanged(frame - 1)))) {
        frame--;
    }
    return frame;
}

/* The innermost frame of the previous stack that ends above floor and from which on outward all callers are as they
 * were; the end of the frames when there is none. The caller has checked that [floor, base->cfa) may be read. */
static const struct mt_native_frame *find_unchanged(const struct mt_unwinder *u, uint64_t floor)
{
    const struct mt_native_frame *frame = u->frames + u->count - 1;
    if (mt_unwind_state_of(u)->base_is_zero && mt_stack_word(frame->cfa - 8) != 0) {
        return frame + 1;
    }
    while (frame[-1].cfa > floor && is_unchanged(frame - 1)) {
        frame--;
    }
    bool is_at_rare = frame[-1].cfa > floor && (frame[-1].row & MT_FRAME_RARE) != 0;
    return MT_UNLIKELY(is_at_rare) ? find_unchanged_slowly(frame, floor) : frame;
}

/* The walk may go on with the caller of `inner` or an older frame; limit says when to look. */
static void expect(struct walk *w, const struct mt_native_frame *inner)
{
    bool is_worth_it = w->u->frames + w->u->count - inner > KEPT_MIN;
    w->inner = inner;
    w->limit = is_worth_it ? inner->cfa : UINT64_MAX;
}

/* Looks which part of the previous stack the walk, now at sp in span, may meet. */
static void expect_any(struct walk *w)
{
    const struct mt_unwinder *u = w->u;
    const struct mt_native_frame *end = u->frames + u->count;
    const struct mt_native_frame *inner = end;
    if (w->state->usable != 0 && end[-1].cfa > w->sp && end[-1].cfa <= w->span.high) {
        uint64_t unusable = end[-1 - (ptrdiff_t)w->state->usable].cfa;
        inner = find_unchanged(u, unusable > w->sp ? unusable : w->sp);
    }
    expect(w, inner);
}

/* The walk has come to the end of w->inner or beyond, with `out` frames walked. True when it meets the previous stack here:
 * it is at sp, and so at the pc, of a caller that was verified. Else sets what is to be expected further on. */
static MT_NOINLINE bool has_met(struct walk *w, uint64_t sp, struct mt_native_frame *out)
{
    const struct mt_native_frame *inner = w->inner;
    while (inner->cfa < sp) {
        inner++;
    }
    expect(w, inner);
    if (inner->cfa != sp || w->limit != sp) {
        return false;
    }
    const struct mt_native_frame *frame = inner + 1;
    if ((frame->row & MT_FRAME_RARE) == 0 &&
        ((frame->row & MT_FRAME_NEEDS_BP) == 0 || mt_unwind_bp(w, out) == frame->bp)) {
        return true;
    }
    expect(w, inner + 1);
    return false;
}

/* ---- the walk ------------------------------------------------------------------------------------------------------ */

/* The CFA of a frame whose row is not the usual one: from rbp, which is noted in the frame to be; UINT64_MAX for another
 * row, or when it makes no sense. */
static MT_NOINLINE uint64_t rbp_cfa(struct walk *w, struct mt_native_frame *out, uint64_t row, uint64_t sp)
{
    if ((row & MT_ROW_ODD) != MT_ROW_ODD_RBP) {
        return UINT64_MAX;
    }
    uint64_t bp = mt_unwind_bp(w, out);
    uint64_t cfa = bp + mt_entry_offset(row);
    bool sane = cfa > sp && (cfa & 7) == 0 && cfa - 8 * mt_entry_bp(row) >= sp;
    if (!sane) {
        return UINT64_MAX;
    }
    mt_unwind_need_bp(w, out - 1, bp);
    out->bp = bp;
    return cfa;
}

/* Where a walk of plain frames is; kept in registers. */
struct place {
    uint64_t pc, sp, hash;
    struct mt_native_frame *out;
};

/* Walks plain frames until one ends at the limit or above; false when something else is needed before. */
MT_INLINE bool walk_to_limit(struct walk *w, struct place *at)
{
    const uint64_t high = w->span.high;
    const uint64_t limit = w->limit;
    const struct mt_native_frame *const out_end = w->out_end;
    do {
        uint64_t size = mt_rowcache_size(at->pc);
        uint64_t row = mt_rowcache_row(at->pc);
        uint64_t cfa = at->sp + 8 * size;
        if (MT_UNLIKELY(mt_entry_size(row) != size || at->out == out_end)) {
            return false;
        }
        if (MT_UNLIKELY((row & MT_ROW_ODD) != 0)) {
            cfa = rbp_cfa(w, at->out, row, at->sp);
            row |= MT_FRAME_NEEDS_BP;
        }
        if (MT_UNLIKELY(cfa > high)) {
            return false;
        }
        at->out->pc = at->pc;
        at->out->cfa = cfa;
        at->out->row = row;
        at->out++;
        at->hash = mt_stack_hash_step(at->hash, at->pc);
        at->pc = mt_stack_word(cfa - 8);
        at->sp = cfa;
        if (MT_UNLIKELY(at->pc < MT_ROW_PC_MIN)) {
            w->base_is_zero = at->pc == 0;
            return false;
        }
    } while (at->sp < limit);
    return true;
}

/* Walks plain frames until something else is needed. */
static enum progress walk_plain(struct walk *w)
{
    struct place at = { w->pc, w->sp, w->hash, w->out };
    enum progress progress = PROGRESS_RARE;
    if (at.pc < MT_ROW_PC_MIN) {
        return progress;
    }
    while (progress == PROGRESS_RARE && walk_to_limit(w, &at)) {
        progress = has_met(w, at.sp, at.out) ? PROGRESS_MATCHED : PROGRESS_RARE;
    }
    w->pc = at.pc;
    w->sp = at.sp;
    w->hash = at.hash;
    w->out = at.out;
    return w->base_is_zero ? PROGRESS_COMPLETE : progress;
}

/* Takes the outermost frame of the stack when the cache knows that it is. */
static bool has_ended(struct walk *w)
{
    uint64_t row = mt_rowcache_row(w->pc);
    if ((row & MT_ROW_ODD) != MT_ROW_ODD_END || w->exact || w->out == w->out_end) {
        return false;
    }
    *w->out++ = (struct mt_native_frame){ .pc = w->pc, .cfa = w->sp + 8, .row = row | MT_FRAME_RARE };
    w->hash = mt_stack_hash_step(w->hash, w->pc);
    return true;
}

static enum progress walk(struct walk *w)
{
    enum progress progress;
    do {
        progress = walk_plain(w);
        if (progress == PROGRESS_RARE && has_ended(w)) {
            return PROGRESS_COMPLETE;
        }
        while (progress == PROGRESS_RARE) {
            (void)mt_unwind_bp(w, w->out);
            progress = mt_unwind_step_rare(w);
            w->bp_from = w->out;
            if (progress == PROGRESS_MOVED) {
                expect_any(w);
                progress = PROGRESS_RARE;
            }
        }
    } while (progress == PROGRESS_PLAIN);
    return progress;
}

/* False when regs->sp is no stack pointer. */
static bool begin(struct walk *w, struct mt_unwinder *u, const struct mt_frame_regs *regs)
{
    w->u = u;
    w->state = mt_unwind_state_of(u);
    w->pc = regs->pc;
    w->sp = regs->sp;
    w->bp = regs->bp;
    w->hash = 0;
    w->r10 = 0;
    w->scratch = w->state->scratch;
    w->out = w->scratch->frames;
    w->bp_from = w->out;
    w->out_end = w->out + MT_UNWIND_MAX_FRAMES;
    w->oldest_signal = NULL;
    w->signals = 0;
    w->exact = false;
    w->base_is_zero = false;
    return (regs->sp & 7) == 0 && mt_stackbounds_enter(u, regs->sp, &w->span);
}

/* ---- the new stack ------------------------------------------------------------------------------------------------- */

/* Polynomial of the new stack: of the walked frames and the reused ones. */
static uint64_t sum_of(const struct walk *w, uint32_t kept)
{
    const struct mt_unwinder *u = w->u;
    const struct mt_native_frame *old = u->frames + u->count - kept;
    uint64_t walked = w->hash;
    uint64_t dropped = 0;
    if (kept <= (uint32_t)(old - u->frames) + POWER_FRAMES) {
        for (const struct mt_native_frame *frame = old; frame < old + kept; frame++) {
            walked = mt_stack_hash_step(walked, mt_stack_hash_fold(frame->pc));
        }
        return mt_stack_hash_reduce(walked);
    }
    for (const struct mt_native_frame *frame = u->frames; frame < old; frame++) {
        dropped = mt_stack_hash_step(dropped, mt_stack_hash_fold(frame->pc));
    }
    uint64_t change = mt_stack_hash_reduce(walked) + MT_STACK_HASH_PRIME - mt_stack_hash_reduce(dropped);
    return mt_stack_hash_reduce(w->state->sum + mt_stack_hash_multiply(change, mt_stack_hash_power(kept)));
}

/* In 8-byte pieces: loading two fresh 8-byte stores as one stalls. */
static void move_frames(struct mt_native_frame *to, const struct mt_native_frame *from, uint32_t count)
{
    for (const struct mt_native_frame *end = from + count; from < end; from++, to++) {
        to->pc = from->pc;
        mt_fence_compiler();
        to->cfa = from->cfa;
        mt_fence_compiler();
        to->row = from->row;
        mt_fence_compiler();
        to->bp = from->bp;
    }
}

/* Makes the walked frames and the outermost `kept` of the previous stack the stack; moves the fewer of them. */
static void splice(struct walk *w, uint32_t walked, uint32_t kept)
{
    struct mt_unwinder *u = w->u;
    struct mt_unwind_state *state = w->state;
    struct mt_native_frame *old = u->frames + u->count - kept;
    u->count = walked + kept;
    if (walked < kept) {
        u->frames = old - walked;
        move_frames(u->frames, w->scratch->frames, walked);
    } else {
        move_frames(w->out, old, kept);
        u->frames = w->scratch->frames;
        state->scratch = state->home;
        state->home = w->scratch;
    }
    put_ends(u);
}

static enum mt_unwind_result result_of(enum progress progress)
{
    if (progress == PROGRESS_COMPLETE) {
        return MT_UNWIND_COMPLETE;
    }
    return progress == PROGRESS_TRUNCATED ? MT_UNWIND_TRUNCATED : MT_UNWIND_BROKEN;
}

/* Frames that may be reused next time: those older than the oldest signal frame and the frame it interrupted. */
static uint32_t usable_of(const struct walk *w, uint32_t count)
{
    if (w->state->result == MT_UNWIND_TRUNCATED) {
        return 0; /* the outermost frames are missing, and the next stack may have room for them */
    }
    if (w->oldest_signal == NULL) {
        return count;
    }
    uint32_t newer = (uint32_t)(w->oldest_signal - w->scratch->frames) + 2;
    return count > newer ? count - newer : 0;
}

static enum mt_unwind_result finish(struct walk *w, enum progress progress)
{
    struct mt_unwinder *u = w->u;
    struct mt_unwind_state *state = w->state;
    uint32_t walked = (uint32_t)(w->out - w->scratch->frames);
    uint32_t kept = 0;
    if (progress == PROGRESS_MATCHED) {
        const struct mt_native_frame *frame = w->inner + 1;
        kept = (uint32_t)(u->frames + u->count - frame);
        if ((frame->row & MT_FRAME_NEEDS_BP) != 0) {
            mt_unwind_need_bp(w, w->out - 1, frame->bp);
        }
    } else {
        state->result = (uint8_t)result_of(progress);
        state->base_is_zero = w->base_is_zero;
    }
    state->sum = sum_of(w, kept);
    state->usable = usable_of(w, walked + kept);
    state->walked = walked;
    splice(w, walked, kept);
    u->hash = mt_hash_u64(state->sum ^ mt_hash_u64(((uint64_t)u->epoch << 8 | state->result) + 1));
    return (enum mt_unwind_result)state->result;
}

/* unchanged: as find_unchanged says, NULL when it is not known yet. */
static MT_NOINLINE enum mt_unwind_result capture_anew(struct mt_unwinder *u, const struct mt_frame_regs *regs,
                                                      const struct mt_native_frame *unchanged)
{
    struct walk w;
    if (!begin(&w, u, regs)) {
        forget_frames(u);
        return MT_UNWIND_BROKEN;
    }
    if (unchanged != NULL) {
        expect(&w, unchanged);
    } else {
        expect_any(&w);
    }
    w.state->first_sp = regs->sp;
    enum progress progress = walk(&w);
    if (progress == PROGRESS_MATCHED &&
        (w.out - w.scratch->frames) + (u->frames + u->count - w.inner - 1) > MT_UNWIND_MAX_FRAMES) {
        w.state->usable = 0; /* too deep together: what is kept are the innermost frames */
        (void)begin(&w, u, regs);
        expect_any(&w);
        progress = walk(&w);
    }
    return finish(&w, progress);
}

/* True when this may be the whole previous stack again: in the state of its innermost frame, on the thread's own stack.
 * Its older frames may be read. */
MT_INLINE bool begins_as_before(const struct mt_unwinder *u, const struct mt_frame_regs *regs)
{
    const struct mt_unwind_state *state = mt_unwind_state_of(u);
    const struct mt_native_frame *first = u->frames;
    bool same = first->pc == regs->pc && state->first_sp == regs->sp && state->usable == u->count &&
                (first->row & MT_FRAME_RARE) == 0;
    return same && ((first->row & MT_FRAME_NEEDS_BP) == 0 || first->bp == regs->bp) &&
           mt_stackbounds_is_own(u, regs->sp) && first[u->count - 1].cfa <= u->stack_high;
}

/* Is the return address of this frame another one now? 0: it is the same. */
MT_INLINE uint64_t change_of(const struct mt_native_frame *frame)
{
    return mt_stack_word(frame->cfa - 8) ^ frame[1].pc;
}

/* Are these frames as they were, of which some are not usual? floor: as for find_unchanged. */
static MT_NOINLINE bool are_unchanged_slowly(const struct mt_native_frame *frame, unsigned count, uint64_t floor)
{
    const struct mt_native_frame *end = frame + count;
    while (frame < end && frame->cfa > floor &&
           (is_unchanged(frame) ||
            ((frame->row & MT_FRAME_RARE) != 0 && change_of(frame) == 0 && is_rare_unchanged(frame)))) {
        frame++;
    }
    return frame == end;
}

/* After begins_as_before: are all frames as they were? find_unchanged says the same; this looks at four frames at a time, which is
 * half the instructions, and from the innermost on, where most changes are. */
MT_INLINE bool is_whole(const struct mt_unwinder *u, uint64_t floor)
{
    enum { AT_ONCE = 4 };
    const struct mt_native_frame *frame = u->frames;
    const struct mt_native_frame *last = frame + u->count - 1;
    for (; last - frame >= AT_ONCE; frame += AT_ONCE) {
        uint64_t flags = frame[0].row | frame[1].row | frame[2].row | frame[3].row;
        if (MT_LIKELY((flags & (MT_FRAME_READ_BP | MT_FRAME_RARE)) == 0)) {
            if ((change_of(frame) | change_of(frame + 1) | change_of(frame + 2) | change_of(frame + 3)) != 0) {
                return false;
            }
        } else if (!are_unchanged_slowly(frame, AT_ONCE, floor)) {
            return false;
        }
    }
    return (frame == last || are_unchanged_slowly(frame, (unsigned)(last - frame), floor)) &&
           (!mt_unwind_state_of(u)->base_is_zero || mt_stack_word(last->cfa - 8) == 0);
}

enum mt_unwind_result mt_unwind_capture(struct mt_unwinder *u, const struct mt_frame_regs *regs)
{
    const struct mt_native_frame *unchanged = NULL;
    uint32_t epoch = mt_load_acquire(&mt_g_modules_epoch);
    if (MT_UNLIKELY(u->epoch != epoch)) {
        u->epoch = epoch;
        forget_frames(u);
    }
    if (begins_as_before(u, regs)) {
        unchanged = is_whole(u, regs->sp) ? u->frames : find_unchanged(u, regs->sp);
        if (unchanged == u->frames) {
            return (enum mt_unwind_result)mt_unwind_state_of(u)->result;
        }
    }
    return capture_anew(u, regs, unchanged);
}

void mt_unwind_forget_range(uint64_t addr, uint64_t bytes)
{
    mt_stackbounds_forget(addr, bytes);
    if (mt_modulemap_overlaps(addr, addr + bytes)) {
        mt_rowcache_forget(addr, addr + bytes);
    }
}

void mt_unwind_after_fork(void)
{
    /* The row cache and the windows hold for the child's copy of memory, and neither has a lock to free. */
}
