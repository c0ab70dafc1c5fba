/* capture.c: a thread's Python stack, reusing what still holds of the one captured before.
 *
 * Decides: which part of the previous capture is still true, and the identity (running hash) of every frame.
 * The previous stack is reused by verification: a small table of hints says where a frame address stood last time; from
 * there on outwards every frame is read again and compared with what is stored (address, code, instruction, entry flag,
 * fingerprint of the code object), but neither hashed nor stored again. A frame that moved on (a loop in an outer
 * function) is corrected in place and the hashes from there inwards are recomputed without reading frames again.
 *
 *     frames[]   0 ......... at ......... top | scratch[] (innermost first, appended in reverse at the end)
 *                not yet     verified         | new frames
 *                reached     or corrected     |
 *
 * Invariant: nothing in a result is older than this capture; a hint is only ever a guess. Each frame is read once,
 * moved at most twice: a capture is linear in the depth whatever the program does. Bounded by MT_PYSTACK_MAX_FRAMES.
 * Cost: docs/decisions/0003-python-stacks.md. The walk is compiled once for each known layout, and once for any other.
 * Context: [hook], own thread only; the frames of the calling thread cannot change while it is here.
 */
#include "pystack/frames.h"
#include "pystack/rows.h"

enum { HINT_BITS = 10, HINT_COUNT = 1 << HINT_BITS, STEP_BUDGET = 2 * MT_PYSTACK_MAX_FRAMES + 64 };
static_assert(MT_PYTHON_ENTRY == 1, "build.entries adds flags up");
#define SEED_COMPLETE 0x6D656D7461700001u
#define SEED_PARTIAL 0x6D656D7461700002u

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
    return 2 * MT_PYSTACK_MAX_FRAMES * sizeof(struct mt_py_frame) + HINT_COUNT * sizeof(uint16_t);
}

void mt_pystack_init(struct mt_pystack *p, void *memory)
{
    struct mt_py_frame *frames = memory;
    *p = (struct mt_pystack){
        .frames = frames,
        .scratch = frames + MT_PYSTACK_MAX_FRAMES,
        .index = (uint16_t *)(frames + 2 * MT_PYSTACK_MAX_FRAMES),
    };
}

/* ---- reusing the previous stack ---------------------------------------------------------------------------------- */

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
MT_INLINE enum step refresh(const struct mt_py_enabled *e, const struct mt_py_offsets *o, struct mt_py_frame *old,
                       const struct mt_py_frame *now, bool *ret_changed)
{
    if (old->code != now->code) {
        if (MT_UNLIKELY(!mt_py_is_code(e, now->code))) {
            return STEP_BAD;
        }
        if (MT_UNLIKELY(is_cleanup_code(o, now->code))) {
            return STEP_END;
        }
    }
    uint32_t fingerprint = (uint32_t)mt_py_fingerprint(o, now->code);
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

/* True when the frame stored at `old`, not the base of the stack and no entry frame (3.11+), reads as it did and
 * lies on old[-1]. Loads and comparisons only: an address equal to a checked one needs no check. */
MT_INLINE bool is_unchanged(const struct mt_py_offsets *o, const struct mt_py_frame *old)
{
    uint64_t frame = old->frame;
    uint64_t code = mt_py_load_u64(frame, o->frame.code);
    if (has_shims(o)) {
        code &= ~(uint64_t)o->tag_bits;
    }
    if (code != old->code || mt_py_load_u64(frame, o->frame.previous) != old[-1].frame) {
        return false;
    }
    if (o->family == MT_PY_ENTRY_FLAG && mt_py_load_u8(frame, o->frame.is_entry) != 0) {
        return false;
    }
    uint32_t flags = o->family == MT_PY_FRAME_OBJECTS ? MT_PYTHON_ENTRY : 0;
    return ((read_instruction(o, frame, code) ^ old->instr) | (old->flags ^ flags) |
            (old->fingerprint ^ (uint32_t)mt_py_fingerprint(o, code))) == 0;
}

/* Verifies frames[at-1], frames[at-2] ... against the walk, until the base, a frame that stood elsewhere, or a
 * failed check. The inner loop stores nothing, so that the offsets stay in registers. */
MT_INLINE enum step verify_run(const struct mt_py_enabled *e, const struct mt_py_offsets *o, struct mt_py_cursor *c,
                               struct build *b)
{
    struct mt_py_frame *frames = b->p->frames;
    while (b->at != 0 && frames[b->at - 1].frame == c->frame) {
        uint32_t at = b->at;
        while (at > 1 && is_unchanged(o, &frames[at - 1])) {
            at--;
        }
        b->entries += o->family == MT_PY_FRAME_OBJECTS ? b->at - at : 0;
        b->at = at;
        c->frame = frames[at - 1].frame;
        struct mt_py_frame now;
        bool changed = false;
        if (read_frame(o, c, &now) != STEP_FRAME) {
            return STEP_BAD;
        }
        enum step step = refresh(e, o, &frames[at - 1], &now, &changed);
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
MT_INLINE enum step add_new(const struct mt_py_enabled *e, const struct mt_py_offsets *o, struct mt_py_cursor *c,
                            struct build *b)
{
    if (b->fresh == MT_PYSTACK_MAX_FRAMES) {
        return STEP_END;
    }
    struct mt_py_frame *slot = &b->p->scratch[b->fresh];
    if (read_frame(o, c, slot) != STEP_FRAME || !mt_py_is_code(e, slot->code)) {
        return STEP_BAD;
    }
    if (MT_UNLIKELY(is_cleanup_code(o, slot->code))) {
        return STEP_FRAME;
    }
    slot->fingerprint = (uint32_t)mt_py_fingerprint(o, slot->code);
    b->entries += slot->flags;
    b->fresh++;
    return STEP_FRAME;
}

/* ---- the result -------------------------------------------------------------------------------------------------- */

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
MT_INLINE enum step take_frames(const struct mt_py_enabled *e, const struct mt_py_offsets *o, struct mt_py_cursor *c,
                                struct build *b)
{
    enum step step = skip_first(o, c) ? STEP_FRAME : STEP_BAD;
    while (step == STEP_FRAME && c->frame != 0) {
        if (find_previous(b, c->frame, &b->at)) {
            b->top = b->dirty = b->at;
            step = verify_run(e, o, c, b);
            if (step == STEP_FRAME && b->at == 0 && c->frame == 0) {
                return STEP_FRAME;
            }
            unalign(b);
        } else {
            step = add_new(e, o, c, b);
        }
    }
    return step;
}

MT_INLINE enum mt_pystack_result walk(struct mt_pystack *p, const struct mt_py_enabled *e,
                                      const struct mt_py_offsets *o, struct mt_py_cursor *c)
{
    struct build b = { .p = p };
    enum step step = take_frames(e, o, c, &b);
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

/* One walk for each row, with the row's numbers as constants. */
#define ROW_WALK(row)                                                                                                  \
    static MT_NOINLINE enum mt_pystack_result walk_##row(struct mt_pystack *p, const struct mt_py_enabled *e,          \
                                                         struct mt_py_cursor *c)                                       \
    {                                                                                                                  \
        return walk(p, e, &g_row_##row, c);                                                                            \
    }
MT_PY_ROW_TABLE(ROW_WALK)
#undef ROW_WALK

/* An interpreter that describes itself otherwise than its row. */
static MT_NOINLINE enum mt_pystack_result walk_any(struct mt_pystack *p, const struct mt_py_enabled *e,
                                                   struct mt_py_cursor *c)
{
    return walk(p, e, &e->offsets, c);
}

mt_py_walk mt_py_find_walk(const struct mt_py_offsets *o)
{
#define ROW_FOUND(row)                                                                                                 \
    if (memcmp(o, &g_row_##row, sizeof *o) == 0) {                                                                     \
        return walk_##row;                                                                                             \
    }
    MT_PY_ROW_TABLE(ROW_FOUND)
#undef ROW_FOUND
    return walk_any;
}

static bool start_walk(const struct mt_py_enabled *e, struct mt_py_cursor *ret)
{
    uint64_t tstate = mt_py_find_tstate(e);
    if (tstate == 0) {
        return false;
    }
    uint64_t first = mt_py_load_u64(tstate, e->offsets.tstate.frame);
    *ret = (struct mt_py_cursor){ .frame = first, .cframe = 0, .budget = STEP_BUDGET };
    if (e->offsets.tstate.has_cframe) {
        ret->cframe = first;
        ret->frame = mt_py_plausible(first) ? mt_py_load_u64(first, e->offsets.tstate.cframe_current) : 0;
    }
    return ret->frame != 0;
}

enum mt_pystack_result mt_pystack_capture(struct mt_pystack *p)
{
    const struct mt_py_enabled *e = mt_py_enabled();
    struct mt_py_cursor c;
    if (e == NULL || !e->info.frames_supported || !start_walk(e, &c)) {
        p->count = 0;
        p->entries = 0;
        return MT_PYSTACK_NONE;
    }
    return e->walk(p, e, &c);
}
