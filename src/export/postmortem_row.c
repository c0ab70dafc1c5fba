/* postmortem_row.c: see postmortem_row.h. */
#include "export/postmortem_row.h"

#include "analysis/estimate.h"
#include "table/tables.h"
#include "util/memory.h"

#include <stdlib.h>
#include <sys/wait.h>

double mt_ending_per_second(int64_t bytes, uint64_t window_ns)
{
    return (double)bytes * 1e9 / (double)window_ns;
}

static void fill_end(struct mt_row_postmortem *row, const struct mt_ending_facts *facts)
{
    const struct mt_trace_info *info = facts->info;
    row->pid = info->pid;
    row->command = mt_report_command(info);
    row->killed_by = facts->killed_by;
    row->signal = facts->signal != 0 ? (uint64_t)facts->signal : MT_NULL_U64;
    row->exit_code = info->exit_known && WIFEXITED(info->exit_status) ? WEXITSTATUS(info->exit_status) : MT_NULL_S64;
    row->duration_s = (double)facts->duration_ns / 1e9;
}

static void fill_memory(struct mt_row_postmortem *row, const struct mt_ending_facts *facts)
{
    const struct mt_trace_memory *memory = &facts->info->memory;
    bool known = memory->limit_bytes != 0;
    row->limit_bytes = known ? memory->limit_bytes : MT_NULL_U64;
    row->limit_kind = known ? facts->limit_key : NULL;
    row->limit_group = mt_ending_names_group(facts) ? facts->low->text.data : NULL;
    row->charged_bytes = known ? memory->charged_bytes : MT_NULL_U64;
    row->charged_time_s = known ? (double)memory->clock / 1e9 : MT_NULL_F64;
    row->low_time_s = facts->low != NULL ? (double)facts->low->time_ns / 1e9 : MT_NULL_F64;
    row->low_left_bytes = facts->low != NULL ? facts->low->value : MT_NULL_U64;
    row->rss_bytes = facts->rss != NULL ? facts->rss->bytes : MT_NULL_U64;
    row->rss_time_s = facts->rss != NULL ? (double)facts->rss->time_ns / 1e9 : MT_NULL_F64;
}

static void fill_heap(struct mt_row_postmortem *row, const struct mt_ending_heap *heap)
{
    bool known = heap->window_ns != 0;
    row->alive_bytes = heap->alive.bytes;
    row->alive_bytes_ci95 = heap->sampled ? mt_estimate_ci95(heap->alive.bytes_variance) : MT_NULL_F64;
    row->alive_allocations = heap->alive.count;
    row->alive_allocations_ci95 = heap->sampled ? mt_estimate_ci95(heap->alive.count_variance) : MT_NULL_F64;
    row->window_s = known ? (double)heap->window_ns / 1e9 : MT_NULL_F64;
    row->growth_bytes = known ? heap->growth_bytes : MT_NULL_S64;
    row->growth_bytes_per_s = known ? mt_ending_per_second(heap->growth_bytes, heap->window_ns) : MT_NULL_F64;
}

void mt_postmortem_row_put(struct mt_json *json, const struct mt_ending_facts *facts, const struct mt_ending_heap *heap)
{
    struct mt_row_postmortem row = { 0 };
    fill_end(&row, facts);
    fill_memory(&row, facts);
    fill_heap(&row, heap);
    mt_table_put(json, mt_table_postmortem(), &row);
    free((char *)(uintptr_t)row.command);
}
