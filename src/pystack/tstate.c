/* tstate.c: which thread state belongs to the calling thread, and whether it may be read now.
 *
 * Decides: PyGILState_GetThisThreadState (a read of thread-specific data, safe before, during and after the life of the
 * interpreter) is believed, with two exceptions: subinterpreters up to 3.11, and a shutdown by another thread.
 * Invariant: the only state ever read that may not be the caller's own is the one that holds the GIL, and only for its
 * thread id. Context: [hook].
 */
#include "pystack/layout.h"

#include <pthread.h>

static bool has_several_interpreters(const struct mt_py_enabled *e)
{
    if (e->info.runtime == NULL) {
        return false;
    }
    uint64_t first = mt_py_load_u64((uint64_t)(uintptr_t)e->info.runtime, e->offsets.runtime.interpreters_head);
    return mt_py_plausible(first) && mt_py_load_u64(first, e->offsets.runtime.interpreter_next) != 0;
}

/* Up to 3.11 PyGILState_GetThisThreadState knows only the thread's first state, not the one of a subinterpreter it
 * runs in. The state that holds the GIL is ours if it says so. It may be another thread's, and that thread may be
 * deleting it: freed memory of the C allocator is then read, which is why this is asked only where there are
 * subinterpreters. */
static uint64_t prefer_subinterpreter(const struct mt_py_enabled *e, uint64_t own)
{
    if (!has_several_interpreters(e)) {
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

bool mt_pystack_is_finalizing(void)
{
    const struct mt_py_enabled *e = mt_py_enabled();
    return e != NULL && e->info.frames_supported && e->info.runtime != NULL &&
           mt_py_load_u64((uint64_t)(uintptr_t)e->info.runtime, e->offsets.runtime.finalizing) != 0;
}

uint64_t mt_py_find_tstate(const struct mt_py_enabled *e)
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
