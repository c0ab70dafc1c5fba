/* processes.c: see processes.h. */
#include "export/processes.h"

#include "util/grid.h"
#include "util/human.h"
#include "util/memory.h"

#include <stdlib.h>

static const double SHOWN_SHARE = 0.95;

struct process {
    uint64_t pid, bytes;
    const struct mt_trace_info *last; /* its latest image */
};

struct processes {
    struct process *items;
    size_t count, shown;
    uint64_t rest_bytes;
};

static struct process *process_of(struct processes *p, uint64_t pid)
{
    size_t i = 0;
    while (i < p->count && p->items[i].pid != pid) {
        i++;
    }
    if (i == p->count) {
        p->items[p->count++] = (struct process){ .pid = pid };
    }
    return &p->items[i];
}

static int by_bytes(const void *a, const void *b)
{
    const struct process *x = a, *y = b;
    return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : (x->pid > y->pid) - (x->pid < y->pid);
}

static void settle_shown(struct processes *p)
{
    uint64_t all = 0, shown = 0;
    for (size_t i = 0; i < p->count; i++) {
        all += p->items[i].bytes;
    }
    while (p->shown < p->count && ((double)shown < SHOWN_SHARE * (double)all || p->shown == 0)) {
        shown += p->items[p->shown++].bytes;
    }
    p->rest_bytes = all - shown;
}

static void collect(const struct mt_report *report, struct processes *ret)
{
    const struct mt_trace_set *set = report->set;
    uint64_t *bytes = mt_alloc_zero(set->count, sizeof *bytes);
    *ret = (struct processes){ .items = mt_alloc_zero(set->count, sizeof *ret->items) };
    for (size_t i = 0; i < report->analysis->site_count; i++) {
        const struct mt_site *site = &report->analysis->sites[i];
        bytes[site->trace_idx] += site->storage == MT_STORAGE_HEAP ? site->amount[MT_MEASURE_PEAK].bytes : 0;
    }
    for (size_t i = 0; i < set->count; i++) {
        const struct mt_trace_info *info = mt_trace_info(set->traces[i]);
        struct process *process = process_of(ret, info->pid);
        process->bytes += bytes[i];
        bool later = process->last == NULL || info->start_realtime_ns > process->last->start_realtime_ns;
        process->last = later ? info : process->last;
    }
    free(bytes);
    qsort(ret->items, ret->count, sizeof *ret->items, by_bytes);
    settle_shown(ret);
}

static void add_row(struct mt_grid *grid, const char *pid, uint64_t bytes, const char *command)
{
    mt_grid_cell(grid, pid);
    mt_grid_cell(grid, mt_human_bytes((double)bytes).text);
    mt_grid_cell(grid, command);
}

void mt_processes_write(struct mt_out *out, const struct mt_report *report)
{
    struct processes p;
    if (report->set->count < 2 || report->analysis->peak_is_bound) {
        return;
    }
    collect(report, &p);
    struct mt_grid *grid = mt_grid_new();
    mt_grid_column(grid, "process", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "at peak", MT_ALIGN_RIGHT, false);
    mt_grid_column_command(grid, "command");
    for (size_t i = 0; i < p.shown; i++) {
        char *pid = mt_format("%llu", (unsigned long long)p.items[i].pid);
        char *command = mt_report_command(p.items[i].last);
        add_row(grid, pid, p.items[i].bytes, command);
        free(command);
        free(pid);
    }
    if (p.shown < p.count) {
        add_row(grid, "", p.rest_bytes, mt_human_counted((double)(p.count - p.shown), "other", "others").text);
    }
    mt_out_byte(out, '\n');
    mt_grid_print(grid, out);
    mt_grid_free(grid);
    free(p.items);
}

/* "service.py (4242) 71 %, worker.py (4243) 19 %, 12 others 10 %" */
void mt_processes_brief(struct mt_out *out, const struct mt_report *report)
{
    enum { NAMED_MAX = 3 };
    struct processes p;
    collect(report, &p);
    size_t named = p.shown < NAMED_MAX ? p.shown : NAMED_MAX;
    double all = (double)report->analysis->totals.heap[MT_MEASURE_PEAK].bytes, rest = all;
    for (size_t i = 0; i < named; i++) {
        char *program = mt_report_program(p.items[i].last);
        rest -= (double)p.items[i].bytes;
        mt_out_print(out, "%s%s (%llu) %.0f %%", i > 0 ? ", " : "", program, (unsigned long long)p.items[i].pid,
                     all > 0 ? 100 * (double)p.items[i].bytes / all : 0);
        free(program);
    }
    if (named < p.count) {
        mt_out_print(out, ", %s %.0f %%", mt_human_counted((double)(p.count - named), "other", "others").text,
                     all > 0 ? 100 * rest / all : 0);
    }
    free(p.items);
}

void mt_processes_csv(struct mt_out *out, const struct mt_report *report)
{
    struct processes p;
    if (report->analysis->peak_is_bound) {
        return;
    }
    collect(report, &p);
    for (size_t i = 0; i < p.shown; i++) {
        char *command = mt_report_command(p.items[i].last);
        mt_out_print(out, "by_process.%llu.command,", (unsigned long long)p.items[i].pid);
        mt_csv_field(out, command);
        mt_out_print(out, "\r\nby_process.%llu.peak_bytes,%llu\r\n", (unsigned long long)p.items[i].pid,
                     (unsigned long long)p.items[i].bytes);
        free(command);
    }
    if (p.shown < p.count) {
        mt_out_print(out, "by_process.others.processes,%zu\r\nby_process.others.peak_bytes,%llu\r\n", p.count - p.shown,
                     (unsigned long long)p.rest_bytes);
    }
    free(p.items);
}

/* The moment that what is alive is of: of the process of that image, NULL: of all, where END is that of each that has one. */
static enum mt_moment leaks_at(const struct mt_report *report, const struct mt_trace_info *only)
{
    enum mt_moment found = MT_MOMENT_EXIT;
    for (size_t i = 0; i < report->set->count; i++) {
        enum mt_moment moment = report->analysis->live_at[i].moment;
        bool asked = only == NULL || mt_trace_info(report->set->traces[i]) == only;
        found = asked && moment != MT_MOMENT_EXIT ? moment : found;
    }
    return found;
}

const char *mt_processes_leaks_at(const struct mt_report *report)
{
    return mt_moment_word(leaks_at(report, NULL));
}

void mt_processes_put(struct mt_json *json, const struct mt_report *report)
{
    struct processes p;
    collect(report, &p);
    mt_json_key(json, "by_process");
    mt_json_array(json);
    for (size_t i = 0; i < p.shown && !report->analysis->peak_is_bound; i++) {
        char *command = mt_report_command(p.items[i].last);
        mt_json_object(json);
        mt_json_put_u64(json, "pid", p.items[i].pid);
        mt_json_put_text(json, "command", command);
        mt_json_put_u64(json, "peak_bytes", p.items[i].bytes);
        mt_json_put_text(json, "leaks_at", mt_moment_word(leaks_at(report, p.items[i].last)));
        mt_json_object_end(json);
        free(command);
    }
    if (p.shown < p.count && !report->analysis->peak_is_bound) {
        mt_json_object(json);
        mt_json_key(json, "pid");
        mt_json_null(json);
        mt_json_put_u64(json, "processes", p.count - p.shown);
        mt_json_put_u64(json, "peak_bytes", p.rest_bytes);
        mt_json_object_end(json);
    }
    mt_json_array_end(json);
    free(p.items);
}
