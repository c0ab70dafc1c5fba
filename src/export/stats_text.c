/* stats_text.c: see stats_text.h. Context: [tool]. */
#include "export/stats_text.h"

#include "export/endings.h"
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

static void line(struct mt_out *out, const char *label, const char *value)
{
    mt_out_print(out, "%-22s %s\n", label, value);
}

/* The end of a line: what is of the time since the horizon alone. */
static void end_since_horizon(struct mt_out *out, const struct mt_report *report)
{
    if (report->analysis->horizon_ns != 0) {
        mt_out_print(out, ", since %s", mt_human_duration(report->analysis->horizon_ns).text);
    }
    mt_out_byte(out, '\n');
}

static void write_amount_lines(struct mt_out *out, const struct mt_report *report, const struct mt_facts *f)
{
    char alive[32];
    (void)snprintf(alive, sizeof alive, "alive %s", mt_ending_short(report->set));
    const struct {
        const char *label;
        enum mt_measure measure;
    } rows[] = {
        { "allocated in total", MT_MEASURE_TOTAL },
        { "at the peak", MT_MEASURE_PEAK },
        { alive, MT_MEASURE_LIVE },
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
            end_since_horizon(out, report);
            continue;
        }
        mt_out_byte(out, '\n');
        if (rows[i].measure == MT_MEASURE_LIVE) {
            mt_left_out_rows(out, report);
        }
    }
}

/* "3.11.2 (main, …)" is shown up to the first blank. */
static void write_python(struct mt_out *out, const struct mt_row_stats *row)
{
    if (row->python_version != NULL) {
        char *clean = mt_text_clean(row->python_version, strcspn(row->python_version, " "));
        const char *allocator = row->python_allocator;
        mt_out_print(out, "%-22s %s%s%s\n", "python", clean, allocator != NULL ? ", " : "", allocator != NULL ? allocator : "");
        free(clean);
    }
}

static struct mt_human seconds(double s)
{
    return mt_human_duration((uint64_t)(s * 1e9 + 0.5));
}

static void write_resources(struct mt_out *out, const struct mt_row_stats *row)
{
    line(out, "largest RSS", row->rss_peak_bytes > 0 ? mt_human_bytes((double)row->rss_peak_bytes).text : "unknown");
    if (row->rss_own_bytes != MT_NULL_U64) {
        line(out, "  memtap's own of it", mt_human_bytes((double)row->rss_own_bytes).text);
    }
    if (!isnan(row->cpu_s)) {
        line(out, "CPU time", seconds(row->cpu_s).text);
        mt_out_print(out, "%-22s %s, %s\n", "  memtap's own of it", seconds(row->own_cpu_s).text,
                     mt_human_percent(row->own_cpu_share, 1).text);
    }
}

static void write_clock(struct mt_out *out, const struct mt_facts *f, const struct mt_row_stats *row)
{
    bool between = f->root->clock_kind == MT_CLOCK_TICK && f->root->horizon_clock == 0;
    mt_out_print(out, "%-22s %s, to %s%s\n", "clock", row->clock, mt_human_duration(row->clock_resolution_ns).text,
                 between ? "; between two ticks times are interpolated" : "");
}

/* threads and processes as people count them: what exec made of a process is the same one. */
static void write_identity_lines(struct mt_out *out, const struct mt_facts *f, const struct mt_row_stats *row)
{
    line(out, "command", row->command);
    write_python(out, row);
    mt_out_print(out, "%-22s %llu\n", "pid", (unsigned long long)row->pid);
    mt_out_print(out, "%-22s %s", "mode", row->mode);
    if (row->rate_bytes > 0) {
        mt_out_print(out, ", a sample every %s", mt_human_bytes((double)row->rate_bytes).text);
    }
    mt_out_byte(out, '\n');
    if (f->is_attached) {
        mt_out_print(out, "%-22s %s; what was allocated before is not known\n", "attached", mt_human_moment(f->root->start_realtime_ns).text);
    }
    mt_out_print(out, "%-22s %s\n", "duration", mt_human_duration(f->totals->duration_ns).text);
    write_clock(out, f, row);
    mt_out_print(out, "%-22s %zu, %s\n", "processes", f->processes,
                 mt_human_counted((double)row->threads, "thread", "threads").text);
    write_resources(out, row);
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

static void write_allocators(struct mt_out *out, const struct mt_facts *f, const char *end)
{
    const struct mt_totals *totals = f->totals;
    struct mt_grid *grid = mt_grid_new();
    mt_grid_column(grid, "allocator", MT_ALIGN_LEFT, false);
    mt_grid_column(grid, "allocations", MT_ALIGN_RIGHT, false);
    mt_grid_column_spare(grid, 1);
    mt_grid_column(grid, "total", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "at peak", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, end, MT_ALIGN_RIGHT, false);
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
static void write_storages(struct mt_out *out, const struct mt_facts *f, const char *end)
{
    const struct mt_totals *totals = f->totals;
    struct mt_grid *grid = mt_grid_new();
    bool any = false;
    mt_grid_column(grid, "not held", MT_ALIGN_LEFT, false);
    mt_grid_column(grid, "mappings", MT_ALIGN_RIGHT, false);
    mt_grid_column_spare(grid, 1);
    mt_grid_column(grid, "total", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "at peak", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, end, MT_ALIGN_RIGHT, false);
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

/* A number a line. */
static void write_lines(struct mt_out *out, const struct mt_report *report, const struct mt_facts *f, const struct mt_row_stats *row)
{
    enum { LABEL_COLUMNS = 23 };
    struct mt_out *lines = mt_out_open_memory();
    write_identity_lines(lines, f, row);
    write_amount_lines(lines, report, f);
    mt_out_print(lines, "%-22s %s", "deallocations", mt_human_count((double)row->deallocations).text);
    end_since_horizon(lines, report);
    mt_out_print(lines, "%-22s %s in %s\n", "trace", mt_human_counted((double)row->events, "event", "events").text,
                 mt_human_bytes((double)row->trace_bytes).text);
    mt_marks_write(lines, report);
    mt_terminal_wrap(out, mt_out_text(lines, NULL), LABEL_COLUMNS);
    mt_out_discard(lines);
}

void mt_stats_write_text(struct mt_out *out, const struct mt_report *report, const struct mt_facts *f,
                         const struct mt_row_stats *row)
{
    write_lines(out, report, f, row);
    mt_footprint_write(out, &f->footprint, "peak and RSS          ");
    write_histogram(out, f->totals);
    write_allocators(out, f, mt_ending_short(report->set));
    write_storages(out, f, mt_ending_short(report->set));
    mt_processes_write(out, report);
}
