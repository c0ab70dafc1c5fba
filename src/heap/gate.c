/* gate.c: see gate.h. What is not the common case: order matters, a guard nobody will take down any more must end, a nested
 * call must not do anything, a fork child must first become one. */
#include "heap/gate.h"

#include "heap/countdown.h"
#include "heap/ending.h"
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
    if (t_mt.state == MT_THREAD_ENDING) {
        return mt_ending_look();
    }
    return t_mt.state == MT_THREAD_READY;
}

/* ---- guards that were jumped out of --------------------------------------------------------------------------------- */

/* Is the guarded frame gone? Stacks grow downward: a hook called inside it has its frame below it, so one above it, as when
 * it is called again from the same place, means that it has been left. Where signal handlers and coroutines have stacks of
 * their own, addresses of two stacks are compared; docs/concurrency.md says why that does no harm. What lies above the
 * thread's own stack is another one for certain: a guard there has ended when the thread is back on its own, a call from
 * there does not say that a guard on its own has. */
static bool is_left(uint64_t frame)
{
    const struct mt_thread *t = t_mt.thread;
    if (frame == 0 || t == NULL || mt_own_depth() != 0) {
        return false;
    }
    bool recording = (t_mt.depth & (uint32_t)MT_DEPTH_RECORDING) != 0;
    uint64_t guard = recording ? mt_load_relaxed(&t->recording) : t_mt.guard & ~(uint64_t)MT_GUARD_OF_NOTHING;
    bool guard_is_elsewhere = guard >= t->unwinder.stack_high;
    bool frame_is_elsewhere = frame >= t->unwinder.stack_high;
    if (guard == 0 || guard_is_elsewhere != frame_is_elsewhere) {
        return guard != 0 && guard_is_elsewhere;
    }
    return frame > guard;
}

/* The recorder itself was left in the middle: what the thread may have left half done is set aside. Tables that all threads
 * share cannot be; a thread that held their lock ends the recording. */
static void mend_recorder(struct mt_thread *t)
{
    if (mt_spinlock_release_all() != 0) {
        mt_state_give_up(MT_E_INTERRUPTED);
    }
    mt_thread_mend(t);
}

/* A signal handler that allocates meanwhile finds a recorder at work in this frame. */
static MT_COLD void end_guard(void)
{
    struct mt_thread *t = t_mt.thread;
    bool recording = (t_mt.depth & (uint32_t)MT_DEPTH_RECORDING) != 0;
    mt_store_relaxed(&t->recording, mt_engine_frame());
    t_mt.depth = (uint32_t)(MT_DEPTH_RECORDING | 1);
    mt_hold_wait(t); /* what follows is right in any trace */
    if (recording) {
        mend_recorder(t);
    }
    mt_engine_count(MT_COUNTER_DROPPED_EVENTS, recording || (t_mt.guard & MT_GUARD_OF_NOTHING) == 0);
    mt_engine_leave_realloc();
    t_mt.ending = 0;
    mt_countdown_settle();
    mt_section_ends(t, 0);
}

void mt_gate_look_at_guard(uint64_t frame)
{
    if (is_left(frame)) {
        end_guard();
    }
}

void mt_engine_end_guard(void)
{
    if (t_mt.depth != 0 && t_mt.thread != NULL) {
        end_guard();
    }
}

/* Everything but the common case: nested calls, fork children, first calls of threads, recording off. */
bool mt_gate_enter_slowly(uint64_t frame)
{
    mt_gate_end_left_guard(frame);
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
