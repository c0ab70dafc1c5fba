/* gate.c: see gate.h. What is not the common case: order matters, a nested call must not do anything, a fork child must first
 * become one. */
#include "heap/gate.h"

#include "heap/countdown.h"
#include "heap/fork.h"

/* Gives the thread its block, again after its end, if it may have one; true when it is ready. */
static bool become_ready(void)
{
    if (t_mt.state == MT_THREAD_NEW || t_mt.state == MT_THREAD_DEAD) {
        t_mt.depth++;
        bool attached = t_mt.state == MT_THREAD_NEW ? mt_thread_attach() : mt_thread_revive();
        t_mt.depth--;
        return attached;
    }
    if (t_mt.state == MT_THREAD_IGNORED) {
        t_mt.left = MT_COUNTDOWN_FAR;
    }
    return t_mt.state == MT_THREAD_READY;
}

/* Everything but the common case: nested calls, fork children, first calls of threads, recording off. */
bool mt_gate_enter_slowly(void)
{
    if (t_mt.depth != 0) {
        if ((t_mt.depth & (uint32_t)MT_DEPTH_RECORDING) != 0) {
            mt_engine_count(MT_COUNTER_DROPPED_EVENTS, 1); /* a signal handler interrupted the recorder */
        }
        return false;
    }
    if (mt_is_unnoticed_child()) {
        mt_engine_fork_child();
    }
    if (mt_mode() == MT_MODE_OFF && !mt_fork_begin_trace()) {
        /* nobody can reach the countdowns of all threads when it restarts */
        t_mt.left = g_mt.may_restart ? 0 : MT_COUNTDOWN_FAR;
        return false;
    }
    return become_ready();
}
