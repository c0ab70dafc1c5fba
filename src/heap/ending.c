/* ending.c: see ending.h.
 *
 * A mark has the clock of no event: what has it or less came before, the rest after. Within a thread clocks may be a unit
 * (MT_CLOCK_SHIFT) coarser in the file than they are here, so the mark takes a whole unit for itself.
 */
#include "heap/ending.h"

#include "heap/clock.h"
#include "heap/notes.h"

static bool g_for_good; /* the process ends when Python does */

static bool is_recorded(void)
{
    return mt_mode() != MT_MODE_OFF && g_mt.header != NULL && !mt_is_unnoticed_child();
}

/* Behind all that the calling thread has recorded, before all it will. */
static uint64_t clock_between(struct mt_thread *t)
{
    const uint64_t unit = (uint64_t)1 << MT_CLOCK_SHIFT;
    uint64_t clock = (mt_clock_stamp(t) | (unit - 1)) + 1;
    mt_store_relaxed(&t->clock, clock + unit);
    return clock;
}

/* Guard set. */
static void leave_mark(enum mt_mark_kind kind, uint64_t value)
{
    bool has_block = (t_mt.state & MT_THREAD_HAS_BLOCK) != 0;
    uint64_t clock = has_block ? clock_between(t_mt.thread) : mt_clock_now();
    mt_notes_mark(clock, has_block ? t_mt.thread->journal.stream : 0, kind, value);
}

void mt_engine_python_begins(void)
{
    mt_store_relaxed(&g_for_good, true);
}

void mt_engine_python_ends(void)
{
    if (is_recorded() && t_mt.depth == 0 && t_mt.state == MT_THREAD_READY && !mt_pystack_is_finalizing()) {
        t_mt.state = MT_THREAD_ENDING;
    }
}

/* The table of an aggregate has one amount for what is alive: it stays as it was when the program ended. */
static void end_aggregate(void)
{
    mt_engine_exit_seen();
    mt_engine_stop(MT_STATE_ENDED);
}

bool mt_ending_look(void)
{
    if (!mt_pystack_is_finalizing()) {
        return true;
    }
    bool for_good = mt_load_relaxed(&g_for_good);
    mt_engine_enter();
    leave_mark(MT_MARK_PROGRAM_END, for_good);
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
    if (is_recorded() && t_mt.depth == 0 && is_in_own_process()) {
        mt_engine_enter();
        leave_mark(MT_MARK_MAIN_RETURNED, (uint64_t)(status & 0xFF));
        mt_engine_leave();
    }
}
