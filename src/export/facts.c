/* facts.c: see facts.h. */
#include "export/facts.h"

#include <string.h>

static uint64_t thread_count(const struct mt_trace *trace)
{
    size_t named;
    uint64_t counted = mt_trace_info(trace)->counters[MT_COUNTER_THREADS];
    (void)mt_trace_threads(trace, &named);
    return counted > named ? counted : named;
}

/* Another image of a process that was met before. */
static bool is_later_image(const struct mt_trace_set *set, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (mt_trace_info(set->traces[i])->pid == mt_trace_info(set->traces[at])->pid) {
            return true;
        }
    }
    return false;
}

static void add_trace(struct mt_facts *f, const struct mt_trace_set *set, size_t at)
{
    const struct mt_trace_info *info = mt_trace_info(set->traces[at]);
    uint64_t threads = thread_count(set->traces[at]);
    bool later = is_later_image(set, at);
    if (info->pid == f->program->pid && info->start_realtime_ns >= f->program->start_realtime_ns) {
        f->program = info;
    }
    f->processes += !later;
    f->threads += later && threads > 0 ? threads - 1 : threads; /* the thread that called exec goes on */
    f->dropped_events += info->counters[MT_COUNTER_DROPPED_EVENTS];
    f->ended_early = f->ended_early || info->state == MT_STATE_FILE_FULL ||
                     mt_trace_completeness(set->traces[at])->journal_missing;
    f->truncated_stacks += info->counters[MT_COUNTER_TRUNCATED_STACKS];
    f->trace_bytes += info->file_bytes;
    f->cpu_ns += info->counters[MT_COUNTER_CPU_NS];
    f->own_cpu_ns += info->counters[MT_COUNTER_AGENT_NS];
}

/* What the hooks cost beside recording, of the blocks of all processes: the price is measured in each, and much the same. */
static uint64_t passing_ns(const struct mt_facts *f)
{
    double pairs = (double)f->totals->heap[MT_MEASURE_TOTAL].count;
    return (uint64_t)(pairs * (double)f->root->counters[MT_COUNTER_PASSING_PS] / 1000);
}

struct mt_facts mt_facts_of(const struct mt_report *report)
{
    struct mt_facts f = { .root = mt_trace_info(mt_report_root(report->set)),
                          .totals = &report->analysis->totals,
                          .sampled = report->analysis->sampled,
                          .aggregate = report->analysis->aggregate,
                          .peak_is_bound = report->analysis->peak_is_bound };
    const char *began = mt_trace_note(mt_report_root(report->set), "recording.began");
    f.is_attached = began != NULL && strcmp(began, "attach") == 0;
    f.program = f.root;
    for (size_t i = 0; i < report->set->count; i++) {
        add_trace(&f, report->set, i);
    }
    f.own_cpu_ns += passing_ns(&f);
    f.own_cpu_ns = f.own_cpu_ns < f.cpu_ns ? f.own_cpu_ns : f.cpu_ns; /* an estimate can say more than there was */
    f.rss_peak_bytes = mt_footprint_rss(report);
    f.footprint = mt_footprint_of(report);
    return f;
}
