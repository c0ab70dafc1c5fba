/* frames.h: reading one frame after the other, from the innermost outwards.
 *
 * Decides: what is a frame (shims and cleanup frames are not), which frames are entries of a C evaluation loop, and the
 * address that lies in the C frame of that loop. All inline, with the offsets as an argument: a walk compiled for a
 * constant row has them in its instructions (a quarter fewer than loading them), see capture.c.
 * Invariant: a cursor's frame is 0 or a plausible pointer to what is no shim, after skip_first and every read_frame.
 * Context: [hook], own thread only; included by capture.c alone.
 */
#ifndef MT_PYSTACK_FRAMES_H
#define MT_PYSTACK_FRAMES_H

#include "base/atomic.h"
#include "pystack/layout.h"
#include "wire/format.h"

enum step { STEP_FRAME, STEP_END, STEP_BAD };

/* The code object of the frame that 3.12+ puts under a specialized call of __init__ to check its result
 * (_Py_InitCleanup): no function, and not exported. Found by the first walk that meets it. Writers and readers: any
 * capture; relaxed, as all write the same value. */
static uint64_t g_cleanup_code;

struct mt_py_cursor {
    uint64_t frame;  /* to be read next; 0: none */
    uint64_t cframe; /* 3.11: evaluation loop of the next entry frame */
    uint32_t budget; /* frames and shims still to be read */
};

MT_INLINE bool has_shims(const struct mt_py_offsets *o)
{
    return o->family == MT_PY_SHIM || o->family == MT_PY_SHIM_COPIES;
}

MT_INLINE bool is_shim(const struct mt_py_offsets *o, uint64_t frame)
{
    return mt_py_load_u8(frame, o->frame.owner) >= o->owner_shim;
}

/* The instruction pointer moved from the thread's own copy of the bytecode to the main one: all threads agree. */
MT_INLINE uint64_t move_to_main_copy(const struct mt_py_offsets *o, uint64_t frame, uint64_t code, uint64_t instr)
{
    uint64_t copies = mt_py_load_u64(code, o->code.copies);
    uint32_t index = mt_py_load_u32(frame, o->frame.copy_index);
    if (!mt_py_plausible(copies) || index >= mt_py_load_u64(copies, 0)) {
        return instr;
    }
    return instr - mt_py_load_u64(copies, 8 + 8 * index) + code + o->code.bytecode;
}

MT_INLINE uint64_t read_instruction(const struct mt_py_offsets *o, uint64_t frame, uint64_t code)
{
    if (o->family == MT_PY_FRAME_OBJECTS) {
        return (uint64_t)(int64_t)(int32_t)mt_py_load_u32(frame, o->frame.instr);
    }
    uint64_t instr = mt_py_load_u64(frame, o->frame.instr);
    return o->family == MT_PY_SHIM_COPIES ? move_to_main_copy(o, frame, code, instr) : instr;
}

MT_INLINE bool is_cleanup(const struct mt_py_offsets *o, uint64_t frame)
{
    return (mt_py_load_u64(frame, o->frame.code) & ~(uint64_t)o->tag_bits) == mt_load_relaxed(&g_cleanup_code);
}

/* True for code without a traceable instruction, which no compiler makes. code: a code object. */
MT_INLINE bool is_cleanup_code(const struct mt_py_offsets *o, uint64_t code)
{
    if (!has_shims(o)) {
        return false;
    }
    bool found = mt_py_load_u32(code, o->code.first_traceable) >= mt_py_load_u64(code, o->object.bytes_size);
    if (MT_UNLIKELY(found)) {
        mt_store_relaxed(&g_cleanup_code, code);
    }
    return found;
}

/* Moves the cursor over what is no function: shims (an evaluation loop is just being entered or left, or it is the
 * base of the stack) and cleanup frames. */
MT_INLINE bool skip_shims(const struct mt_py_offsets *o, struct mt_py_cursor *c)
{
    while (c->frame != 0 && (is_shim(o, c->frame) || is_cleanup(o, c->frame))) {
        c->frame = mt_py_load_u64(c->frame, o->frame.previous);
        if (MT_UNLIKELY((c->frame != 0 && !mt_py_plausible(c->frame)) || c->budget-- == 0)) {
            return false;
        }
    }
    return true;
}

/* Fills flags and anchor and moves the cursor to the next older frame; false when a pointer is not one. */
MT_INLINE bool step_outwards(const struct mt_py_offsets *o, struct mt_py_cursor *c, struct mt_py_frame *frame)
{
    uint64_t previous = mt_py_load_u64(frame->frame, o->frame.previous);
    frame->anchor = 0;
    frame->flags = MT_PYTHON_ENTRY;
    c->frame = previous;
    if (previous != 0 && MT_UNLIKELY(!mt_py_plausible(previous))) {
        return false;
    }
    if (o->family == MT_PY_FRAME_OBJECTS) {
        return true;
    }
    if (o->family == MT_PY_ENTRY_FLAG) {
        frame->flags = mt_py_load_u8(frame->frame, o->frame.is_entry) != 0 ? MT_PYTHON_ENTRY : 0;
        if (frame->flags != 0 && mt_py_plausible(c->cframe)) {
            frame->anchor = c->cframe;
            c->cframe = mt_py_load_u64(c->cframe, o->tstate.cframe_previous);
        }
        return true;
    }
    if (previous != 0 && MT_LIKELY(!is_shim(o, previous))) {
        frame->flags = 0;
        return is_cleanup(o, previous) ? skip_shims(o, c) : true;
    }
    frame->anchor = previous;
    return skip_shims(o, c);
}

/* What a stored frame looks like now. */
enum look { LOOK_SAME, LOOK_SAME_BASE, LOOK_CHANGED };

/* Stands below the base in place of a stored frame's address; no frame is there. */
#define NO_FRAME ((uint64_t)1)

/* The base of a stack lies on nothing; in 3.15 on a shim that lies on nothing. */
MT_INLINE bool is_end(const struct mt_py_offsets *o, uint64_t older)
{
    if (o->minor < 15 || older == 0) {
        return older == 0;
    }
    return mt_py_plausible(older) && is_shim(o, older) && mt_py_load_u64(older, o->frame.previous) == 0;
}

/* Entry frames and bases lie on f[-1], or on nothing if that is no frame. */
MT_INLINE enum look look_below(const struct mt_py_offsets *o, const struct mt_py_frame *f, uint64_t older)
{
    if (older == f[-1].frame) {
        return LOOK_SAME;
    }
    return f[-1].frame == NO_FRAME && is_end(o, older) ? LOOK_SAME_BASE : LOOK_CHANGED;
}

/* An entry frame of 3.11: its loop is where it was. cframe: that of the next entry frame, moved on. */
MT_INLINE enum look look_at_entry(const struct mt_py_offsets *o, const struct mt_py_frame *f, uint64_t previous,
                                  uint64_t *cframe)
{
    if (mt_py_load_u8(f->frame, o->frame.is_entry) == 0 || f->anchor != *cframe || *cframe == 0) {
        return LOOK_CHANGED;
    }
    *cframe = mt_py_load_u64(*cframe, o->tstate.cframe_previous);
    return look_below(o, f, previous);
}

/* An entry frame of 3.12 and newer: its shim is where it was. */
MT_INLINE enum look look_at_shim(const struct mt_py_offsets *o, const struct mt_py_frame *f, uint64_t previous)
{
    if (previous == 0 || previous != f->anchor || !is_shim(o, previous)) {
        return LOOK_CHANGED;
    }
    return look_below(o, f, mt_py_load_u64(previous, o->frame.previous));
}

/* Does the frame stored at `f`, whose address the walk has come to, read as it did, and lie on f[-1]? Loads and
 * comparisons only: an address equal to a checked one needs no check. The caller knows that f->code, if it is still the
 * frame's code object, is the one it was. From 3.11 on the instruction tells which: it lies inside. */
MT_INLINE enum look look_again(const struct mt_py_offsets *o, const struct mt_py_frame *f, uint64_t *cframe)
{
    uint64_t frame = f->frame;
    bool code_is_told = o->family == MT_PY_ENTRY_FLAG || o->family == MT_PY_SHIM;
    if (!code_is_told && (mt_py_load_u64(frame, o->frame.code) & ~(uint64_t)o->tag_bits) != f->code) {
        return LOOK_CHANGED;
    }
    if (read_instruction(o, frame, f->code) != f->instr) {
        return LOOK_CHANGED;
    }
    uint64_t previous = mt_py_load_u64(frame, o->frame.previous);
    if (o->family == MT_PY_FRAME_OBJECTS) {
        return look_below(o, f, previous);
    }
    if (MT_UNLIKELY(f->flags != 0)) {
        return has_shims(o) ? look_at_shim(o, f, previous) : look_at_entry(o, f, previous, cframe);
    }
    if (o->family == MT_PY_ENTRY_FLAG && mt_py_load_u8(frame, o->frame.is_entry) != 0) {
        return LOOK_CHANGED;
    }
    return previous == f[-1].frame ? LOOK_SAME : LOOK_CHANGED;
}

/* Brings the cursor to the innermost frame. */
MT_INLINE bool skip_first(const struct mt_py_offsets *o, struct mt_py_cursor *c)
{
    if (MT_UNLIKELY(!mt_py_plausible(c->frame))) {
        return false;
    }
    return has_shims(o) ? skip_shims(o, c) : true;
}

/* Reads the frame under the cursor, all but hash and fingerprint. The cursor's frame is 0 or plausible, and no shim. */
MT_INLINE enum step read_frame(const struct mt_py_offsets *o, struct mt_py_cursor *c, struct mt_py_frame *ret)
{
    if (c->frame == 0) {
        return STEP_END;
    }
    if (MT_UNLIKELY(c->budget-- == 0)) {
        return STEP_BAD;
    }
    ret->frame = c->frame;
    ret->code = mt_py_load_u64(c->frame, o->frame.code);
    if (has_shims(o)) {
        ret->code &= ~(uint64_t)o->tag_bits;
    }
    if (MT_UNLIKELY(!mt_py_plausible(ret->code))) {
        return STEP_BAD;
    }
    ret->instr = read_instruction(o, c->frame, ret->code);
    return step_outwards(o, c, ret) ? STEP_FRAME : STEP_BAD;
}

#endif
