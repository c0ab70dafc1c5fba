/* memory.c: `memtap memory`: what the resident memory of a process, or of a recording, is made of. */
#include "analysis/estimate.h"
#include "attach/recorded.h"
#include "base/os.h"
#include "cli/command.h"
#include "cli/memory_now.h"
#include "cli/memory_view.h"
#include "cli/select.h"
#include "cli/target.h"
#include "export/behind.h"
#include "export/facts.h"
#include "reader/reports.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct values {
    int format;
};

static const char *const formats[] = { "table", "json", NULL };
static const struct mt_option options[] = {
    { "format", 'f', MT_OPTION_CHOICE, offsetof(struct values, format), formats, NULL, 0, "FORMAT", "table (default) or json" },
    { 0 },
};
static const struct mt_option *const tables[] = { options, NULL };

static const struct mt_command_doc doc = {
    .name = "memory",
    .summary = "what the resident memory (RSS) is made of",
    .synopsis = "memtap memory [OPTIONS] PID\n"
                "memtap memory [OPTIONS] FILE",
    .description =
        "With PID, a process that runs, recorded or not: each resident byte in one row, so that rows add up to the RSS. Blocks of malloc in use and "
        "free, read from the arenas of glibc in its memory; large blocks that malloc mapped by themselves; Python's objects and the free room in "
        "pymalloc's pools; mapped files and libraries, static data, stacks of threads, shared memory, memtap's own. Anonymous memory that none of these "
        "claims is unexplained: what the program maps itself, other allocators, memory of drivers. Below it what malloc_trim(0) would give "
        "back to the system. Of a process that is recorded also the lines that hold most of what is alive.\n"
        "\n"
        "Nothing is stopped and nothing is changed in the process; memory is read as /proc gives it. Where malloc's arenas contradict themselves, "
        "because the process goes on meanwhile or its libc is another one, they are called not known, and the heap of brk is one row. An armed process "
        "(`memtap list`) with jemalloc or tcmalloc is asked what that says of itself; attach arms one.\n"
        "\n"
        "With FILE, a recording: the parts of the largest RSS as far as the trace knows them. Of a trace that is being written it is the process "
        "as it is now.",
    .notes = "Blocks that threads keep in their caches (tcache) are in use for malloc, as they are for malloc_info. PID needs the right to trace it, as "
             "attach does.\n"
             "\n"
             "-f json has pid, program, trace, live, rss_bytes, parts[] with part, bytes, resident, about; malloc{} with arenas, system_bytes, "
             "in_use_bytes, free_bytes, top_bytes, mapped_blocks, trim_bytes (null where not known); allocator{} (of an armed process with jemalloc or tcmalloc: name, in_use_bytes, own_bytes, slack_bytes, resident_bytes, given_back_bytes, by its own account; "
             "else null); python_pools, threads; sites[] with line, "
             "bytes, count (bytes_ci95 where they are estimates).",
    .exit_codes = "0  done\n"
                  "1  the trace cannot be read\n"
                  "2  wrong usage\n"
                  "3  no such process, or its memory may not be read",
    .examples = "memtap memory 1234\n"
                "memtap memory -f json 1234 | jq .malloc.trim_bytes\n"
                "memtap memory app.mtap",
    .tables = tables,
};

/* ---- a process ---------------------------------------------------------------------------------------------------- */

/* As ps calls it. */
static char *name_of(pid_t pid)
{
    char name[64] = "";
    char *path = mt_format("/proc/%d/comm", (int)pid);
    FILE *file = fopen(path, "re");
    size_t bytes = file != NULL ? fread(name, 1, sizeof name - 1, file) : 0;
    if (file != NULL) {
        (void)fclose(file);
    }
    free(path);
    name[bytes] = '\0';
    name[strcspn(name, "\n")] = '\0';
    return mt_strdup(name);
}

static int write_view(const struct values *values, const struct mt_memory_view *view)
{
    struct mt_error err = { 0 };
    struct mt_out *out;
    if (mt_out_open(NULL, &out, &err) != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_FAILED, &err);
    }
    if (values->format == 1) {
        mt_memory_write_json(out, view);
    } else {
        mt_memory_write(out, view);
    }
    return mt_out_commit(out, &err) == MT_OK ? MT_EXIT_OK : mt_command_fail(&doc, MT_EXIT_FAILED, &err);
}

static int explain_process(const struct values *values, pid_t pid)
{
    struct mt_explained explained;
    struct mt_error err = { 0 }, ignored = { 0 };
    char *trace = NULL;
    mt_status status = mt_explain_process(pid, &explained, &err);
    if (status != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_UNREACHABLE, &err);
    }
    struct mt_memory_view view = { .pid = (uint64_t)pid, .program = name_of(pid), .live = true, .rss_bytes = explained.rss_bytes,
                                   .details = &explained };
    mt_memory_ask_allocator(pid, &explained);
    if (mt_recorded_trace(pid, &trace, &ignored) == MT_OK) {
        struct mt_explain_trace known;
        view.trace = trace;
        if (mt_memory_recorded(trace, &view, &known)) {
            mt_explain_recorded(&explained, &known);
        }
    }
    for (int part = 0; part < MT_EXPLAIN__COUNT; part++) {
        mt_memory_add(&view, (struct mt_memory_part){ mt_explain_key((enum mt_explain_part)part), mt_explain_text((enum mt_explain_part)part),
                                                      explained.bytes[part], true });
    }
    int code = write_view(values, &view);
    mt_memory_fini(&view);
    free(trace);
    return code;
}

/* ---- a recording -------------------------------------------------------------------------------------------------- */

static void add_footprint(struct mt_memory_view *view, const struct mt_footprint *f)
{
    uint64_t beside = f->file_bytes + f->own_bytes + f->inherited_bytes + f->unmeasured_bytes + f->before_bytes +
                      f->slack_bytes;
    view->rss_bytes = f->rss_bytes;
    const struct mt_memory_part parts[] = {
        { "heap", "recorded heap", f->rss_bytes > beside ? f->rss_bytes - beside : 0, true },
        { "files", "mapped files and libraries", f->file_bytes, true },
        { "memtap", "memtap's own", f->own_bytes, true },
        { "inherited", "pages that children have from their parents (fork)", f->inherited_bytes, true },
        { "unmeasured", "processes too short-lived to be looked into", f->unmeasured_bytes, true },
        { "before", MT_FOOTPRINT_BEFORE, f->before_bytes, true },
        { "slack", f->parted ? "allocator: free or slack, not split; stacks and static data" : "files, allocator's free blocks, stacks, static data",
          f->slack_bytes, true },
        { "untouched", "of the heap, never touched or swapped out: not resident", f->untouched_bytes, false },
        { "reserved", "reserved address space: not resident", f->reserved_bytes, false },
    };
    for (size_t i = 0; i < MT_COUNTOF(parts); i++) {
        mt_memory_add(view, parts[i]);
    }
}

static void add_rows(struct mt_memory_view *view, const struct mt_report *report, const struct mt_table *table)
{
    size_t count = table->count < MT_MEMORY_SITES_MAX ? table->count : MT_MEMORY_SITES_MAX;
    struct mt_paths *paths = mt_paths_new(false);
    for (size_t i = 0; i < count; i++) {
        const struct mt_frame *frame = mt_frames_frame(report->frames, table->rows[i].frame);
        mt_paths_add(paths, frame->file[0] != '\0' ? frame->file : frame->module);
    }
    for (size_t i = 0; i < count && table->rows[i].self.bytes > 0; i++) {
        const struct mt_table_row *row = &table->rows[i];
        char *line = mt_behind_line(mt_frames_frame(report->frames, row->frame), MT_BY_LINE, false, paths);
        view->sites[view->site_count++] = (struct mt_memory_site){ line, row->self.bytes, row->self.count,
                                                                        mt_estimate_ci95(row->self.bytes_variance) };
    }
    mt_paths_free(paths);
}

static mt_status read_recording(struct mt_recording *recording, struct mt_memory_view *view, struct mt_error *err)
{
    struct mt_report_job job = { .recording = recording, .selection = { .what = MT_SELECT_PEAK, .temporary_max = 1 },
                                 .details = { .by = MT_BY_LINE }, .load = { .bound_will_do = true } };
    struct mt_table table = { 0 };
    mt_status status = mt_report_load(&job, MT_PROFILE_SUMMARY, err);
    if (status == MT_OK) {
        struct mt_facts facts = mt_facts_of(&job.shown);
        view->pid = facts.root->pid;
        view->program = mt_report_program(facts.program);
        view->heap_bytes = facts.totals->heap[MT_MEASURE_PEAK].bytes;
        view->heap_ci95 = mt_estimate_ci95(facts.totals->heap[MT_MEASURE_PEAK].bytes_variance);
        add_footprint(view, &facts.footprint);
        struct mt_grouping_options by_line = { .by = MT_BY_LINE };
        status = mt_table_make(job.shown.set, &job.loaded.profile, job.shown.places, &by_line, &table);
    }
    if (status == MT_OK) {
        add_rows(view, &job.shown, &table);
        mt_select_print_warnings(&job.shown);
    }
    mt_table_fini(&table);
    mt_report_job_fini(&job);
    return status;
}

/* The process of a trace that is being written, if it is one alone; 0: it is a recording. */
static pid_t live_process(const struct mt_recording *recording)
{
    const struct mt_trace_info *info = mt_trace_info(recording->set.traces[0]);
    bool alone = recording->set.count == 1 && mt_trace_is_live(info, mt_os_monotonic_ns());
    char *trace = NULL;
    struct mt_error ignored = { 0 };
    pid_t pid = alone && mt_recorded_trace((pid_t)info->process, &trace, &ignored) == MT_OK ? (pid_t)info->process : 0;
    free(trace);
    return pid;
}

static int explain_recording(const struct values *values, char *path)
{
    struct mt_recording *recording;
    struct mt_error err = { 0 };
    if (mt_recording_make(&path, 1, &recording, &err) != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_FAILED, &err);
    }
    pid_t pid = live_process(recording);
    int code;
    if (pid != 0) {
        code = explain_process(values, pid);
    } else {
        struct mt_memory_view view = { .trace = path };
        mt_status status = read_recording(recording, &view, &err);
        code = status == MT_OK ? write_view(values, &view) : mt_command_fail(&doc, MT_EXIT_FAILED, &err);
        mt_memory_fini(&view);
    }
    mt_recording_free(recording);
    return code;
}

static int memory_main(int argc, char **argv)
{
    struct values values = { 0 };
    struct mt_operands operands;
    struct mt_error err = { 0 };
    uint64_t pid = 0;
    int code;
    if (!mt_command_options(&doc, argc, argv, &values, &operands, &code)) {
        return code;
    }
    if (operands.count != 1) {
        (void)mt_error_set(&err, MT_E_INVAL, "give one PID or one FILE");
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    bool number = mt_parse_count(operands.items[0], &pid) && pid > 0 && pid <= INT32_MAX && access(operands.items[0], F_OK) != 0;
    return number ? explain_process(&values, (pid_t)pid) : explain_recording(&values, operands.items[0]);
}

const struct mt_command mt_command_memory = { &doc, memory_main };
