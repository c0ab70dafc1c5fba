/* load_oom.c: when memory ran out: the first allocation that failed, as traces know it, and processes that the kernel killed in the control
 * groups of those that run. Context: [tool]. */
#include "sql/catalog.h"

#include "model/run_marks.h"
#include "sql/oom_group.h"
#include "util/memory.h"

#include <stdlib.h>

static void add_failure(struct mt_sql_load *load, const struct mt_run_mark *at)
{
    struct mt_row_oom_events *row = mt_sql_add_row(load);
    row->process = mt_sql_pid(load->sql, at->trace_idx);
    row->time_s = (double)at->time_ns / 1e9;
    row->kind = "allocation failed";
    row->scope = NULL;
    row->limit_bytes = MT_NULL_U64;
    row->asked_bytes = at->mark->value > 0 ? at->mark->value : MT_NULL_U64;
    row->killed = MT_NULL_U64;
}

static void add_kills(struct mt_sql_load *load, pid_t pid)
{
    struct mt_oom_group group;
    if (!mt_oom_group_read(pid, &group)) {
        mt_sql_note(load->sql, "process.oom_events: how many processes of the control group of process %d were killed cannot be read", (int)pid);
        return;
    }
    if (group.killed > 0) {
        struct mt_row_oom_events *row = mt_sql_add_row(load);
        row->process = mt_sql_number_of(load->sql, pid);
        row->time_s = MT_NULL_F64;
        row->kind = "killed by the kernel";
        row->scope = mt_sql_keep(load->sql, mt_strdup(group.path));
        row->limit_bytes = group.limit_bytes != UINT64_MAX ? group.limit_bytes : MT_NULL_U64;
        row->asked_bytes = MT_NULL_U64;
        row->killed = group.killed;
    }
    mt_oom_group_fini(&group);
}

mt_status mt_sql_load_oom_events(struct mt_sql_load *load)
{
    struct mt_run_marks marks;
    size_t count;
    mt_run_marks_find(load->sql->set, &load->sql->axis, &marks);
    for (size_t i = 0; i < marks.count; i++) {
        if (marks.items[i].mark->kind == MT_MARK_OUT_OF_MEMORY) {
            add_failure(load, &marks.items[i]);
        }
    }
    mt_run_marks_fini(&marks);
    pid_t *pids = mt_sql_live_pids(load->sql, &count);
    for (size_t i = 0; i < count; i++) {
        add_kills(load, pids[i]);
    }
    free(pids);
    return MT_OK;
}
