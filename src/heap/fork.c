/* fork.c: see fork.h. */
#include "heap/fork.h"

#include "heap/aggregate.h"
#include "heap/bound.h"
#include "heap/clock.h"
#include "heap/label.h"
#include "heap/left_out.h"
#include "heap/livetab.h"
#include "heap/maplog.h"
#include "heap/meta.h"
#include "heap/modules.h"
#include "heap/tensors.h"
#include "heap/thread.h"
#include "heap/totals.h"
#include "heap/touch.h"

void mt_engine_on_fork(void (*restart)(void))
{
    g_mt.restart_after_fork = restart;
}

bool mt_fork_begin_trace(void)
{
    if (!mt_load_relaxed(&g_mt.restart_pending)) {
        return false;
    }
    t_mt.depth++;
    mt_store_relaxed(&g_mt.restart_pending, false);
    g_mt.restart_after_fork();
    t_mt.depth--;
    return mt_mode() != MT_MODE_OFF;
}

void mt_engine_threads_begin(void)
{
    (void)mt_fork_begin_trace();
    if (!mt_clock_is_ordered()) {
        mt_thread_begin_order();
        mt_clock_allow_alone();
    }
}

void mt_engine_before_fork(void)
{
    if (mt_mode() == MT_MODE_OFF || mt_is_unnoticed_child()) {
        return;
    }
    mt_engine_enter();
    mt_left_out_prepare();
    if (mt_clock_is_common()) {
        mt_thread_begin_order();
        mt_clock_forbid_alone();
    }
    mt_engine_leave();
}

void mt_engine_fork_child(void)
{
    mt_label_after_fork();
    mt_tensors_after_fork();
    if (g_mt.header == NULL && mt_mode() == MT_MODE_OFF) {
        return;
    }
    /* The parent's slots and header are not mapped here (DONTFORK): forget them before anything touches them. */
    bool recorded = mt_mode() != MT_MODE_OFF; /* this copy is not wiped */
    mt_state_set_header(NULL);
    g_mt.unfinished = false;
    mt_state_publish_mode(MT_MODE_OFF);
    mt_livetab_show(MT_FILTER_NONE);
    mt_livetab_after_fork();
    mt_maplog_after_fork();
    mt_totals_after_fork();
    mt_bound_forbid();
    mt_store_relaxed(&g_mt.held, 0u);
    mt_tracefile_after_fork();
    mt_meta_after_fork();
    mt_aggregate_after_fork();
    mt_touch_after_fork();
    mt_modules_after_fork();
    mt_unwind_after_fork();
    mt_left_out_after_fork();
    struct mt_thread *self = t_mt.thread;
    mt_thread_forget_all_but(self);
    mt_clock_after_fork();
    if (self != NULL) {
        /* Starts as a new thread of a new process: own stream, own random numbers. */
        mt_thread_forget_all_but(NULL);
        self->next = g_mt.free_blocks;
        g_mt.free_blocks = self;
        t_mt.thread = NULL;
        t_mt.state = MT_THREAD_NEW;
    }
    t_mt.left = 0;
    g_mt.next_stream = 0;
    g_mt.restart_pending = recorded && g_mt.restart_after_fork != NULL;
}
