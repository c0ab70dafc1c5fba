/* live.c: processes that run, beside the traces of a session, and what is said of them. Context: [tool]. */
#include "sql/session.h"

#include "base/os.h"
#include "util/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void mt_sql_set_processes(struct mt_sql *sql, const struct mt_sql_processes *processes)
{
    sql->processes = *processes;
}

const struct mt_strlist *mt_sql_notes(const struct mt_sql *sql)
{
    return &sql->notes;
}

void mt_sql_note(struct mt_sql *sql, const char *format, ...)
{
    char text[MT_ERROR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (size_t i = 0; i < sql->notes.count; i++) {
        if (strcmp(sql->notes.items[i], text) == 0) {
            return;
        }
    }
    mt_strlist_print(&sql->notes, "%s", text);
}

static bool has(const pid_t *pids, size_t count, pid_t pid)
{
    for (size_t i = 0; i < count; i++) {
        if (pids[i] == pid) {
            return true;
        }
    }
    return false;
}

uint64_t mt_sql_number_of(const struct mt_sql *sql, pid_t pid)
{
    for (uint32_t t = 0; t < sql->set->count; t++) {
        const struct mt_trace_info *info = mt_trace_info(sql->set->traces[t]);
        if (info->process == (uint64_t)pid && mt_trace_is_live(info, mt_os_monotonic_ns())) {
            return mt_sql_pid(sql, t);
        }
    }
    return (uint64_t)pid;
}

pid_t *mt_sql_live_pids(const struct mt_sql *sql, size_t *ret_count)
{
    pid_t *pids = mt_alloc((sql->set->count + sql->processes.count + 1) * sizeof *pids);
    size_t count = 0;
    for (size_t t = 0; t < sql->set->count; t++) {
        const struct mt_trace_info *info = mt_trace_info(sql->set->traces[t]);
        if (mt_trace_is_live(info, mt_os_monotonic_ns()) && !has(pids, count, (pid_t)info->process)) {
            pids[count++] = (pid_t)info->process;
        }
    }
    for (size_t i = 0; i < sql->processes.count; i++) {
        if (!has(pids, count, sql->processes.pids[i])) {
            pids[count++] = sql->processes.pids[i];
        }
    }
    *ret_count = count;
    return pids;
}
