/* capture.c: a thread's Python stack, reusing what still holds of the one captured before.
 *
 * Decides: which part of the previous capture is still true, and the identity (running hash) of every frame.
 * The previous stack is reused by verification: a small table of hints says where a frame address stood last time; from
 * there on outwards every frame is read again and compared with what is stored (address, instruction, older frame, entry
 * flag), but neither hashed nor stored again. That the code object at an address is the one it was is known from the
 * count of those that died (codes.c): after a death everything is forgotten. A frame that moved on (a loop in an outer
 * function) is corrected in place and the hashes from there inwards are recomputed without reading frames again.
 *
 *     frames[]   -1 | 0 ......... at ......... top | scratch[] (innermost first, appended in reverse at the end)
 *         sentinel    not yet     verified         | new frames
 *                     reached     or corrected     |
 *
 * Invariant: nothing in a result is older than this capture; a hint is only ever a guess. Each frame is read once,
 * moved at most twice: a capture is linear in the depth whatever the program does. Bounded by MT_PYSTACK_MAX_FRAMES.
 * Cost: docs/decisions/0003-python-stacks.md. The walk is compiled once for each known layout, and once for any other.
 * Context: [hook], own thread only; the frames of the calling thread cannot change while it is here.
 */
#include "pystack/frames.h"
#include "pystack/rows.h"

#include <pthread.h>

enum { HINT_BITS = 10, HINT_COUNT = 1 << HINT_BITS, STEP_BUDGET = 2 * MT_PYSTACK_MAX_FRAMES + 64 };
enum { KNOWN_COUNT = 256, NO_TSTATE = 1 };
#define SEED_COMPLETE 0x6D656D7461700001u
#define SEED_PARTIAL 0x6D656D7461700002u

/* A code object that was looked into. */
struct mt_py_known {
    uint64_t code;
    uint64_t epoch; /* holds while it is the walker's */
    uint32_t fingerprint;
    uint32_t pad;
};

struct build {
    struct mt_pystack *p;
    uint32_t fresh; /* frames in scratch */
    uint32_t top;   /* frames[at..top) are verified or corrected; 0: nothing reused */
    uint32_t at;
    uint32_t dirty; /* hashes of frames[dirty..) do not hold */
};

static uint64_t g_epochs; /* handed out; writers: any thread, relaxed */

size_t mt_pystack_memory_bytes(void)
{
    return (1 + 2 * MT_PYSTACK_MAX_FRAMES) * sizeof(struct mt_py_frame) + KNOWN_COUNT * sizeof(struct mt_py_known) +
           HINT_COUNT * sizeof(uint16_t);
}

void mt_pystack_init(struct mt_pystack *p, void *memory)
{
    struct mt_py_frame *frames = (struct mt_py_frame *)memory + 1;
    struct mt_py_known *known = (struct mt_py_known *)(void *)(frames + 2 * MT_PYSTACK_MAX_FRAMES);
    frames[-1] = (struct mt_py_frame){ .frame = NO_FRAME };
    *p = (struct mt_pystack){
        .frames = frames,
        .scratch = frames + MT_PYSTACK_MAX_FRAMES,
        .tstate = NO_TSTATE,
        .known = known,
        .index = (uint16_t *)(known + KNOWN_COUNT),
    };
    mt_pystack_forget(p);
}

MT_INLINE void set_count(struct mt_pystack *p, uint32_t count)
{
    p->count = count;
    p->leaf = &p->frames[(int64_t)count - 1];
}

void mt_pystack_forget(struct mt_pystack *p)
{
    set_count(p, 0);
    p->epoch = mt_fetch_add_relaxed(&g_epochs, 1) + 1; /* 0 is that of empty entries */
}

/* ---- code objects ------------------------------------------------------------------------------------------------ */

/* STEP_BAD: not a code object. STEP_END: that of a cleanup frame. */
static MT_NOINLINE enum step learn_code(const struct mt_py_enabled *e, struct mt_py_known *to, uint64_t epoch,
                                        uint64_t code)
{
    if (!mt_py_is_code(e, code)) {
        return STEP_BAD;
    }
    if (is_cleanup_code(&e->offsets, code)) {
        return STEP_END;
    }
    *to = (struct mt_py_known){ code, epoch, (uint32_t)mt_py_fingerprint(&e->offsets, code), 0 };
    return STEP_FRAME;
}

/* code: plausible. Outputs as learn_code. */
MT_INLINE enum step find_fingerprint(const struct mt_py_enabled *e, const struct mt_pystack *p, uint64_t code,
                                     uint32_t *ret_fingerprint)
{
    struct mt_py_known *known = &p->known[(code >> 4 ^ code >> 12) % KNOWN_COUNT];
    if (MT_UNLIKELY(known->code != code || known->epoch != p->epoch)) {
        enum step step = learn_code(e, known, p->epoch, code);
        if (step != STEP_FRAME) {
            return step;
        }
    }
    *ret_fingerprint = known->fingerprint;
    return STEP_FRAME;
}

/* ---- reusing the previous stack ---------------------------------------------------------------------------------- */

MT_INLINE uint16_t *hint_of(const struct mt_pystack *p, uint64_t frame)
{
    return &p->index[(frame * 0x9E3779B97F4A7C15u) >> (64 - HINT_BITS)];
}

/* The place of this frame in the previous stack, if the rest of this capture may go there; else NULL. */
MT_INLINE struct mt_py_frame *find_previous(struct build *b, uint64_t frame)
{
    const struct mt_pystack *p = b->p;
    uint32_t hint = *hint_of(p, frame);
    if (hint >= p->count || p->frames[hint].frame != frame || hint + b->fresh >= MT_PYSTACK_MAX_FRAMES) {
        return NULL;
    }
    b->top = b->dirty = hint + 1;
    return &p->frames[hint];
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
MT_INLINE enum step refresh(const struct mt_py_enabled *e, const struct mt_pystack *p, struct mt_py_frame *old,
                            const struct mt_py_frame *now, bool *ret_changed)
{
    if (old->code != now->code) {
        enum step step = find_fingerprint(e, p, now->code, &old->fingerprint);
        if (MT_UNLIKELY(step != STEP_FRAME)) {
            return step;
        }
    }
    *ret_changed = ((old->code ^ now->code) | (old->instr ^ now->instr) | (old->flags ^ now->flags)) != 0;
    old->code = now->code;
    old->instr = now->instr;
    old->flags = now->flags;
    old->anchor = now->anchor;
    return STEP_FRAME;
}

/* Passes over frames that read as they did: the first other one, or the place below the base. f: at the walk's frame. */
MT_INLINE struct mt_py_frame *skip_same(const struct mt_py_offsets *o, struct mt_py_frame *f, uint64_t *cframe)
{
    enum look look;
    while ((look = look_again(o, f, cframe)) == LOOK_SAME) {
        f--;
    }
    return look == LOOK_SAME_BASE ? f - 1 : f;
}

/* Verifies *f, f[-1] ... against the walk, until the base, a frame that stood elsewhere, or a failed check. The inner
 * loop stores nothing, so that the offsets stay in registers. f: in frames[], at the cursor. */
MT_INLINE enum step verify_run(const struct mt_py_enabled *e, const struct mt_py_offsets *o, struct mt_py_cursor *c,
                               struct build *b, struct mt_py_frame *f)
{
    struct mt_py_frame *const frames = b->p->frames;
    enum step step = STEP_FRAME;
    while (step == STEP_FRAME && c->frame == f->frame) {
        struct mt_py_frame now;
        bool changed = false;
        step = read_frame(o, c, &now);
        if (MT_LIKELY(step == STEP_FRAME)) {
            step = refresh(e, b->p, f, &now, &changed);
        }
        if (MT_UNLIKELY(step != STEP_FRAME)) {
            break;
        }
        b->dirty = changed ? (uint32_t)(f - frames) : b->dirty;
        f--;
        if (c->frame == f->frame) {
            f = skip_same(o, f, &c->cframe);
            c->frame = f->frame != NO_FRAME ? f->frame : 0;
        }
    }
    b->at = (uint32_t)(f + 1 - frames);
    return step == STEP_END ? STEP_FRAME : step; /* a cleanup frame, the first one met: skipped, once */
}

/* Takes a frame that does not stand where it stood last time. STEP_END: no room for it. */
MT_INLINE enum step add_new(const struct mt_py_enabled *e, const struct mt_py_offsets *o, struct mt_py_cursor *c,
                            struct build *b)
{
    if (b->fresh == MT_PYSTACK_MAX_FRAMES) {
        return STEP_END;
    }
    struct mt_py_frame *slot = &b->p->scratch[b->fresh];
    if (read_frame(o, c, slot) != STEP_FRAME) {
        return STEP_BAD;
    }
    enum step step = find_fingerprint(e, b->p, slot->code, &slot->fingerprint);
    b->fresh += step == STEP_FRAME;
    return step == STEP_END ? STEP_FRAME : step; /* a cleanup frame is skipped */
}

/* Takes all frames; STEP_FRAME: reached the base. STEP_END: more than fit. f: where the run of frames that read as they
 * did ended, the cursor is there; NULL: not even the innermost did. */
MT_INLINE enum step take_frames(const struct mt_py_enabled *e, const struct mt_py_offsets *o, struct mt_py_cursor *c,
                                struct build *b, struct mt_py_frame *f)
{
    enum step step = STEP_FRAME;
    while (step == STEP_FRAME && c->frame != 0) {
        if (f == NULL) {
            step = add_new(e, o, c, b);
        } else {
            step = verify_run(e, o, c, b, f);
            if (MT_LIKELY(step == STEP_FRAME && b->at == 0 && c->frame == 0)) {
                return STEP_FRAME;
            }
            unalign(b);
        }
        f = find_previous(b, c->frame);
    }
    return step;
}

/* ---- the result -------------------------------------------------------------------------------------------------- */

/* One multiplication a frame. code and instr are less than 48 bits wide (instr of 3.10 and older: 32 with a sign), turned
 * so that they do not cancel; the fingerprint is mixed already. */
static void rehash(struct mt_pystack *p, uint32_t from, uint64_t seed)
{
    uint64_t hash = from != 0 ? p->frames[from - 1].hash : seed;
    for (uint32_t i = from; i < p->count; i++) {
        struct mt_py_frame *f = &p->frames[i];
        uint64_t code = f->code << 17 | f->code >> 47;
        uint64_t instr = f->instr << 1 | f->instr >> 63;
        hash = mt_hash_step(hash, code ^ instr ^ (uint64_t)f->fingerprint << 32 ^ (uint64_t)f->flags << 63);
        f->hash = hash;
    }
}

/* Joins the reused part frames[0..top), verified down to its base, and the new part. */
MT_INLINE void join(const struct build *b)
{
    struct mt_pystack *p = b->p;
    for (uint32_t i = 0; i < b->fresh; i++) {
        uint32_t to = b->top + i;
        p->frames[to] = p->scratch[b->fresh - 1 - i];
        *hint_of(p, p->frames[to].frame) = (uint16_t)to;
    }
    set_count(p, b->top + b->fresh);
}

static MT_NOINLINE enum mt_pystack_result end_complete(const struct build *b)
{
    join(b);
    rehash(b->p, b->dirty, SEED_COMPLETE);
    return MT_LIKELY(b->p->count != 0) ? MT_PYSTACK_COMPLETE : MT_PYSTACK_NONE;
}

/* Frames are missing: hashes of another seed, which the next capture must not build on. */
static MT_NOINLINE enum mt_pystack_result end_partial(const struct build *b, enum step step)
{
    join(b);
    rehash(b->p, 0, SEED_PARTIAL);
    b->p->deaths = UINT64_MAX;
    b->p->errors += step == STEP_BAD;
    return step == STEP_BAD ? MT_PYSTACK_BROKEN : MT_PYSTACK_TRUNCATED;
}

static MT_NOINLINE enum mt_pystack_result end_without(struct mt_pystack *p)
{
    set_count(p, 0);
    return MT_PYSTACK_NONE;
}

/* ---- one capture ------------------------------------------------------------------------------------------------- */

static MT_NOINLINE void forget_the_dead(struct mt_pystack *p, uint64_t deaths)
{
    p->deaths = deaths;
    mt_pystack_forget(p);
}

/* Not the state of last time, or not sure: another interpreter has other objects. */
static MT_NOINLINE uint64_t find_other_tstate(struct mt_pystack *p, const struct mt_py_enabled *e)
{
    uint64_t tstate = mt_py_find_tstate(e);
    if (tstate != p->tstate && tstate != 0) {
        p->tstate = tstate;
        p->thread = (uint64_t)pthread_self();
        mt_pystack_forget(p);
    }
    return tstate;
}

/* A state that runs now is not being deleted, and is ours if it says so (up to 3.11, where the getter gives the one that
 * holds the GIL; later it gives the caller's). Only what was ours before is asked. */
MT_INLINE uint64_t find_tstate(struct mt_pystack *p, const struct mt_py_enabled *e, const struct mt_py_offsets *o)
{
    uint64_t running = (uint64_t)(uintptr_t)e->info.get_tstate_unchecked();
    if (MT_LIKELY(running == p->tstate)) {
        if (o->minor >= 12 || mt_py_load_u64(running, o->tstate.thread_id) == p->thread) {
            return running;
        }
    }
    return find_other_tstate(p, e);
}

/* The cframe of a state; 0 when it is none. */
static MT_NOINLINE uint64_t find_other_cframe(struct mt_pystack *p, uint64_t found)
{
    p->cframe = mt_py_plausible(found) ? found : 0;
    return p->cframe;
}

/* Where a walk starts; frame 0: there is none. */
MT_INLINE struct mt_py_cursor start_walk(struct mt_pystack *p, const struct mt_py_enabled *e,
                                         const struct mt_py_offsets *o)
{
    struct mt_py_cursor c = { .frame = 0, .cframe = 0, .budget = STEP_BUDGET };
    uint64_t tstate = find_tstate(p, e, o);
    if (MT_UNLIKELY(tstate == 0)) {
        return c;
    }
    c.frame = mt_py_load_u64(tstate, o->tstate.frame);
    if (o->tstate.has_cframe) {
        c.cframe = MT_LIKELY(c.frame == p->cframe) ? c.frame : find_other_cframe(p, c.frame);
        c.frame = MT_LIKELY(c.cframe != 0) ? mt_py_load_u64(c.cframe, o->tstate.cframe_current) : 0;
    }
    return c;
}

/* The rest of a walk: the stack is not the one captured before. f: the first frame that differs, the cursor is there;
 * NULL: the innermost frame is another. */
MT_INLINE enum mt_pystack_result walk_changed(struct mt_pystack *p, const struct mt_py_enabled *e,
                                              const struct mt_py_offsets *o, struct mt_py_cursor c,
                                              struct mt_py_frame *f)
{
    struct build b = { .p = p, .top = p->count, .dirty = p->count };
    enum step step = STEP_FRAME;
    if (f == NULL) {
        if (c.frame == 0) {
            return end_without(p);
        }
        b.top = b.dirty = 0;
        step = skip_first(o, &c) ? STEP_FRAME : STEP_BAD;
        f = step == STEP_FRAME && c.frame != 0 ? find_previous(&b, c.frame) : NULL;
    }
    if (step == STEP_FRAME) {
        step = take_frames(e, o, &c, &b, f);
    }
    return MT_LIKELY(step == STEP_FRAME) ? end_complete(&b) : end_partial(&b, step);
}

typedef enum mt_pystack_result (*changed_walk)(struct mt_pystack *p, const struct mt_py_enabled *e,
                                               struct mt_py_cursor c, struct mt_py_frame *f);

/* One capture. Nearly always every frame reads as it did, and then there is nothing to do. Nothing captured before may be
 * believed when a code object has died since, or might have without anybody noticing. */
MT_INLINE enum mt_pystack_result walk(struct mt_pystack *p, const struct mt_py_enabled *e,
                                      const struct mt_py_offsets *o, changed_walk changed)
{
    uint64_t deaths = mt_load_relaxed(&mt_g_code_deaths);
    if (MT_UNLIKELY(deaths != p->deaths) ||
        MT_UNLIKELY(mt_load_relaxed(e->dealloc_slot) != (uint64_t)(uintptr_t)mt_py_code_dies)) {
        forget_the_dead(p, deaths);
    }
    struct mt_py_cursor c = start_walk(p, e, o);
    struct mt_py_frame *f = p->leaf;
    if (MT_UNLIKELY(f->frame != c.frame)) {
        return changed(p, e, c, NULL);
    }
    f = skip_same(o, f, &c.cframe);
    if (MT_LIKELY(f->frame == NO_FRAME)) {
        return MT_PYSTACK_COMPLETE;
    }
    c.frame = f->frame;
    return changed(p, e, c, f);
}

/* One walk for each row, with the row's numbers as constants. */
#define ROW_WALK(row)                                                                                                  \
    static MT_NOINLINE enum mt_pystack_result changed_##row(struct mt_pystack *p, const struct mt_py_enabled *e,       \
                                                            struct mt_py_cursor c, struct mt_py_frame *f)              \
    {                                                                                                                  \
        return walk_changed(p, e, &g_row_##row, c, f);                                                                 \
    }                                                                                                                  \
    static enum mt_pystack_result walk_##row(struct mt_pystack *p, const struct mt_py_enabled *e)                      \
    {                                                                                                                  \
        return walk(p, e, &g_row_##row, changed_##row);                                                                \
    }
MT_PY_ROW_TABLE(ROW_WALK)
#undef ROW_WALK

/* An interpreter that describes itself otherwise than its row. */
static MT_NOINLINE enum mt_pystack_result changed_any(struct mt_pystack *p, const struct mt_py_enabled *e,
                                                      struct mt_py_cursor c, struct mt_py_frame *f)
{
    return walk_changed(p, e, &e->offsets, c, f);
}

static enum mt_pystack_result walk_any(struct mt_pystack *p, const struct mt_py_enabled *e)
{
    return walk(p, e, &e->offsets, changed_any);
}

static enum mt_pystack_result walk_none(struct mt_pystack *p, const struct mt_py_enabled *e)
{
    (void)e;
    return end_without(p);
}

mt_py_walk mt_py_find_walk(const struct mt_py_offsets *o)
{
    if (o == NULL) {
        return walk_none;
    }
#define ROW_FOUND(row)                                                                                                 \
    if (memcmp(o, &g_row_##row, sizeof *o) == 0) {                                                                     \
        return walk_##row;                                                                                             \
    }
    MT_PY_ROW_TABLE(ROW_FOUND)
#undef ROW_FOUND
    return walk_any;
}

enum mt_pystack_result mt_pystack_capture(struct mt_pystack *p)
{
    const struct mt_py_enabled *e = mt_py_enabled();
    return MT_LIKELY(e != NULL) ? e->walk(p, e) : end_without(p);
}
