/* catalog.c: see catalog.h. */
#include "sql/catalog.h"

const struct mt_sql_table mt_sql_tables[] = {
    { mt_table_allocations, "memory", "allocations", { NULL }, NULL, mt_sql_load_allocations, NULL, MT_SQL_OF_TRACE },
    { mt_table_events, "memory", "events", { NULL }, NULL, mt_sql_load_events, NULL, MT_SQL_OF_TRACE },
    { mt_table_sites, "memory", "sites", { NULL }, NULL, mt_sql_load_sites, NULL, MT_SQL_OF_TRACE },
    { mt_table_leaks, "memory", "leaks", { NULL }, NULL, mt_sql_load_leaks, NULL, MT_SQL_OF_TRACE },
    { mt_table_stacks, "memory", "stacks", { NULL }, "stack_id", mt_sql_load_stacks, NULL, MT_SQL_OF_TRACE },
    { mt_table_snapshots, "memory", "snapshots", { NULL }, "time_s", mt_sql_load_snapshots, NULL, MT_SQL_OF_TRACE },
    { mt_table_gc, "memory", "gc", { NULL }, NULL, mt_sql_load_gc, NULL, MT_SQL_OF_PROCESS },
    { mt_table_tensors, "memory", "tensors", { NULL }, NULL, mt_sql_load_tensors, NULL, MT_SQL_OF_PROCESS },
    { mt_table_objects, "memory", "objects", { NULL }, NULL, mt_sql_load_objects, NULL, MT_SQL_OF_PROCESS },
    { mt_table_threads, "memory", "threads", { NULL }, NULL, mt_sql_load_threads, NULL, MT_SQL_OF_TRACE },
    { mt_table_modules, "memory", "modules", { NULL }, NULL, mt_sql_load_modules, NULL, MT_SQL_OF_TRACE },
    { mt_table_smaps, "memory", "smaps", { NULL }, NULL, mt_sql_load_smaps, NULL, MT_SQL_OF_PROCESS },
    { mt_table_timeline, "memory", "timeline", { NULL }, "time_s", mt_sql_load_timeline, NULL, MT_SQL_OF_TRACE },
    { mt_table_lifetimes, "memory", "lifetimes", { NULL }, NULL, mt_sql_load_lifetimes, NULL, MT_SQL_OF_TRACE },
    { mt_table_allocations, "memory", "live_at", { "t" }, NULL, mt_sql_load_live_at,
      "What was alive at t (seconds, '50%', 'peak', 'end'), a row a block: memory.live_at(t)", MT_SQL_OF_TRACE },
    { mt_table_allocations, "memory", "between", { "t0", "t1" }, NULL, mt_sql_load_between,
      "What was allocated from t0 on and alive at t1, a row a block: memory.between(t0, t1)", MT_SQL_OF_TRACE },
    { mt_table_diff, "memory", "diff", { "a", "b" }, NULL, mt_sql_load_diff, NULL, MT_SQL_OF_TRACE },
    { mt_table_process_memory, "process", "memory", { NULL }, NULL, mt_sql_load_process_memory, NULL, MT_SQL_OF_PROCESS },
    { mt_table_oom_events, "process", "oom_events", { NULL }, NULL, mt_sql_load_oom_events, NULL, MT_SQL_OF_PROCESS },
    { mt_table_torch_trace, "python", "torch_trace", { NULL }, "step", mt_sql_load_torch, NULL, MT_SQL_OF_TRACE },
    { mt_table_gpu_utilization, "gpu", "utilization", { NULL }, NULL, mt_sql_load_gpu_utilization, NULL, MT_SQL_OF_NOBODY },
    { mt_table_gpu_devices, "gpu", "devices", { NULL }, NULL, mt_sql_load_gpu_devices, NULL, MT_SQL_OF_NOBODY },
    { mt_table_described_tables, "information_schema", "tables", { NULL }, NULL, mt_sql_load_described_tables, NULL, MT_SQL_OF_NOBODY },
    { mt_table_described_columns, "information_schema", "columns", { NULL }, NULL, mt_sql_load_described_columns, NULL, MT_SQL_OF_NOBODY },
    { 0 },
};

const struct mt_sql_view mt_sql_views[] = {
    { "temp", "growth", "Lines of the program whose live bytes grew over the run, the fastest first",
      "SELECT function, file, line, sum(growth_bytes_per_s) AS growth_bytes_per_s, sum(live_bytes) AS live_bytes, "
      "sum(total_bytes) AS total_bytes FROM memory.sites GROUP BY function, file, line HAVING sum(growth_bytes_per_s) > 0 "
      "ORDER BY growth_bytes_per_s DESC" },
    { "temp", "peak", "What was held when all processes together held most, a row a line of the program, the largest first",
      "SELECT function, file, line, sum(peak_bytes) AS bytes, sum(peak_count) AS count FROM memory.sites WHERE peak_count > 0 "
      "GROUP BY function, file, line ORDER BY bytes DESC" },
    { "temp", "slack", "What of the resident set of a run of one process is neither recorded heap, nor files, nor memtap's own; of a process that was joined, what it had before is in it",
      "SELECT process, time_s, rss_bytes, file_bytes, own_bytes, heap_bytes, rss_bytes - file_bytes - own_bytes - heap_bytes "
      "AS slack_bytes FROM (SELECT *, CASE (SELECT count(DISTINCT process) FROM process.memory) WHEN 1 THEN (SELECT heap_bytes "
      "FROM memory.timeline AS t WHERE t.time_s >= m.time_s ORDER BY t.time_s LIMIT 1) END AS heap_bytes FROM process.memory AS m)" },
    { 0 },
};
