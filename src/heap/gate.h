/* gate.h: whether a call of the program's may be recorded by this thread now.
 *
 * Decides: the common answer is a look at depth and state and one at the mode; whatever is rare (a nested call, a
 * fork child nobody told us of, the first call of a thread or one after its end, recording off) goes to gate.c.
 * Context: [hook], any thread.
 */
#ifndef MT_HEAP_GATE_H
#define MT_HEAP_GATE_H

#include "heap/thread.h"

/* The mode as this process sees it: OFF in a fork child until it has a trace of its own. */
MT_INLINE uint32_t mt_gate_mode(void)
{
    return mt_load_relaxed(mt_load_relaxed(&g_mt.live_mode));
}

/* This thread has a block and is not inside a hook. Two loads: one of both words would wait until the depth that the last hook
 * has just stored is in the cache, as a store is not handed on to a load that is wider. */
MT_INLINE bool mt_gate_is_open(void)
{
    return (mt_load_relaxed(&t_mt.depth) | (mt_load_relaxed(&t_mt.state) ^ MT_THREAD_READY)) == 0;
}

/* The rare cases of mt_gate_enter; gives the thread its block. False: not now, or not this thread. */
MT_COLD bool mt_gate_enter_slowly(uint64_t frame);
/* Depth is not 0: ends a guard that was jumped out of, as far as that can be told from a call made in this frame. */
MT_COLD void mt_gate_look_at_guard(uint64_t frame);

MT_INLINE void mt_gate_end_left_guard(uint64_t frame)
{
    if (MT_UNLIKELY(t_mt.depth != 0)) {
        mt_gate_look_at_guard(frame);
    }
}

/* frame: of the hook; 0: not known. */
MT_INLINE bool mt_gate_enter(uint64_t frame)
{
    return MT_LIKELY(mt_gate_is_open() && mt_gate_mode() != MT_MODE_OFF) || mt_gate_enter_slowly(frame);
}

#endif
