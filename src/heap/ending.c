/* ending.c: see ending.h. */
#include "heap/ending.h"

#include "heap/bound.h"
#include "heap/marks.h"

static bool g_for_good; /* the process ends when Python does */

void mt_engine_python_begins(void)
{
    mt_store_relaxed(&g_for_good, true);
}

void mt_engine_python_ends(void)
{
    if (mt_marks_are_kept() && t_mt.depth == 0 && t_mt.state == MT_THREAD_READY && !mt_pystack_is_finalizing()) {
        t_mt.state = MT_THREAD_ENDING;
    }
}

/* The table of an aggregate has one amount for what is alive: it stays as it was when the program ended. */
static void end_aggregate(void)
{
    mt_engine_exit_seen();
    mt_engine_stop(MT_STATE_ENDED);
}

/* What was described last is not described again: that is most of what a function of atexit costs here. */
static bool is_shell_cleared(struct mt_thread *t)
{
    static uint64_t other; /* outermost code object that is no shell's; of the one thread that ends Python */
    if (!g_mt.python) {
        return false;
    }
    mt_engine_enter();
    (void)mt_pystack_capture(&t->python);
    uint64_t outermost = t->python.count > 0 ? t->python.frames[0].code : 0;
    bool cleared = outermost != other && mt_pystack_clears_a_shell(&t->python);
    other = cleared ? other : outermost;
    mt_engine_leave();
    return cleared;
}

bool mt_ending_look(void)
{
    if (!mt_pystack_is_finalizing() && !is_shell_cleared(t_mt.thread)) {
        return true;
    }
    bool for_good = mt_load_relaxed(&g_for_good);
    mt_engine_enter();
    if (for_good) {
        mt_bound_forbid(); /* what was alive at the mark must stay known */
    }
    mt_marks_leave(MT_MARK_PROGRAM_END, for_good, "", 0);
    t_mt.state = MT_THREAD_READY;
    if (for_good && mt_mode() == MT_MODE_AGGREGATE) {
        end_aggregate();
    }
    mt_engine_leave();
    return mt_mode() != MT_MODE_OFF;
}

/* A vfork child that calls exit does it on its parent's memory. */
static bool is_in_own_process(void)
{
    return mt_os_is_restricted() || (uint64_t)mt_os_pid() == g_mt.header->pid;
}

void mt_engine_main_ends(int status)
{
    if (mt_marks_are_kept() && t_mt.depth == 0 && is_in_own_process()) {
        mt_engine_enter();
        mt_marks_leave(MT_MARK_MAIN_RETURNED, (uint64_t)(status & 0xFF), "", 0);
        mt_engine_leave();
    }
}
