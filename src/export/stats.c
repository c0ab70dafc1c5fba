/* stats.c: the numbers of a recording as a whole. */
#include "export/stats.h"

#include "analysis/estimate.h"
#include "export/by_label.h"
#include "export/facts.h"
#include "export/left_out.h"
#include "export/marks.h"
#include "export/processes.h"
#include "util/grid.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* ---- JSON ------------------------------------------------------------------------------------------------------ */

static void put_estimate(struct mt_json *json, const char *key, uint64_t value, double variance, bool sampled)
{
    char name[64];
    mt_json_put_u64(json, key, value);
    if (sampled) {
        (void)snprintf(name, sizeof name, "%s_ci95", key);
        mt_json_put_double(json, name, mt_estimate_ci95(variance));
    }
}

static void put_histogram(struct mt_json *json, const struct mt_facts *f)
{
    const struct mt_totals *totals = f->totals;
    if (f->aggregate) {
        mt_json_put_text(json, "size_histogram", NULL);
        return;
    }
    mt_json_key(json, "size_histogram");
    mt_json_array(json);
    for (unsigned b = 0; b < MT_HISTOGRAM_BUCKETS; b++) {
        if (totals->size_histogram[b].count == 0) {
            continue;
        }
        mt_json_object(json);
        mt_json_put_u64(json, "min_bytes", b == 0 ? 0 : (uint64_t)1 << (b - 1));
        mt_json_put_u64(json, "max_bytes", b == 0 ? 0 : b == 64 ? UINT64_MAX : ((uint64_t)1 << b) - 1);
        mt_report_put_amount(json, "", &totals->size_histogram[b], f->sampled);
        mt_json_object_end(json);
    }
    mt_json_array_end(json);
}

static void put_measures(struct mt_json *json, const struct mt_amount amounts[MT_MEASURE__COUNT], const struct mt_facts *f)
{
    mt_json_object(json);
    mt_report_put_amount(json, "", &amounts[MT_MEASURE_TOTAL], f->sampled);
    if (f->peak_is_bound) {
        mt_json_put_text(json, "peak_bytes", NULL);
        mt_json_put_text(json, "peak_count", NULL);
    } else {
        mt_report_put_amount(json, "peak_", &amounts[MT_MEASURE_PEAK], f->sampled);
    }
    mt_report_put_amount(json, "leaked_", &amounts[MT_MEASURE_LIVE], f->sampled);
    mt_json_object_end(json);
}

static void put_by_allocator(struct mt_json *json, const struct mt_facts *f)
{
    const struct mt_totals *totals = f->totals;
    mt_json_key(json, "by_allocator");
    mt_json_object(json);
    for (unsigned a = 0; a < MT_ALLOCATOR__COUNT; a++) {
        if (totals->allocator[a][MT_MEASURE_TOTAL].count > 0) {
            mt_json_key(json, mt_report_allocator((uint8_t)a));
            put_measures(json, totals->allocator[a], f);
        }
    }
    mt_json_object_end(json);
}

static void put_by_storage(struct mt_json *json, const struct mt_facts *f)
{
    const struct mt_totals *totals = f->totals;
    mt_json_key(json, "by_storage");
    mt_json_object(json);
    for (unsigned s = 0; s < MT_STORAGE__COUNT; s++) {
        if (totals->storage[s][MT_MEASURE_TOTAL].count > 0) {
            mt_json_key(json, mt_storage_name((enum mt_storage)s));
            put_measures(json, totals->storage[s], f);
        }
    }
    mt_json_object_end(json);
}

static void put_exit(struct mt_json *json, const struct mt_trace_info *info)
{
    mt_json_key(json, "exit_code");
    if (!info->exit_known) {
        mt_json_null(json);
    } else if (WIFSIGNALED(info->exit_status)) {
        mt_json_s64(json, 128 + WTERMSIG(info->exit_status));
    } else {
        mt_json_s64(json, WEXITSTATUS(info->exit_status));
    }
}

static void put_identity(struct mt_json *json, const struct mt_report *report, const struct mt_facts *f)
{
    char *command = mt_report_command(f->root);
    mt_json_put_u64(json, "pid", f->root->pid);
    mt_json_put_text(json, "command", command);
    mt_json_put_text(json, "mode", mt_report_mode(f->root));
    mt_json_put_u64(json, "rate_bytes", f->root->rate_bytes);
    mt_json_put_double(json, "start_time_s", (double)f->root->start_realtime_ns / 1e9);
    mt_json_put_double(json, "duration_s", (double)f->totals->duration_ns / 1e9);
    mt_json_put_text(json, "clock", mt_trace_clock_word(f->root));
    mt_json_put_u64(json, "clock_resolution_ns", f->root->clock_resolution_ns);
    mt_json_put_u64(json, "processes", report->set->count);
    mt_json_put_text(json, "python_version", mt_trace_note(mt_report_root(report->set), "python.version"));
    mt_json_put_text(json, "python_allocator", mt_report_python_allocator(report->set));
    put_exit(json, f->root);
    free(command);
}

/* Of several processes an aggregate trace tells at most how much they held together: null, and the bound. */
static void put_peak(struct mt_json *json, const struct mt_facts *f)
{
    const struct mt_amount *peak = &f->totals->heap[MT_MEASURE_PEAK];
    if (f->peak_is_bound) {
        mt_json_put_text(json, "peak_bytes", NULL);
        mt_json_put_u64(json, "peak_bytes_at_most", peak->bytes);
        mt_json_put_text(json, "peak_allocations", NULL);
        mt_json_put_text(json, "peak_time_s", NULL);
        return;
    }
    put_estimate(json, "peak_bytes", peak->bytes, peak->bytes_variance, f->sampled);
    put_estimate(json, "peak_allocations", peak->count, peak->count_variance, f->sampled);
    mt_json_put_double(json, "peak_time_s", (double)f->totals->peak_time_ns / 1e9);
}

/* Aggregate traces do not know what was temporary: null, not 0. */
static void put_temporary(struct mt_json *json, const struct mt_report *report, const struct mt_facts *f)
{
    const struct mt_amount *temporary = &f->totals->heap[MT_MEASURE_TEMPORARY];
    if (f->aggregate) {
        mt_json_put_text(json, "temporary_allocations", NULL);
        mt_json_put_text(json, "temporary_bytes", NULL);
        mt_json_put_text(json, "temporary_max", NULL);
        return;
    }
    put_estimate(json, "temporary_allocations", temporary->count, temporary->count_variance, f->sampled);
    put_estimate(json, "temporary_bytes", temporary->bytes, temporary->bytes_variance, f->sampled);
    mt_json_put_u64(json, "temporary_max", report->analysis->temporary_max);
}

static void put_amounts(struct mt_json *json, const struct mt_report *report, const struct mt_facts *f)
{
    const struct mt_amount *heap = f->totals->heap;
    const struct mt_amount *total = &heap[MT_MEASURE_TOTAL];
    const struct mt_amount *live = &heap[MT_MEASURE_LIVE];
    put_estimate(json, "allocations", total->count, total->count_variance, f->sampled);
    mt_json_put_u64(json, "deallocations", f->totals->deallocations);
    put_estimate(json, "total_allocated_bytes", total->bytes, total->bytes_variance, f->sampled);
    put_peak(json, f);
    put_estimate(json, "leaked_bytes", live->bytes, live->bytes_variance, f->sampled);
    put_estimate(json, "leaked_allocations", live->count, live->count_variance, f->sampled);
    put_temporary(json, report, f);
}

/* Traces that did not measure it: null. */
static void put_own_cpu(struct mt_json *json, const struct mt_facts *f)
{
    if (f->cpu_ns == 0) {
        mt_json_put_text(json, "cpu_s", NULL);
        mt_json_put_text(json, "own_cpu_s", NULL);
        mt_json_put_text(json, "own_cpu_share", NULL);
        return;
    }
    mt_json_put_double(json, "cpu_s", (double)f->cpu_ns / 1e9);
    mt_json_put_double(json, "own_cpu_s", (double)f->own_cpu_ns / 1e9);
    mt_json_put_double(json, "own_cpu_share", (double)f->own_cpu_ns / (double)f->cpu_ns);
}

static void put_account(struct mt_json *json, const struct mt_report *report, const struct mt_facts *f)
{
    struct mt_strlist warnings = { 0 };
    mt_json_put_u64(json, "threads", f->threads);
    mt_footprint_put(json, &f->footprint, f->rss_peak_bytes);
    put_own_cpu(json, f);
    mt_json_put_u64(json, "events", f->totals->events);
    mt_json_put_u64(json, "trace_bytes", f->trace_bytes);
    if (f->ended_early) {
        mt_json_key(json, "dropped_events");
        mt_json_null(json);
    } else {
        mt_json_put_u64(json, "dropped_events", f->dropped_events);
    }
    mt_json_put_u64(json, "truncated_stacks", f->truncated_stacks);
    mt_json_put_u64(json, "unknown_frees", f->totals->unknown_frees);
    put_histogram(json, f);
    put_by_allocator(json, f);
    put_by_storage(json, f);
    mt_by_label_put(json, report);
    mt_marks_put(json, report);
    mt_processes_put(json, report);
    mt_report_warnings(report->set, report->analysis, report->frames, &warnings);
    mt_json_key(json, "warnings");
    mt_json_array(json);
    for (size_t i = 0; i < warnings.count; i++) {
        mt_json_text(json, warnings.items[i]);
    }
    mt_json_array_end(json);
    mt_strlist_clear(&warnings);
}

static void write_json(struct mt_out *out, const struct mt_report *report, const struct mt_facts *f, unsigned broken_lines)
{
    struct mt_json json;
    mt_json_init(&json, out, broken_lines);
    mt_json_object(&json);
    put_identity(&json, report, f);
    put_amounts(&json, report, f);
    put_account(&json, report, f);
    mt_json_object_end(&json);
    mt_out_byte(out, '\n');
}

/* ---- text ------------------------------------------------------------------------------------------------------ */

static void line(struct mt_out *out, const char *label, const char *value)
{
    mt_out_print(out, "%-22s %s\n", label, value);
}

static void write_amount_lines(struct mt_out *out, const struct mt_report *report, const struct mt_facts *f)
{
    static const struct {
        const char *label;
        enum mt_measure measure;
    } rows[] = {
        { "allocated in total", MT_MEASURE_TOTAL },
        { "at the peak", MT_MEASURE_PEAK },
        { "alive when it ended", MT_MEASURE_LIVE },
        { "temporary", MT_MEASURE_TEMPORARY },
    };
    for (size_t i = 0; i < MT_COUNTOF(rows) - (f->aggregate ? 1 : 0); i++) { /* the last: temporary */
        const struct mt_amount *amount = &f->totals->heap[rows[i].measure];
        if (rows[i].measure == MT_MEASURE_PEAK && f->peak_is_bound) {
            mt_out_print(out, "%-22s at most %s, each process at its own peak\n", rows[i].label,
                         mt_report_bytes(amount).text);
            continue;
        }
        mt_out_print(out, "%-22s %s in %s allocation%s", rows[i].label, mt_report_bytes(amount).text,
                     mt_report_count(amount).text, amount->count == 1 ? "" : "s");
        if (rows[i].measure == MT_MEASURE_PEAK) {
            mt_out_print(out, ", at %s", mt_human_duration(f->totals->peak_time_ns).text);
        } else if (rows[i].measure == MT_MEASURE_TEMPORARY) {
            mt_out_print(out, ", freed with at most %u in between", report->analysis->temporary_max);
        }
        mt_out_byte(out, '\n');
        if (rows[i].measure == MT_MEASURE_LIVE) {
            mt_left_out_rows(out, report);
        }
    }
}

/* "3.11.2 (main, …)" is shown up to the first blank. */
static void write_python(struct mt_out *out, const struct mt_report *report)
{
    const char *version = mt_trace_note(mt_report_root(report->set), "python.version");
    const char *allocator = mt_report_python_allocator(report->set);
    if (version != NULL) {
        char *clean = mt_text_clean(version, strcspn(version, " "));
        mt_out_print(out, "%-22s %s%s%s\n", "python", clean, allocator != NULL ? ", " : "", allocator != NULL ? allocator : "");
        free(clean);
    }
}

static void write_identity_lines(struct mt_out *out, const struct mt_report *report, const struct mt_facts *f)
{
    char *command = mt_report_command(f->root);
    line(out, "command", command);
    write_python(out, report);
    mt_out_print(out, "%-22s %llu\n", "pid", (unsigned long long)f->root->pid);
    mt_out_print(out, "%-22s %s", "mode", mt_report_mode(f->root));
    if (f->root->rate_bytes > 0) {
        mt_out_print(out, ", a sample every %s", mt_human_bytes((double)f->root->rate_bytes).text);
    }
    mt_out_print(out, "\n%-22s %s\n", "duration", mt_human_duration(f->totals->duration_ns).text);
    mt_out_print(out, "%-22s %s, to %s\n", "clock", mt_trace_clock_word(f->root),
                 mt_human_duration(f->root->clock_resolution_ns).text);
    mt_out_print(out, "%-22s %zu, %s\n", "processes", f->processes,
                 mt_human_counted((double)f->threads, "thread", "threads").text);
    line(out, "largest RSS", f->rss_peak_bytes > 0 ? mt_human_bytes((double)f->rss_peak_bytes).text : "unknown");
    if (f->footprint.parted) {
        line(out, "  memtap's own of it", mt_human_bytes((double)f->footprint.own_bytes).text);
    }
    if (f->cpu_ns > 0) {
        line(out, "CPU time", mt_human_duration(f->cpu_ns).text);
        mt_out_print(out, "%-22s %s, %s\n", "  memtap's own of it", mt_human_duration(f->own_cpu_ns).text,
                     mt_human_percent((double)f->own_cpu_ns, (double)f->cpu_ns).text);
    }
    free(command);
}

static void write_histogram(struct mt_out *out, const struct mt_totals *totals)
{
    enum { BAR_COLUMNS = 40 };
    uint64_t most = 0;
    for (unsigned b = 0; b < MT_HISTOGRAM_BUCKETS; b++) {
        most = totals->size_histogram[b].count > most ? totals->size_histogram[b].count : most;
    }
    if (most == 0) {
        return;
    }
    mt_out_string(out, "\nallocations by size\n");
    for (unsigned b = 0; b < MT_HISTOGRAM_BUCKETS; b++) {
        uint64_t count = totals->size_histogram[b].count;
        double low = b == 0 ? 0 : (double)((uint64_t)1 << (b - 1));
        int bar = (int)(BAR_COLUMNS * ((double)count / (double)most) + 0.5);
        if (count > 0) {
            mt_out_print(out, "  from %-10s %14s %.*s\n", mt_human_bytes(low).text, mt_human_count((double)count).text,
                         bar, "########################################");
        }
    }
}

static void write_allocators(struct mt_out *out, const struct mt_facts *f)
{
    const struct mt_totals *totals = f->totals;
    struct mt_grid *grid = mt_grid_new();
    mt_grid_column(grid, "allocator", MT_ALIGN_LEFT, false);
    mt_grid_column(grid, "allocations", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "total", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "at peak", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "at end", MT_ALIGN_RIGHT, false);
    for (unsigned a = 0; a < MT_ALLOCATOR__COUNT; a++) {
        const struct mt_amount *amounts = totals->allocator[a];
        if (amounts[MT_MEASURE_TOTAL].count == 0) {
            continue;
        }
        mt_grid_cell(grid, mt_report_allocator((uint8_t)a));
        mt_grid_cell(grid, mt_report_count(&amounts[MT_MEASURE_TOTAL]).text);
        mt_grid_cell(grid, mt_report_bytes(&amounts[MT_MEASURE_TOTAL]).text);
        mt_grid_cell(grid, f->peak_is_bound ? "-" : mt_report_bytes(&amounts[MT_MEASURE_PEAK]).text);
        mt_grid_cell(grid, mt_report_bytes(&amounts[MT_MEASURE_LIVE]).text);
    }
    mt_out_byte(out, '\n');
    mt_grid_print(grid, out);
    mt_grid_free(grid);
}

/* What is mapped and not counted above. */
static void write_storages(struct mt_out *out, const struct mt_facts *f)
{
    const struct mt_totals *totals = f->totals;
    struct mt_grid *grid = mt_grid_new();
    bool any = false;
    mt_grid_column(grid, "not held", MT_ALIGN_LEFT, false);
    mt_grid_column(grid, "mappings", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "total", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "at peak", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "at end", MT_ALIGN_RIGHT, false);
    for (unsigned s = MT_STORAGE_HEAP + 1; s < MT_STORAGE__COUNT; s++) {
        const struct mt_amount *amounts = totals->storage[s];
        if (amounts[MT_MEASURE_TOTAL].count == 0) {
            continue;
        }
        any = true;
        mt_grid_cell(grid, mt_storage_name((enum mt_storage)s));
        mt_grid_cell(grid, mt_report_count(&amounts[MT_MEASURE_TOTAL]).text);
        mt_grid_cell(grid, mt_report_bytes(&amounts[MT_MEASURE_TOTAL]).text);
        mt_grid_cell(grid, f->peak_is_bound ? "-" : mt_report_bytes(&amounts[MT_MEASURE_PEAK]).text);
        mt_grid_cell(grid, mt_report_bytes(&amounts[MT_MEASURE_LIVE]).text);
    }
    if (any) {
        mt_out_byte(out, '\n');
        mt_grid_print(grid, out);
    }
    mt_grid_free(grid);
}

static void write_text(struct mt_out *out, const struct mt_report *report, const struct mt_facts *f)
{
    write_identity_lines(out, report, f);
    write_amount_lines(out, report, f);
    mt_out_print(out, "%-22s %s\n", "deallocations", mt_human_count((double)f->totals->deallocations).text);
    mt_out_print(out, "%-22s %s in %s\n", "trace", mt_human_counted((double)f->totals->events, "event", "events").text,
                 mt_human_bytes((double)f->trace_bytes).text);
    mt_marks_write(out, report);
    mt_footprint_write(out, &f->footprint, "peak and RSS          ");
    write_histogram(out, f->totals);
    write_allocators(out, f);
    write_storages(out, f);
    mt_processes_write(out, report);
}

static void csv_pair(struct mt_out *out, const char *name, const char *value)
{
    mt_out_print(out, "%s,", name);
    mt_csv_field(out, value);
    mt_out_string(out, "\r\n");
}

static void csv_number(struct mt_out *out, const char *name, uint64_t value)
{
    mt_out_print(out, "%s,%llu\r\n", name, (unsigned long long)value);
}

static void csv_peak(struct mt_out *out, const struct mt_facts *f)
{
    uint64_t bytes = f->totals->heap[MT_MEASURE_PEAK].bytes;
    if (f->peak_is_bound) {
        csv_pair(out, "peak_bytes", "");
        csv_number(out, "peak_bytes_at_most", bytes);
        csv_pair(out, "peak_time_s", "");
        return;
    }
    csv_number(out, "peak_bytes", bytes);
    mt_out_print(out, "peak_time_s,%.9f\r\n", (double)f->totals->peak_time_ns / 1e9);
}

static void write_csv(struct mt_out *out, const struct mt_report *report, const struct mt_facts *f)
{
    char *command = mt_report_command(f->root);
    const struct mt_amount *heap = f->totals->heap;
    mt_out_string(out, "name,value\r\n");
    csv_number(out, "pid", f->root->pid);
    csv_pair(out, "command", command);
    csv_pair(out, "mode", mt_report_mode(f->root));
    csv_number(out, "rate_bytes", f->root->rate_bytes);
    mt_out_print(out, "duration_s,%.9f\r\n", (double)f->totals->duration_ns / 1e9);
    csv_pair(out, "clock", mt_trace_clock_word(f->root));
    csv_number(out, "allocations", heap[MT_MEASURE_TOTAL].count);
    csv_number(out, "deallocations", f->totals->deallocations);
    csv_number(out, "total_allocated_bytes", heap[MT_MEASURE_TOTAL].bytes);
    csv_peak(out, f);
    csv_number(out, "leaked_bytes", heap[MT_MEASURE_LIVE].bytes);
    csv_number(out, "leaked_allocations", heap[MT_MEASURE_LIVE].count);
    if (f->aggregate) {
        csv_pair(out, "temporary_allocations", "");
    } else {
        csv_number(out, "temporary_allocations", heap[MT_MEASURE_TEMPORARY].count);
    }
    csv_number(out, "threads", f->threads);
    csv_number(out, "rss_peak_bytes", f->rss_peak_bytes);
    if (f->footprint.parted) {
        csv_number(out, "rss_own_bytes", f->footprint.own_bytes);
    }
    if (f->ended_early) {
        mt_out_print(out, "dropped_events,\r\n");
    } else {
        csv_number(out, "dropped_events", f->dropped_events);
    }
    csv_number(out, "truncated_stacks", f->truncated_stacks);
    mt_processes_csv(out, report);
    free(command);
}

void mt_stats_write(struct mt_out *out, const struct mt_report *report)
{
    struct mt_facts f = mt_facts_of(report);
    switch (report->format) {
    case MT_FORMAT_JSON:
        write_json(out, report, &f, 2);
        break;
    case MT_FORMAT_NDJSON:
        write_json(out, report, &f, 0);
        break;
    case MT_FORMAT_CSV:
        write_csv(out, report, &f);
        break;
    case MT_FORMAT_TABLE:
    default:
        write_text(out, report, &f);
        break;
    }
}
