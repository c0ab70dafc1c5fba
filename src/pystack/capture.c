/* capture.c: the walk from the innermost Python frame outwards, and the reuse of the thread's previous stack.
 *
 * Decides: where a walk starts (current thread state), what is a frame (shims are not), which frames are entries of a C
 * evaluation loop and the address that lies in the C frame of that loop, and which part of the previous capture still
 * holds.
 * The previous stack is reused by verification: a small table of hints says where a frame address stood last time; from
 * there on outwards every frame is read again and compared with what is stored (address, code, instruction, entry flag,
 * fingerprint of the code object), but neither hashed nor stored again. A frame that moved on (a loop in an outer
 * function) is corrected in place and the hashes from there inwards are recomputed without reading frames again.
 *
 *     frames[]   0 ......... at ......... top | scratch[] (innermost first, appended in reverse at the end)
 *                not yet     verified         | new frames
 *                reached     or corrected     |
 *
 * Invariant: nothing in a result is older than this capture; a hint is only ever a guess. Each frame is read once, moved
 * at most twice: a capture is linear in the depth whatever the program does. Bounded by MT_PYSTACK_MAX_FRAMES.
 * Measured (bench/micro/pystack): 2 ns a frame verified, 4 new, against 60 us for the same through PyFrame_GetBack.
 * Context: [hook], own thread only; the frames of the calling thread cannot change while it is here.
 */
#include "base/atomic.h"
#include "pystack/layout.h"
#include "wire/format.h"

#include <pthread.h>

enum { HINT_BITS = 10, HINT_COUNT = 1 << HINT_BITS, STEP_BUDGET = 2 * MT_PYSTACK_MAX_FRAMES + 64 };
static_assert(MT_PYTHON_ENTRY == 1, "build.entries adds flags up");
#define SEED_COMPLETE 0x6D656D7461700001u
#define SEED_PARTIAL 0x6D656D7461700002u

enum step { STEP_FRAME, STEP_END, STEP_BAD };

/* The code object of the frame that 3.12+ puts under a specialized call of __init__ to check its result (_Py_InitCleanup):
 * no function, and not exported. Found by the first walk that meets it. Writers and readers: any capture; relaxed, as all
 * write the same value. */
static uint64_t g_cleanup_code;

struct cursor {
    const struct mt_py_enabled *e;
    uint64_t frame;  /* to be read next; 0: none */
    uint64_t cframe; /* 3.11: evaluation loop of the next entry frame */
    uint32_t budget; /* frames and shims still to be read */
};

struct build {
    struct mt_pystack *p;
    uint32_t fresh;   /* frames in scratch */
    uint32_t top;     /* frames[at..top) are verified or corrected; 0: nothing reused */
    uint32_t at;
    uint32_t dirty;   /* hashes of frames[dirty..) do not hold */
    uint32_t entries; /* MT_PYTHON_ENTRY is 1: the sum of flags */
};

size_t mt_pystack_memory_bytes(void)
{
    return (2 * MT_PYSTACK_MAX_FRAMES + 1) * sizeof(struct mt_py_frame) + HINT_COUNT * sizeof(uint16_t);
}

void mt_pystack_init(struct mt_pystack *p, void *memory)
{
    struct mt_py_frame *frames = (struct mt_py_frame *)memory + 1; /* frames[-1].frame is 0: nothing below the base */
    *p = (struct mt_pystack){
        .frames = frames,
        .scratch = frames + MT_PYSTACK_MAX_FRAMES,
        .index = (uint16_t *)(frames + 2 * MT_PYSTACK_MAX_FRAMES),
    };
}

/* ---- which thread state ---------------------------------------------------------------------------------------------- */

static bool has_several_interpreters(const struct mt_py_enabled *e)
{
    if (e->info.runtime == NULL) {
        return false;
    }
    uint64_t first = mt_py_load_u64((uint64_t)(uintptr_t)e->info.runtime, e->offsets.runtime.interpreters_head);
    return mt_py_plausible(first) && mt_py_load_u64(first, e->offsets.runtime.interpreter_next) != 0;
}

/* Up to 3.11 PyGILState_GetThisThreadState knows only the thread's first state, not the one of a subinterpreter it runs in.
 * The state that holds the GIL is ours if it says so. It may be another thread's, and that thread may be deleting it:
 * freed memory of the C allocator is then read, which is why this is asked only where there are subinterpreters. */
static uint64_t prefer_subinterpreter(const struct mt_py_enabled *e, uint64_t own)
{
    if (e->info.get_tstate_unchecked == NULL || !has_several_interpreters(e)) {
        return own;
    }
    uint64_t holder = (uint64_t)(uintptr_t)e->info.get_tstate_unchecked();
    if (holder == own || !mt_py_plausible(holder)) {
        return own;
    }
    return mt_py_load_u64(holder, e->offsets.tstate.thread_id) == (uint64_t)pthread_self() ? holder : own;
}

/* While one thread finalizes the interpreter it deletes the states of all others, which may still run C code. */
static bool is_finalized_by_another(const struct mt_py_enabled *e, uint64_t own)
{
    if (e->info.runtime == NULL) {
        return false;
    }
    uint64_t finalizing = mt_py_load_u64((uint64_t)(uintptr_t)e->info.runtime, e->offsets.runtime.finalizing);
    return finalizing != 0 && finalizing != own;
}

/* The calling thread's state, 0 when it has none or it must not be touched. */
static uint64_t find_tstate(const struct mt_py_enabled *e)
{
    uint64_t own = (uint64_t)(uintptr_t)e->info.get_tstate();
    if (own != 0 && is_finalized_by_another(e, own)) {
        return 0;
    }
    if (e->offsets.minor <= 11) {
        own = prefer_subinterpreter(e, own);
    }
    return mt_py_plausible(own) ? own : 0;
}

static bool start_walk(const struct mt_py_enabled *e, struct cursor *ret)
{
    uint64_t tstate = find_tstate(e);
    if (tstate == 0) {
        return false;
    }
    uint64_t first = mt_py_load_u64(tstate, e->offsets.tstate.frame);
    *ret = (struct cursor){ .e = e, .frame = first, .cframe = 0, .budget = STEP_BUDGET };
    if (e->offsets.tstate.has_cframe) {
        ret->cframe = first;
        ret->frame = mt_py_plausible(first) ? mt_py_load_u64(first, e->offsets.tstate.cframe_current) : 0;
    }
    return ret->frame != 0;
}

/* ---- reading frames -------------------------------------------------------------------------------------------------- */

MT_INLINE bool is_shim(const struct mt_py_offsets *o, uint64_t frame)
{
    return mt_py_load_u8(frame, o->frame.owner) >= o->owner_shim;
}

/* The instruction pointer moved from the thread's own copy of the bytecode to the main one, so that all threads agree. */
MT_INLINE uint64_t move_to_main_copy(const struct mt_py_offsets *o, uint64_t frame, uint64_t code, uint64_t instr)
{
    uint64_t copies = mt_py_load_u64(code, o->code.copies);
    uint32_t index = mt_py_load_u32(frame, o->frame.copy_index);
    if (!mt_py_plausible(copies) || index >= mt_py_load_u64(copies, 0)) {
        return instr;
    }
    return instr - mt_py_load_u64(copies, 8 + 8 * index) + code + o->code.bytecode;
}

MT_INLINE uint64_t read_instruction(const struct mt_py_offsets *o, enum mt_py_family family, uint64_t frame, uint64_t code)
{
    if (family == MT_PY_FRAME_OBJECTS) {
        return (uint64_t)(int64_t)(int32_t)mt_py_load_u32(frame, o->frame.instr);
    }
    uint64_t instr = mt_py_load_u64(frame, o->frame.instr);
    return family == MT_PY_SHIM_COPIES ? move_to_main_copy(o, frame, code, instr) : instr;
}

MT_INLINE bool is_cleanup(const struct mt_py_offsets *o, uint64_t frame)
{
    return (mt_py_load_u64(frame, o->frame.code) & ~(uint64_t)o->tag_bits) == mt_load_relaxed(&g_cleanup_code);
}

/* True for code without a traceable instruction, which no compiler makes. code: a code object. */
MT_INLINE bool is_cleanup_code(const struct mt_py_offsets *o, enum mt_py_family family, uint64_t code)
{
    if (family != MT_PY_SHIM && family != MT_PY_SHIM_COPIES) {
        return false;
    }
    bool found = mt_py_load_u32(code, o->code.first_traceable) >= mt_py_load_u64(code, o->object.bytes_size);
    if (MT_UNLIKELY(found)) {
        mt_store_relaxed(&g_cleanup_code, code);
    }
    return found;
}

/* Moves the cursor over what is no function: shims (an evaluation loop is just being entered or left, or it is the base of
 * the stack) and cleanup frames. */
MT_INLINE bool skip_shims(struct cursor *c)
{
    while (c->frame != 0 && (is_shim(&c->e->offsets, c->frame) || is_cleanup(&c->e->offsets, c->frame))) {
        c->frame = mt_py_load_u64(c->frame, c->e->offsets.frame.previous);
        if (MT_UNLIKELY((c->frame != 0 && !mt_py_plausible(c->frame)) || c->budget-- == 0)) {
            return false;
        }
    }
    return true;
}

/* Fills flags and anchor and moves the cursor to the next older frame; false when a pointer is not one. */
MT_INLINE bool step_outwards(struct cursor *c, enum mt_py_family family, struct mt_py_frame *frame)
{
    const struct mt_py_offsets *o = &c->e->offsets;
    uint64_t previous = mt_py_load_u64(frame->frame, o->frame.previous);
    frame->anchor = 0;
    frame->flags = MT_PYTHON_ENTRY;
    c->frame = previous;
    if (previous != 0 && MT_UNLIKELY(!mt_py_plausible(previous))) {
        return false;
    }
    if (family == MT_PY_FRAME_OBJECTS) {
        return true;
    }
    if (family == MT_PY_ENTRY_FLAG) {
        frame->flags = mt_py_load_u8(frame->frame, o->frame.is_entry) != 0 ? MT_PYTHON_ENTRY : 0;
        if (frame->flags != 0 && mt_py_plausible(c->cframe)) {
            frame->anchor = c->cframe;
            c->cframe = mt_py_load_u64(c->cframe, o->tstate.cframe_previous);
        }
        return true;
    }
    if (previous != 0 && MT_LIKELY(!is_shim(o, previous))) {
        frame->flags = 0;
        return is_cleanup(o, previous) ? skip_shims(c) : true;
    }
    frame->anchor = previous;
    return skip_shims(c);
}

/* Brings the cursor to the innermost frame. */
MT_INLINE bool skip_first(struct cursor *c, enum mt_py_family family)
{
    if (MT_UNLIKELY(!mt_py_plausible(c->frame))) {
        return false;
    }
    return family == MT_PY_SHIM || family == MT_PY_SHIM_COPIES ? skip_shims(c) : true;
}

/* Reads the frame under the cursor, all but hash and fingerprint. The cursor's frame is 0 or plausible, and no shim. */
MT_INLINE enum step read_frame(struct cursor *c, enum mt_py_family family, struct mt_py_frame *ret)
{
    if (c->frame == 0) {
        return STEP_END;
    }
    if (MT_UNLIKELY(c->budget-- == 0)) {
        return STEP_BAD;
    }
    const struct mt_py_offsets *o = &c->e->offsets;
    ret->frame = c->frame;
    ret->code = mt_py_load_u64(c->frame, o->frame.code);
    if (family == MT_PY_SHIM || family == MT_PY_SHIM_COPIES) {
        ret->code &= ~(uint64_t)o->tag_bits;
    }
    if (MT_UNLIKELY(!mt_py_plausible(ret->code))) {
        return STEP_BAD;
    }
    ret->instr = read_instruction(o, family, c->frame, ret->code);
    return step_outwards(c, family, ret) ? STEP_FRAME : STEP_BAD;
}

/* ---- reusing the previous stack -------------------------------------------------------------------------------------- */

MT_INLINE uint16_t *hint_of(const struct mt_pystack *p, uint64_t frame)
{
    return &p->index[(frame * 0x9E3779B97F4A7C15u) >> (64 - HINT_BITS)];
}

/* One past the place of this frame in the previous stack, if the rest of this capture may go there. */
MT_INLINE bool find_previous(const struct build *b, uint64_t frame, uint32_t *ret_end)
{
    uint32_t hint = *hint_of(b->p, frame);
    if (hint >= b->p->count || b->p->frames[hint].frame != frame || hint + 1 + b->fresh > MT_PYSTACK_MAX_FRAMES) {
        return false;
    }
    *ret_end = hint + 1;
    return true;
}

/* Gives the reused part up: what was read goes to scratch, the walk goes on as if nothing had matched. */
static MT_NOINLINE void unalign(struct build *b)
{
    for (uint32_t i = b->top; i > b->at; i--) {
        b->p->scratch[b->fresh++] = b->p->frames[i - 1];
    }
    b->top = 0;
    b->dirty = 0;
}

/* The frame stored at `old` was read again as `now`: keep it or correct it. STEP_END: it is not to be kept. */
MT_INLINE enum step refresh(const struct mt_py_enabled *e, enum mt_py_family family, struct mt_py_frame *old,
                       const struct mt_py_frame *now, bool *ret_changed)
{
    if (old->code != now->code) {
        if (MT_UNLIKELY(!mt_py_is_code(e, now->code))) {
            return STEP_BAD;
        }
        if (MT_UNLIKELY(is_cleanup_code(&e->offsets, family, now->code))) {
            return STEP_END;
        }
    }
    uint32_t fingerprint = (uint32_t)mt_py_fingerprint(&e->offsets, family, now->code);
    uint64_t changed = (old->code ^ now->code) | (old->instr ^ now->instr) | (old->flags ^ now->flags) |
                       (old->fingerprint ^ fingerprint);
    old->anchor = now->anchor;
    *ret_changed = changed != 0;
    if (MT_UNLIKELY(changed != 0)) {
        old->code = now->code;
        old->instr = now->instr;
        old->flags = now->flags;
        old->fingerprint = fingerprint;
    }
    return STEP_FRAME;
}

/* True when the frame stored at `old`, an inner frame of its evaluation loop, reads as it did and lies on old[-1]. Loads and
 * comparisons only: an address equal to a checked one needs no check. */
MT_INLINE bool is_unchanged(const struct mt_py_offsets *o, enum mt_py_family family, const struct mt_py_frame *old)
{
    uint64_t frame = old->frame;
    uint64_t code = mt_py_load_u64(frame, o->frame.code);
    if (family == MT_PY_SHIM || family == MT_PY_SHIM_COPIES) {
        code &= ~(uint64_t)o->tag_bits;
    }
    if (code != old->code || mt_py_load_u64(frame, o->frame.previous) != old[-1].frame) {
        return false;
    }
    if (family == MT_PY_ENTRY_FLAG && mt_py_load_u8(frame, o->frame.is_entry) != 0) {
        return false;
    }
    uint32_t flags = family == MT_PY_FRAME_OBJECTS ? MT_PYTHON_ENTRY : 0;
    return ((read_instruction(o, family, frame, code) ^ old->instr) | (old->flags ^ flags) |
            (old->fingerprint ^ (uint32_t)mt_py_fingerprint(o, family, code))) == 0;
}

/* Verifies frames[at-1], frames[at-2] ... against the walk, until the base, a frame that stood elsewhere, or a failed check.
 * The inner loop stores nothing, so that the offsets stay in registers. */
MT_INLINE enum step verify_run(struct cursor *c, enum mt_py_family family, struct build *b)
{
    const struct mt_py_offsets *o = &c->e->offsets;
    struct mt_py_frame *frames = b->p->frames;
    while (b->at != 0 && frames[b->at - 1].frame == c->frame) {
        uint32_t at = b->at;
        while (at != 0 && is_unchanged(o, family, &frames[at - 1])) {
            at--;
        }
        b->entries += family == MT_PY_FRAME_OBJECTS ? b->at - at : 0;
        b->at = at;
        c->frame = frames[(ptrdiff_t)at - 1].frame;
        if (at == 0) {
            break;
        }
        struct mt_py_frame now;
        bool changed = false;
        if (read_frame(c, family, &now) != STEP_FRAME) {
            return STEP_BAD;
        }
        enum step step = refresh(c->e, family, &frames[at - 1], &now, &changed);
        if (MT_UNLIKELY(step != STEP_FRAME)) {
            return step == STEP_END ? STEP_FRAME : STEP_BAD; /* a cleanup frame, the first one met: skipped, once */
        }
        b->at = at - 1;
        b->entries += now.flags;
        b->dirty = changed ? at - 1 : b->dirty;
    }
    return STEP_FRAME;
}

/* Takes a frame that does not stand where it stood last time. STEP_END: no room for it. */
MT_INLINE enum step add_new(struct cursor *c, enum mt_py_family family, struct build *b)
{
    if (b->fresh == MT_PYSTACK_MAX_FRAMES) {
        return STEP_END;
    }
    struct mt_py_frame *slot = &b->p->scratch[b->fresh];
    if (read_frame(c, family, slot) != STEP_FRAME || !mt_py_is_code(c->e, slot->code)) {
        return STEP_BAD;
    }
    if (MT_UNLIKELY(is_cleanup_code(&c->e->offsets, family, slot->code))) {
        return STEP_FRAME;
    }
    slot->fingerprint = (uint32_t)mt_py_fingerprint(&c->e->offsets, family, slot->code);
    b->entries += slot->flags;
    b->fresh++;
    return STEP_FRAME;
}

/* ---- the result ------------------------------------------------------------------------------------------------------- */

static void rehash(struct mt_pystack *p, uint32_t from)
{
    uint64_t hash = from != 0 ? p->frames[from - 1].hash : p->partial ? SEED_PARTIAL : SEED_COMPLETE;
    for (uint32_t i = from; i < p->count; i++) {
        struct mt_py_frame *f = &p->frames[i];
        uint64_t what = mt_hash_step(f->code ^ (uint64_t)f->fingerprint << 32, f->instr ^ (uint64_t)f->flags << 60);
        hash = mt_hash_step(hash, what);
        f->hash = hash;
    }
}

/* Joins the reused part frames[0..top), verified down to its base, and the new part. */
static void finish(struct build *b, bool partial)
{
    struct mt_pystack *p = b->p;
    for (uint32_t i = 0; i < b->fresh; i++) {
        uint32_t to = b->top + i;
        p->frames[to] = p->scratch[b->fresh - 1 - i];
        *hint_of(p, p->frames[to].frame) = (uint16_t)to;
    }
    uint32_t valid = b->dirty < b->top ? b->dirty : b->top;
    bool other_seed = p->partial != (uint32_t)partial;
    p->count = b->top + b->fresh;
    p->entries = b->entries;
    p->partial = partial;
    rehash(p, other_seed ? 0 : valid);
}

/* Takes all frames; STEP_FRAME: reached the base. STEP_END: more than fit. */
MT_INLINE enum step take_frames(struct cursor *c, enum mt_py_family family, struct build *b)
{
    enum step step = skip_first(c, family) ? STEP_FRAME : STEP_BAD;
    while (step == STEP_FRAME && c->frame != 0) {
        if (find_previous(b, c->frame, &b->at)) {
            b->top = b->dirty = b->at;
            step = verify_run(c, family, b);
            if (step == STEP_FRAME && b->at == 0 && c->frame == 0) {
                return STEP_FRAME;
            }
            unalign(b);
        } else {
            step = add_new(c, family, b);
        }
    }
    return step;
}

MT_INLINE enum mt_pystack_result walk(struct mt_pystack *p, struct cursor *c, enum mt_py_family family)
{
    struct build b = { .p = p };
    enum step step = take_frames(c, family, &b);
    finish(&b, step != STEP_FRAME);
    if (step == STEP_BAD) {
        p->errors++;
        return MT_PYSTACK_BROKEN;
    }
    if (step == STEP_END) {
        return MT_PYSTACK_TRUNCATED;
    }
    return p->count != 0 ? MT_PYSTACK_COMPLETE : MT_PYSTACK_NONE;
}

static MT_NOINLINE enum mt_pystack_result walk_frame_objects(struct mt_pystack *p, struct cursor *c)
{
    return walk(p, c, MT_PY_FRAME_OBJECTS);
}

static MT_NOINLINE enum mt_pystack_result walk_entry_flag(struct mt_pystack *p, struct cursor *c)
{
    return walk(p, c, MT_PY_ENTRY_FLAG);
}

static MT_NOINLINE enum mt_pystack_result walk_shim(struct mt_pystack *p, struct cursor *c)
{
    return walk(p, c, MT_PY_SHIM);
}

static MT_NOINLINE enum mt_pystack_result walk_shim_copies(struct mt_pystack *p, struct cursor *c)
{
    return walk(p, c, MT_PY_SHIM_COPIES);
}

enum mt_pystack_result mt_pystack_capture(struct mt_pystack *p)
{
    const struct mt_py_enabled *e = mt_py_enabled();
    struct cursor c;
    if (e == NULL || !e->info.frames_supported || !start_walk(e, &c)) {
        p->count = 0;
        p->entries = 0;
        return MT_PYSTACK_NONE;
    }
    switch ((enum mt_py_family)e->offsets.family) {
    case MT_PY_FRAME_OBJECTS:
        return walk_frame_objects(p, &c);
    case MT_PY_ENTRY_FLAG:
        return walk_entry_flag(p, &c);
    case MT_PY_SHIM:
        return walk_shim(p, &c);
    case MT_PY_SHIM_COPIES:
        return walk_shim_copies(p, &c);
    }
    return MT_PYSTACK_NONE;
}
