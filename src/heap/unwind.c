/* unwind.c: walking a stack, and reusing the previous one.
 *
 * The walk is a loop of one cache probe and two loads a frame; everything that is not a plain row leaves it for
 * step_rare (unwind_rare.c). Reuse (the memo): the layout of a frame is a function of its pc and of the words its rules
 * read. So once the walk is in a state (cfa, pc, and rbp where older rows use it) that the previous stack was in
 * too, all older frames are the same if the words they were read from still hold the same values; those are
 * independent loads, no pointer chasing: about 1 ns a frame where walking costs 5. Comparing from the base outward
 * would be unsound: stale frames of an earlier call can match there.
 * rbp is an ordinary register in code without frame pointers; it is part of the state only where a row further out
 * takes its CFA from it before it is restored (frames[k].bp != 0 says so). Without that nearly no stack would match.
 *
 * Invariants: reads only inside the span of stackbounds.h; frames[] is base first and verified at every capture; signal
 * frames and frames inside them are always walked. Contexts: [hook], own thread.
 * Measured alternatives: docs/decisions/0002-unwinder.md.
 */
#include "heap/unwind.h"

#include "base/atomic.h"
#include "base/hash.h"
#include "heap/modules.h"
#include "heap/modules_map.h"
#include "heap/rowcache.h"
#include "heap/unwind_walk.h"

enum { SENTINELS = 1 };

size_t mt_unwinder_memory_bytes(void)
{
    return (SENTINELS + 2 * (size_t)MT_UNWIND_MAX_FRAMES) * sizeof(struct mt_native_frame) +
           sizeof(struct mt_unwind_state);
}

void mt_unwinder_init(struct mt_unwinder *u, void *memory)
{
    struct mt_native_frame *sentinel = memory;
    sentinel->cfa = UINT64_MAX;
    u->frames = sentinel + SENTINELS;
    u->scratch = u->frames + MT_UNWIND_MAX_FRAMES;
    u->count = 0;
    u->epoch = mt_modules_epoch();
    mt_stackbounds_init(u);
}

static bool is_extra_unchanged(const struct mt_native_frame *frame, uint64_t extra)
{
    uint64_t bp_distance = (uint32_t)extra;
    uint64_t cfa_distance = extra >> 32 & ~(uint64_t)7;
    uint64_t addend = (extra >> 32 & 7) * 8;
    if (bp_distance != 0 && mt_stack_word(frame->cfa - bp_distance) != frame[-1].bp) {
        return false;
    }
    return cfa_distance == 0 || mt_stack_word(frame->cfa - cfa_distance) + addend == frame->cfa;
}

/* Verifies that all frames older than `from` are still there. NULL: they are; else the innermost frame whose caller
 * changed. The caller has checked that the frames lie in a span. */
static const struct mt_native_frame *find_change(const struct mt_unwinder *u, const struct mt_native_frame *from)
{
    const struct mt_native_frame *base = u->frames;
    const struct mt_unwind_state *state = mt_unwind_state_of(u);
    const uint64_t *extra = state->extras + (from - base);
    for (const struct mt_native_frame *frame = from; frame > base; frame--, extra--) {
        if (mt_stack_word(frame->cfa - 8) != frame[-1].pc) {
            return frame;
        }
        if (*extra != 0 && !is_extra_unchanged(frame, *extra)) {
            return frame;
        }
    }
    return state->base_is_zero && mt_stack_word(base->cfa - 8) != 0 ? base : NULL;
}

/* The walk is in the state of *candidate. True when the rest of the stack is as it was; else no frame up to the first
 * changed one is tried again. */
static MT_NOINLINE bool matches(struct walk *w, const struct mt_native_frame *candidate)
{
    if (!mt_stackbounds_reach(w->u, &w->span, w->u->frames->cfa)) {
        w->candidate = w->u->frames - SENTINELS;
        return false;
    }
    const struct mt_native_frame *changed = find_change(w->u, candidate);
    w->candidate = changed == NULL ? candidate : changed - 1;
    return changed == NULL;
}

/* The CFA of a frame with a plain row of the cache; 0 for another row, or when it makes no sense. */
MT_INLINE uint64_t plain_cfa(uint64_t entry, uint64_t pc, uint64_t sp, uint64_t bp)
{
    if (MT_UNLIKELY((entry & UINT32_MAX) != pc >> MT_ROW_CACHE_BITS)) {
        return 0;
    }
    enum mt_row_kind kind = mt_entry_kind(entry);
    if (MT_LIKELY(kind == MT_ROW_RSP)) {
        return sp + mt_entry_offset(entry);
    }
    uint64_t cfa = bp + mt_entry_offset(entry);
    bool sane = cfa > sp && (cfa & 7) == 0 && cfa - 8 * mt_entry_bp(entry) >= sp;
    return kind == MT_ROW_RBP && sane ? cfa : 0;
}

MT_INLINE bool is_state_of(const struct mt_native_frame *frame, uint64_t pc, uint64_t bp)
{
    return frame->pc == pc && (frame->bp == 0 || frame->bp == bp);
}

/* Walks plain frames until something else is needed. */
static enum progress walk_plain(struct walk *w)
{
    uint64_t pc = w->pc;
    uint64_t sp = w->sp;
    uint64_t bp = w->bp;
    const uint64_t high = w->span.high;
    const struct mt_native_frame *candidate = w->candidate;
    struct mt_native_frame *out = w->out;
    enum progress progress = PROGRESS_RARE;
    while (out < w->out_end) {
        uint64_t entry = mt_rowcache_entry(pc);
        uint64_t cfa = plain_cfa(entry, pc, sp, bp);
        if (MT_UNLIKELY(cfa == 0 || cfa > high)) {
            break;
        }
        while (candidate->cfa < cfa) {
            candidate--;
        }
        if (candidate->cfa == cfa && is_state_of(candidate, pc, bp)) {
            if (matches(w, candidate)) {
                candidate = w->candidate;
                progress = PROGRESS_MATCHED;
                break;
            }
            candidate = w->candidate;
        }
        out->pc = pc;
        out->cfa = cfa;
        out->bp = bp;
        out->hash = entry;
        out++;
        uint64_t saved = mt_entry_bp(entry);
        bp = saved != 0 ? mt_stack_word(cfa - 8 * saved) : bp;
        pc = mt_stack_word(cfa - 8);
        sp = cfa;
        if (MT_UNLIKELY(pc == 0)) {
            w->base_is_zero = true;
            progress = PROGRESS_COMPLETE;
            break;
        }
    }
    w->pc = pc;
    w->sp = sp;
    w->bp = bp;
    w->candidate = candidate;
    w->out = out;
    return progress;
}

static enum progress walk(struct walk *w)
{
    enum progress progress;
    do {
        progress = walk_plain(w);
        while (progress == PROGRESS_RARE) {
            progress = mt_unwind_step_rare(w);
        }
    } while (progress == PROGRESS_PLAIN);
    return progress;
}

/* What else than the return address the caller of a frame that is neither RSP nor RBP was read from; need: the
 * caller's rbp matters. *ret_need: this frame's does. */
static MT_NOINLINE uint64_t rare_extra(const struct mt_native_frame *from, uint64_t sp, bool need, bool *ret_need)
{
    struct mt_cfi_row row = mt_row_unpack((uint32_t)(from->hash >> 32));
    uint64_t extra = 0;
    bool derefs = row.kind == MT_ROW_RSP_DEREF || row.kind == MT_ROW_RBP_DEREF;
    *ret_need = row.kind == MT_ROW_RBP_DEREF;
    if (!derefs) {
        return 0; /* SIGNAL, PLT, R10: never reused. END, NONE, OTHER: no caller */
    }
    if (need && row.bp_rule == MT_BP_AT_CFA) {
        extra = (uint64_t)-(int64_t)row.bp_offset;
    } else if (need && row.bp_rule == MT_BP_AT_BP) {
        extra = from->cfa - from->bp;
    }
    *ret_need |= need && row.bp_rule != MT_BP_AT_CFA;
    uint64_t slot = (row.kind == MT_ROW_RSP_DEREF ? sp : from->bp) + (uint64_t)(int64_t)row.offset;
    return extra | (from->cfa - slot + (uint64_t)row.addend / 8) << 32;
}

/* Hashes of the frames [from, end); a loop of its own because its multiplications are a chain. */
static void chain_hashes(struct mt_native_frame *from, const struct mt_native_frame *end)
{
    uint64_t hash = from[-1].hash;
    for (; from < end; from++) {
        hash = mt_hash_step(hash, from->pc);
        from->hash = hash;
    }
}

/* Appends the walked frames, oldest first, after the reused ones. */
static void append(struct walk *w, uint32_t kept)
{
    struct mt_native_frame *to = w->u->frames + kept;
    uint64_t *extra = w->state->extras + kept;
    bool need = to[-1].bp != 0;
    const struct mt_native_frame *const first = w->u->scratch;
    for (const struct mt_native_frame *from = w->out; from-- > first; to++, extra++) {
        uint64_t entry = from->hash;
        enum mt_row_kind kind = mt_entry_kind(entry);
        uint64_t saved = mt_entry_bp(entry);
        *extra = need ? 8 * saved : 0;
        if (MT_LIKELY(kind == MT_ROW_RSP)) {
            need = need && saved == 0;
        } else if (kind == MT_ROW_RBP) {
            need = true;
        } else {
            *extra = rare_extra(from, from > first ? from[-1].cfa : w->first_sp, need, &need);
        }
        to->pc = from->pc;
        mt_fence_compiler(); /* no 16-byte copy: loading two fresh 8-byte stores as one stalls */
        to->cfa = from->cfa;
        to->bp = need ? from->bp : 0;
    }
    chain_hashes(w->u->frames + kept, to);
    w->u->count = (uint32_t)(to - w->u->frames);
}

/* False when regs->sp is no stack pointer. */
static bool begin(struct walk *w, struct mt_unwinder *u, const struct mt_frame_regs *regs)
{
    w->u = u;
    w->state = mt_unwind_state_of(u);
    w->pc = regs->pc;
    w->sp = regs->sp;
    w->bp = regs->bp;
    w->first_sp = regs->sp;
    w->candidate = u->frames + w->state->usable - 1;
    w->out = u->scratch;
    w->out_end = u->scratch + MT_UNWIND_MAX_FRAMES;
    w->oldest_signal = NULL;
    w->r10 = 0;
    w->signals = 0;
    w->exact = false;
    w->base_is_zero = false;
    return (regs->sp & 7) == 0 && mt_stackbounds_enter(u, regs->sp, &w->span);
}

static enum mt_unwind_result result_of(enum progress progress)
{
    if (progress == PROGRESS_COMPLETE) {
        return MT_UNWIND_COMPLETE;
    }
    return progress == PROGRESS_TRUNCATED ? MT_UNWIND_TRUNCATED : MT_UNWIND_BROKEN;
}

/* Frames that may be reused next time: those older than the oldest signal frame and the frame it interrupted. */
static uint32_t usable_after(const struct walk *w, enum mt_unwind_result result)
{
    if (result == MT_UNWIND_TRUNCATED) {
        return 0; /* the outermost frames are missing, and the next stack may have room for them */
    }
    if (w->oldest_signal == NULL) {
        return w->u->count;
    }
    uint32_t newer = (uint32_t)(w->oldest_signal - w->u->scratch) + 2;
    return w->u->count > newer ? w->u->count - newer : 0;
}

static enum mt_unwind_result finish(struct walk *w, enum progress progress)
{
    struct mt_unwind_state *state = w->state;
    uint32_t kept = 0;
    if (progress == PROGRESS_MATCHED) {
        kept = (uint32_t)(w->candidate - w->u->frames) + 1;
    } else {
        state->result = (uint8_t)result_of(progress);
        state->base_is_zero = w->base_is_zero;
        w->u->frames[-SENTINELS].hash = mt_hash_u64(((uint64_t)w->u->epoch << 8 | state->result) + 1);
    }
    append(w, kept);
    state->usable = usable_after(w, (enum mt_unwind_result)state->result);
    return (enum mt_unwind_result)state->result;
}

/* candidate: innermost frame of the previous stack that may still match. */
static MT_NOINLINE enum mt_unwind_result capture_anew(struct mt_unwinder *u, const struct mt_frame_regs *regs,
                                                      const struct mt_native_frame *candidate)
{
    struct walk w;
    if (!begin(&w, u, regs)) {
        u->count = 0;
        w.state->usable = 0;
        return MT_UNWIND_BROKEN;
    }
    w.candidate = candidate;
    enum progress progress = walk(&w);
    if (progress == PROGRESS_MATCHED && w.out - u->scratch + (w.candidate - u->frames) >= MT_UNWIND_MAX_FRAMES) {
        w.state->usable = 0; /* too deep together: what is kept are the innermost frames */
        (void)begin(&w, u, regs);
        progress = walk(&w);
    }
    return finish(&w, progress);
}

/* True when this may be the whole previous stack again: same pc, same frame, own stack. Its older frames may be
 * read. */
MT_INLINE bool begins_as(const struct mt_unwinder *u, const struct mt_native_frame *last,
                         const struct mt_frame_regs *regs)
{
    return last == u->frames + u->count - 1 && is_state_of(last, regs->pc, regs->bp) &&
           plain_cfa(mt_rowcache_entry(regs->pc), regs->pc, regs->sp, regs->bp) == last->cfa &&
           mt_stackbounds_is_own(u, regs->sp) && u->frames->cfa <= u->stack_high;
}

enum mt_unwind_result mt_unwind_capture(struct mt_unwinder *u, const struct mt_frame_regs *regs)
{
    struct mt_unwind_state *state = mt_unwind_state_of(u);
    uint32_t epoch = mt_load_acquire(&mt_g_modules_epoch);
    if (MT_UNLIKELY(u->epoch != epoch)) {
        u->epoch = epoch;
        state->usable = 0;
    }
    const struct mt_native_frame *candidate = u->frames + state->usable - 1;
    if (begins_as(u, candidate, regs)) {
        const struct mt_native_frame *changed = find_change(u, candidate);
        if (changed == NULL) {
            return (enum mt_unwind_result)state->result;
        }
        candidate = changed - 1;
    }
    return capture_anew(u, regs, candidate);
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
