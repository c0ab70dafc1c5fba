/* load_system.c: what the system says of processes: the resident set over time, and mappings as they are now. Context: [tool]. */
#include "sql/catalog.h"

#include "base/os.h"
#include "util/mappings.h"
#include "util/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the resident set --------------------------------------------------------------------------------------------- */

/* Bytes behind "Key:" of /proc/PID/status, which has KiB. */
static uint64_t status_bytes(pid_t pid, const char *key)
{
    char *path = mt_format("/proc/%d/status", (int)pid), *line = NULL;
    FILE *file = fopen(path, "re");
    size_t room = 0, key_bytes = strlen(key);
    uint64_t bytes = MT_NULL_U64;
    while (file != NULL && bytes == MT_NULL_U64 && getline(&line, &room, file) > 0) {
        if (strncmp(line, key, key_bytes) == 0 && line[key_bytes] == ':') {
            bytes = strtoull(line + key_bytes + 1, NULL, 10) << 10;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    free(line);
    free(path);
    return bytes;
}

/* A process as it is now. */
static void add_now(struct mt_sql_load *load, pid_t pid, double time_s)
{
    uint64_t rss = status_bytes(pid, "VmRSS"), file = status_bytes(pid, "RssFile"), shared = status_bytes(pid, "RssShmem");
    if (rss == MT_NULL_U64) {
        mt_sql_note(load->sql, "process %d has ended: process.memory has no row of it as it is now", (int)pid);
        return;
    }
    struct mt_row_process_memory *row = mt_sql_add_row(load);
    row->process = mt_sql_number_of(load->sql, pid);
    row->time_s = time_s;
    row->rss_bytes = rss;
    row->file_bytes = file != MT_NULL_U64 && shared != MT_NULL_U64 ? file + shared : MT_NULL_U64;
    row->own_bytes = MT_NULL_U64;
}

/* The moment on the run's axis; of a process without a trace there is none. */
static double now_s(const struct mt_sql *sql, pid_t pid)
{
    uint64_t now = mt_os_monotonic_ns();
    for (uint32_t t = 0; t < sql->set->count; t++) {
        const struct mt_trace *trace = sql->set->traces[t];
        if (mt_trace_info(trace)->process == (uint64_t)pid && mt_trace_is_live(mt_trace_info(trace), now)) {
            return (double)(sql->axis.spans[t].start_ns + mt_trace_time(trace, now)) / 1e9;
        }
    }
    return MT_NULL_F64;
}

mt_status mt_sql_load_process_memory(struct mt_sql_load *load)
{
    struct mt_sql *sql = load->sql;
    for (uint32_t t = 0; t < sql->set->count; t++) {
        size_t count;
        const struct mt_trace_rss *rss = mt_trace_rss(sql->set->traces[t], &count);
        for (size_t i = 0; i < count; i++) {
            struct mt_row_process_memory *row = mt_sql_add_row(load);
            row->process = mt_sql_pid(sql, t);
            row->time_s = (double)(sql->axis.spans[t].start_ns + rss[i].time_ns) / 1e9;
            row->rss_bytes = rss[i].bytes;
            row->file_bytes = rss[i].parted ? rss[i].file_bytes : MT_NULL_U64;
            row->own_bytes = rss[i].parted ? rss[i].own_bytes : MT_NULL_U64;
        }
    }
    size_t live;
    pid_t *pids = mt_sql_live_pids(sql, &live);
    for (size_t i = 0; i < live; i++) {
        add_now(load, pids[i], now_s(sql, pids[i]));
    }
    free(pids);
    return MT_OK;
}

/* ---- mappings of processes that run ------------------------------------------------------------------------------- */

static void add_mappings(struct mt_sql_load *load, pid_t pid, const struct mt_mappings *mappings)
{
    uint64_t number = mt_sql_number_of(load->sql, pid);
    for (size_t i = 0; i < mappings->count; i++) {
        const struct mt_mapping *m = &mappings->items[i];
        struct mt_row_smaps *row = mt_sql_add_row(load);
        row->process = number;
        row->low_address = m->low;
        row->high_address = m->high;
        row->permissions = mt_sql_keep(load->sql, mt_strdup(m->permissions));
        row->path = m->path[0] != '\0' ? mt_sql_keep(load->sql, mt_strdup(m->path)) : NULL;
        row->size_bytes = m->high - m->low;
        row->rss_bytes = m->rss_bytes;
        row->pss_bytes = m->pss_bytes;
        row->private_dirty_bytes = m->private_dirty_bytes;
        row->swap_bytes = m->swap_bytes;
    }
}

/* Of a process that has ended, or may not be looked at, there are none. */
mt_status mt_sql_load_smaps(struct mt_sql_load *load)
{
    size_t count;
    pid_t *pids = mt_sql_live_pids(load->sql, &count);
    if (count == 0) {
        mt_sql_note(load->sql, "memory.smaps has rows of processes that run, and of this recording none does");
    }
    for (size_t i = 0; i < count; i++) {
        struct mt_mappings mappings = { 0 };
        struct mt_error err = { 0 };
        if (mt_mappings_read_resident(pids[i], &mappings, &err) == MT_OK) {
            add_mappings(load, pids[i], &mappings);
        } else {
            mt_sql_note(load->sql, "memory.smaps has no rows of process %d: %s", (int)pids[i], mt_error_text(&err));
        }
        mt_mappings_clear(&mappings);
    }
    free(pids);
    return MT_OK;
}
