/* stats_row.c: see stats_row.h. */
#include "export/stats_row.h"

#include "analysis/estimate.h"
#include "export/processes.h"
#include "util/memory.h"

#include <stdlib.h>
#include <sys/wait.h>

struct estimate {
    uint64_t value;
    double ci95; /* not known where the value is exact */
};

static struct estimate estimate(uint64_t value, double variance, bool sampled)
{
    return (struct estimate){ value, sampled ? mt_estimate_ci95(variance) : MT_NULL_F64 };
}

static struct estimate bytes_of(const struct mt_facts *f, enum mt_measure measure)
{
    const struct mt_amount *amount = &f->totals->heap[measure];
    return estimate(amount->bytes, amount->bytes_variance, f->sampled);
}

static struct estimate count_of(const struct mt_facts *f, enum mt_measure measure)
{
    const struct mt_amount *amount = &f->totals->heap[measure];
    return estimate(amount->count, amount->count_variance, f->sampled);
}

#define SET(row, member, from)                                                                                         \
    do {                                                                                                               \
        struct estimate value_ = from;                                                                                 \
        (row)->member = value_.value;                                                                                  \
        (row)->member##_ci95 = value_.ci95;                                                                            \
    } while (0)

static int64_t exit_code(const struct mt_trace_info *info)
{
    if (!info->exit_known) {
        return MT_NULL_S64;
    }
    return WIFSIGNALED(info->exit_status) ? 128 + WTERMSIG(info->exit_status) : WEXITSTATUS(info->exit_status);
}

static void set_identity(struct mt_row_stats *row, const struct mt_report *report, const struct mt_facts *f)
{
    row->pid = f->root->pid;
    row->command = mt_report_command(f->root);
    row->mode = mt_report_mode(f->root);
    row->rate_bytes = f->root->rate_bytes;
    row->start_time_s = (double)f->root->start_realtime_ns / 1e9;
    row->attached_time_s = f->is_attached ? row->start_time_s : MT_NULL_F64;
    row->duration_s = (double)f->totals->duration_ns / 1e9;
    row->clock = mt_trace_clock_word(f->root);
    row->clock_resolution_ns = f->root->clock_resolution_ns;
    row->processes = report->set->count;
    row->python_version = mt_trace_note(mt_report_root(report->set), "python.version");
    row->python_allocator = mt_report_python_allocator(report->set);
    row->exit_code = exit_code(f->root);
}

/* Of several processes an aggregate trace tells at most how much they held together. */
static void set_peak(struct mt_row_stats *row, const struct mt_facts *f)
{
    static const struct estimate unknown = { MT_NULL_U64, NAN };
    SET(row, peak_bytes, f->peak_is_bound ? unknown : bytes_of(f, MT_MEASURE_PEAK));
    SET(row, peak_allocations, f->peak_is_bound ? unknown : count_of(f, MT_MEASURE_PEAK));
    row->peak_bytes_at_most = f->peak_is_bound ? f->totals->heap[MT_MEASURE_PEAK].bytes : MT_NULL_U64;
    row->peak_time_s = f->peak_is_bound ? MT_NULL_F64 : (double)f->totals->peak_time_ns / 1e9;
}

/* Aggregate traces do not know what was temporary: not 0. */
static void set_temporary(struct mt_row_stats *row, const struct mt_report *report, const struct mt_facts *f)
{
    static const struct estimate unknown = { MT_NULL_U64, NAN };
    SET(row, temporary_allocations, f->aggregate ? unknown : count_of(f, MT_MEASURE_TEMPORARY));
    SET(row, temporary_bytes, f->aggregate ? unknown : bytes_of(f, MT_MEASURE_TEMPORARY));
    row->temporary_max = f->aggregate ? MT_NULL_U64 : report->analysis->temporary_max;
}

static void set_amounts(struct mt_row_stats *row, const struct mt_report *report, const struct mt_facts *f)
{
    SET(row, allocations, count_of(f, MT_MEASURE_TOTAL));
    row->deallocations = f->totals->deallocations;
    SET(row, total_allocated_bytes, bytes_of(f, MT_MEASURE_TOTAL));
    set_peak(row, f);
    SET(row, leaked_bytes, bytes_of(f, MT_MEASURE_LIVE));
    SET(row, leaked_allocations, count_of(f, MT_MEASURE_LIVE));
    row->leaks_at = mt_processes_leaks_at(report);
    row->libc_bytes = report->analysis->own_live.bytes;
    row->libc_allocations = report->analysis->own_live.count;
    row->suppressed_bytes = report->analysis->suppressed_live.bytes;
    row->suppressed_allocations = report->analysis->suppressed_live.count;
    set_temporary(row, report, f);
}

static void set_rss(struct mt_row_stats *row, const struct mt_facts *f)
{
    const struct mt_footprint *p = &f->footprint;
    bool known = p->rss_bytes > 0;
    row->rss_peak_bytes = f->rss_peak_bytes;
    row->rss_file_bytes = p->parted ? p->file_bytes : MT_NULL_U64;
    row->rss_own_bytes = p->parted ? p->own_bytes : MT_NULL_U64;
    row->rss_inherited_bytes = p->parted ? p->inherited_bytes : MT_NULL_U64;
    row->rss_unmeasured_bytes = p->parted ? p->unmeasured_bytes : MT_NULL_U64;
    row->rss_before_bytes = p->parted ? p->before_bytes : MT_NULL_U64;
    row->rss_slack_bytes = known ? p->slack_bytes : MT_NULL_U64;
    row->untouched_bytes = known ? p->untouched_bytes : MT_NULL_U64;
    row->rss_note = mt_footprint_note(p);
}

/* Traces that did not measure it: not known. */
static void set_cpu(struct mt_row_stats *row, const struct mt_facts *f)
{
    bool known = f->cpu_ns > 0;
    row->cpu_s = known ? (double)f->cpu_ns / 1e9 : MT_NULL_F64;
    row->own_cpu_s = known ? (double)f->own_cpu_ns / 1e9 : MT_NULL_F64;
    row->own_cpu_share = known ? (double)f->own_cpu_ns / (double)f->cpu_ns : MT_NULL_F64;
}

void mt_stats_row_make(const struct mt_report *report, const struct mt_facts *f, struct mt_row_stats *ret)
{
    set_identity(ret, report, f);
    set_amounts(ret, report, f);
    ret->threads = f->threads;
    set_rss(ret, f);
    set_cpu(ret, f);
    ret->events = f->totals->events;
    ret->trace_bytes = f->trace_bytes;
    ret->dropped_events = f->ended_early ? MT_NULL_U64 : f->dropped_events;
    ret->truncated_stacks = f->truncated_stacks;
    ret->unknown_frees = f->totals->unknown_frees;
}

void mt_stats_row_fini(struct mt_row_stats *row)
{
    free((char *)(uintptr_t)row->command);
    free((char *)(uintptr_t)row->rss_note);
}
