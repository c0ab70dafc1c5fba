/* gate.h: whether a call of the program's may be recorded by this thread now.
 *
 * Decides: the common answer is one comparison of (depth, state) and one of the mode; whatever is rare (a nested call, a
 * fork child nobody told us of, the first call of a thread or one after its end, recording off) goes to gate.c.
 * Context: [hook], any thread.
 */
#ifndef MT_HEAP_GATE_H
#define MT_HEAP_GATE_H

#include "heap/thread.h"

#include <string.h>

/* The mode as this process sees it: OFF in a fork child until it has a trace of its own. */
MT_INLINE uint32_t mt_gate_mode(void)
{
    return mt_load_relaxed(mt_load_relaxed(&g_mt.live_mode));
}

/* This thread has a block and is not inside a hook: depth 0 and state READY, compared as one word. */
MT_INLINE bool mt_gate_is_open(void)
{
    uint64_t gate;
    memcpy(&gate, &t_mt.depth, sizeof gate);
    return gate == (uint64_t)MT_THREAD_READY << 32;
}

/* The rare cases of mt_gate_enter; gives the thread its block. False: not now, or not this thread. */
MT_COLD bool mt_gate_enter_slowly(void);

MT_INLINE bool mt_gate_enter(void)
{
    return MT_LIKELY(mt_gate_is_open() && mt_gate_mode() != MT_MODE_OFF) || mt_gate_enter_slowly();
}

#endif
