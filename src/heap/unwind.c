/* unwind.c: walking a stack, and reusing the previous one.
 *
 * The walk is a loop of one cache probe and two loads a frame; everything that is not a plain row leaves it for
 * step_rare (unwind_rare.c). Reuse (the memo): the layout of a frame is a function of its pc and of the words its rules
 * read. So once the walk is in a state (cfa, pc, and rbp where older rows use it) that the previous stack was in too, all
 * older frames are the same if the words they were read from still hold the same values; those are independent loads, no
 * pointer chasing: about 1 ns a frame where walking costs 5. Comparing from the base outward would be unsound: stale
 * frames of an earlier call can match there.
 * rbp is an ordinary register in code without frame pointers; it is part of the state only where a row further out
 * takes its CFA from it before it is restored (frames[k].bp != 0 says so). Without that nearly no stack would match.
 *
 * Invariants: reads only inside the span of stackbounds.h; frames[] is base first and verified at every capture; signal
 * frames and frames inside them are always walked. Contexts: [hook], own thread.
 * Measured alternatives: docs/decisions/0002-unwinder.md.
 */
#include "heap/unwind.h"

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
 * changed. */
static const struct mt_native_frame *find_change(const struct walk *w, const struct mt_native_frame *from)
{
    const struct mt_native_frame *base = w->u->frames;
    const uint64_t *extra = w->state->extras + (from - base);
    for (const struct mt_native_frame *frame = from; frame > base; frame--, extra--) {
        if (mt_stack_word(frame->cfa - 8) != frame[-1].pc) {
            return frame;
        }
        if (*extra != 0 && !is_extra_unchanged(frame, *extra)) {
            return frame;
        }
    }
    return w->state->base_is_zero && mt_stack_word(base->cfa - 8) != 0 ? base : NULL;
}

/* The walk is in the state of *candidate. True when the rest of the stack is as it was; else no frame up to the first
 * changed one is tried again. */
static MT_NOINLINE bool matches(struct walk *w, const struct mt_native_frame *candidate)
{
    if (!mt_stackbounds_reach(w->u, &w->span, w->u->frames->cfa)) {
        w->candidate = w->u->frames - SENTINELS;
        return false;
    }
    const struct mt_native_frame *changed = find_change(w, candidate);
    w->candidate = changed == NULL ? candidate : changed - 1;
    return changed == NULL;
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
    struct mt_native_frame *const end = w->out_end;
    enum progress progress = PROGRESS_RARE;
    for (;;) {
        uint32_t row = mt_rowcache_get(pc - 1);
        enum mt_row_kind kind = mt_row_kind_of(row);
        uint64_t saved = mt_row_bp_of(row);
        uint64_t cfa = (kind == MT_ROW_RBP ? bp : sp) + (uint64_t)mt_row_offset_of(row);
        bool plain = (kind == MT_ROW_RSP || kind == MT_ROW_RBP) && saved != MT_ROW_BP_AT_BP && cfa > sp &&
                     cfa <= high && (cfa & 7) == 0 && cfa - 8 * saved >= sp && out < end;
        if (MT_UNLIKELY(!plain)) {
            break;
        }
        while (candidate->cfa < cfa) {
            candidate--;
        }
        if (candidate->cfa == cfa && candidate->pc == pc && (candidate->bp == 0 || candidate->bp == bp)) {
            if (matches(w, candidate)) {
                progress = PROGRESS_MATCHED;
                break;
            }
            candidate = w->candidate;
        }
        *out++ = (struct mt_native_frame){ .pc = pc, .cfa = cfa, .bp = bp, .hash = row };
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

/* What else than the return address this frame's caller was read from; need: the caller's rbp matters. */
static uint64_t extra_of(const struct mt_native_frame *from, uint64_t sp, bool need)
{
    uint32_t packed = (uint32_t)from->hash;
    enum mt_row_kind kind = mt_row_kind_of(packed);
    uint32_t saved = mt_row_bp_of(packed);
    uint64_t extra = need ? 8 * (uint64_t)saved : 0;
    if (MT_UNLIKELY(saved == MT_ROW_BP_AT_BP)) {
        extra = need ? from->cfa - from->bp : 0;
    }
    if (MT_UNLIKELY(kind == MT_ROW_RSP_DEREF || kind == MT_ROW_RBP_DEREF)) {
        struct mt_cfi_row row = mt_row_unpack(packed);
        uint64_t slot = (kind == MT_ROW_RSP_DEREF ? sp : from->bp) + (uint64_t)(int64_t)row.offset;
        extra |= (from->cfa - slot + (uint64_t)row.addend / 8) << 32;
    }
    return extra;
}

/* Appends the walked frames, oldest first, after the reused ones. */
static void append(struct walk *w, uint32_t kept)
{
    struct mt_native_frame *to = w->u->frames + kept;
    uint64_t *extra = w->state->extras + kept;
    uint64_t hash = to[-1].hash;
    bool need = to[-1].bp != 0;
    const struct mt_native_frame *from = w->out;
    while (from > w->u->scratch) {
        from--;
        enum mt_row_kind kind = mt_row_kind_of((uint32_t)from->hash);
        bool has_rule = kind != MT_ROW_SIGNAL && kind != MT_ROW_NONE && kind != MT_ROW_END;
        uint64_t sp = from > w->u->scratch ? from[-1].cfa : w->first_sp;
        uint32_t saved = mt_row_bp_of((uint32_t)from->hash);
        bool passes_on = has_rule && (saved == 0 || saved == MT_ROW_BP_AT_BP); /* the caller's rbp comes from this one */
        *extra++ = has_rule ? extra_of(from, sp, need) : 0;
        need = kind == MT_ROW_RBP || kind == MT_ROW_RBP_DEREF || (need && passes_on);
        hash = mt_hash_step(hash, from->pc);
        *to++ = (struct mt_native_frame){ .pc = from->pc, .cfa = from->cfa, .bp = need ? from->bp : 0, .hash = hash };
    }
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
    w->signals = 0;
    w->exact = false;
    w->base_is_zero = false;
    return mt_stackbounds_enter(u, regs->sp, &w->span);
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

enum mt_unwind_result mt_unwind_capture(struct mt_unwinder *u, const struct mt_frame_regs *regs)
{
    struct walk w;
    uint32_t epoch = mt_modules_epoch();
    if (MT_UNLIKELY(u->epoch != epoch)) {
        u->epoch = epoch;
        mt_unwind_state_of(u)->usable = 0;
    }
    if (!begin(&w, u, regs)) {
        u->count = 0;
        w.state->usable = 0;
        return MT_UNWIND_BROKEN;
    }
    enum progress progress = walk(&w);
    if (progress == PROGRESS_MATCHED && w.out - u->scratch + (w.candidate - u->frames) >= MT_UNWIND_MAX_FRAMES) {
        w.state->usable = 0; /* too deep together: what is kept are the innermost frames */
        (void)begin(&w, u, regs);
        progress = walk(&w);
    }
    return finish(&w, progress);
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
