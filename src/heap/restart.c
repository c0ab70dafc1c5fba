/* restart.c: the end of a trace in a process that goes on, so that another can begin.
 *
 * Pairing R1: whoever touches a journal, the stack tables or the file says so first (block->recording = 1) and then looks
 * at g_mt.generation; mt_engine_finish makes the generation odd first and then looks at every block's flag. With a barrier
 * in all threads between its two steps (membarrier) one of the two always sees the other: either the recording thread finds
 * the generation changed and stays out, or finish finds the flag and waits. The recording side pays two stores and one
 * compare.
 * Late counters go to the header page, which stays mapped until the next trace's takes its place.
 * Context: [agent].
 */
#include "heap/aggregate.h"
#include "heap/clock.h"
#include "heap/footprint.h"
#include "heap/fork.h"
#include "heap/hold.h"
#include "heap/meta.h"
#include "heap/thread.h"
#include "heap/touch.h"

enum { POLL_NS = 50 * 1000, POLLS_MAX = 20000 }; /* a second in all */

static bool wait_until_nobody_records(void)
{
    mt_os_barrier_all_threads();
    for (int polls = 0; mt_thread_others_record(NULL); polls++) {
        if (polls == POLLS_MAX) {
            return false;
        }
        mt_os_pause_ns(POLL_NS);
    }
    return true;
}

static bool close_journals(void)
{
    if (!mt_spinlock_lock(&g_mt.threads_lock)) {
        return false;
    }
    for (struct mt_thread *t = g_mt.threads; t != NULL; t = t->next) {
        mt_journal_close(t);
    }
    if (g_mt.orphan != NULL) {
        mt_journal_close(g_mt.orphan);
    }
    mt_spinlock_unlock(&g_mt.threads_lock);
    return true;
}

static bool close_metadata(void)
{
    if (!mt_meta_lock()) {
        return false;
    }
    mt_meta_close();
    mt_meta_unlock();
    return true;
}

mt_status mt_engine_finish(enum mt_trace_state state)
{
    if (mt_is_unnoticed_child()) {
        mt_engine_fork_child();
    }
    if (mt_mode() != MT_MODE_OFF) {
        mt_touch_ends();
        mt_footprint_sample(mt_clock_now(), true);
    }
    mt_engine_stop(state);
    if (!g_mt.unfinished) {
        return MT_OK;
    }
    if (!mt_hold_take_over() || !wait_until_nobody_records() || !close_journals() || !close_metadata()) {
        return MT_E_BUSY;
    }
    mt_journal_settle();
    mt_aggregate_close();
    mt_tracefile_close();
    g_mt.next_stream = 0;
    g_mt.unfinished = false;
    return MT_OK;
}

void mt_engine_may_restart(void)
{
    g_mt.may_restart = true;
}
