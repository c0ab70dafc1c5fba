/* postmortem.c: `memtap postmortem`: how a process came to its end. */
#include "export/postmortem.h"
#include "cli/next.h"
#include "cli/select.h"
#include "reader/diff_pair.h"
#include "util/memory.h"

#include <stdlib.h>

enum { TRIES = 8 };

struct values {
    struct mt_select select;
    int post_format;
};

static const char *const formats[] = { "text", "json", NULL };
static const struct mt_option own[] = {
    { "rows", 'n', MT_OPTION_COUNT, offsetof(struct values, select.rows), NULL, NULL, 0, "ROWS",
      "of JSON: at most ROWS places in grew and held; default 0: all" },
    { "format", 'f', MT_OPTION_CHOICE, offsetof(struct values, post_format), formats, NULL, 0, "FORMAT", "text (default) or json" },
    { "output", 'o', MT_OPTION_TEXT, offsetof(struct values, select.output), NULL, NULL, 0, "OUT",
      "write to OUT, whole or not at all; -: standard output (default)" },
    { 0 },
};
static const struct mt_option *const tables[] = { own, mt_select_shown, NULL };

static const struct mt_command_doc doc = {
    .name = "postmortem",
    .summary = "how a process came to its end, in ten lines",
    .synopsis = "memtap postmortem [OPTIONS] FILE…",
    .description =
        "Says who ended the process (the kernel for want of memory; somebody's signal; itself), which limit it had and how much of it was used when "
        "memtap looked last, without cache of files, when memory was low, what the heap held in the last minutes, what grew last and how fast, and who held what in "
        "the end. Of several processes it is the one that the kernel killed, else the one that the run began with; what was held and grew is of "
        "all of them.\n"
        "\n"
        "What grew is what was alive at the end and not a minute earlier, or half of a shorter recording; of a trace that is kept below a size (--max-file), at most since the time of which it has all. The limit is known where "
        "`memtap run` waited for the process (--snapshot-at there).\n"
        "\n"
        "-f json is one object: pid, command, killed_by (kernel, signal, itself, unknown; null: it runs), signal, exit_code, duration_s, limit_bytes, limit_kind "
        "(the file that says it), limit_group, charged_bytes, charged_time_s, low_time_s, low_left_bytes, rss_bytes, rss_time_s, alive_bytes, "
        "alive_allocations, window_s, growth_bytes, growth_bytes_per_s, grew[] (function, file, line, bytes, bytes_per_s), held[] "
        "(function, file, line, bytes, count, stack[]), before[] (time_s, heap_bytes). What is not known is null.",
    .notes = "That the kernel killed it is told by the counter oom_kill of its control group, which memtap reads when the process has died.",
    .exit_codes = "0  done\n"
                  "1  the trace cannot be read\n"
                  "2  wrong usage",
    .examples = "memtap postmortem app.mtap\n"
                "memtap postmortem -f json app.mtap | jq .killed_by",
    .tables = tables,
};

static bool is_aggregate(const struct mt_trace_set *set)
{
    bool aggregate = false; /* such a trace does not know what happened when */
    for (size_t i = 0; i < set->count; i++) {
        aggregate = aggregate || (mt_trace_info(set->traces[i])->flags & MT_TRACE_AGGREGATE) != 0;
    }
    return aggregate;
}

/* Of what was alive before the horizon nothing is known. */
static uint64_t window_of(const struct mt_analysis *a)
{
    static const uint64_t MINUTE_NS = 60000000000;
    uint64_t duration = a->totals.duration_ns, known = duration > a->horizon_ns ? duration - a->horizon_ns : 0;
    uint64_t window = duration / 2 < MINUTE_NS ? duration / 2 : MINUTE_NS;
    return window < known ? window : known;
}

static mt_status write_made(const struct values *values, struct mt_postmortem *made, struct mt_error *err)
{
    struct mt_out *out;
    mt_status status = mt_out_open(values->select.output, &out, err);
    if (status != MT_OK) {
        return status;
    }
    made->json = values->post_format == 1;
    made->rows = values->select.rows != UINT64_MAX ? (size_t)values->select.rows : 0;
    mt_postmortem_write(out, made);
    return mt_out_commit(out, err);
}

static struct mt_report_job job_for(const struct values *values, struct mt_recording *recording, const struct mt_selection *selection)
{
    return (struct mt_report_job){ .recording = recording, .selection = *selection, .details = values->select.details };
}

static mt_status write_sums(const struct values *values, struct mt_recording *recording, struct mt_error *err)
{
    const struct mt_selection end = { .what = MT_SELECT_LEAKS, .temporary_max = 1, .all = true };
    struct mt_report_job job = job_for(values, recording, &end);
    struct mt_table held = { 0 };
    struct mt_grouping_options by_line = { .by = MT_BY_LINE };
    mt_status status = mt_report_load(&job, MT_PROFILE_TABLE, err);
    status = status == MT_OK ? mt_table_make(job.shown.set, &job.loaded.profile, job.shown.places, &by_line, &held) : status;
    if (status == MT_OK) {
        struct mt_postmortem made = { .report = &job.shown, .held = &held };
        status = write_made(values, &made, err);
    }
    mt_table_fini(&held);
    mt_report_job_fini(&job);
    return status;
}

static mt_status write_pair(const struct values *values, struct mt_recording *recording, const struct mt_report_job *over_time,
                            struct mt_error *err)
{
    uint64_t duration = over_time->loaded.analysis.totals.duration_ns, window = window_of(&over_time->loaded.analysis);
    const struct mt_selection before = { .what = MT_SELECT_AT, .temporary_max = 1, .times = { { .ns = duration - window } } },
                              end = { .what = MT_SELECT_AT, .temporary_max = 1, .times = { { .kind = MT_TIMEPOINT_EXIT } } };
    struct mt_diff_pair pair = { .job = { job_for(values, recording, &before), job_for(values, recording, &end) },
                                 .name = { recording->paths.items[0], recording->paths.items[0] },
                                 .by = MT_BY_LINE };
    mt_status status = mt_diff_pair_make(&pair, err);
    if (status == MT_OK) {
        struct mt_postmortem made = { .report = &pair.job[MT_DIFF_AFTER].shown,
                                      .held = &pair.table[MT_DIFF_AFTER],
                                      .diff = window > 0 ? &pair.diff : NULL,
                                      .window_ns = window,
                                      .timeline = &over_time->loaded.analysis };
        status = write_made(values, &made, err);
    }
    mt_diff_pair_fini(&pair);
    return status;
}

static mt_status write_all(const struct values *values, struct mt_recording *recording, struct mt_error *err)
{
    const struct mt_selection all = { .temporary_max = 1 };
    if (is_aggregate(&recording->set)) {
        return write_sums(values, recording, err);
    }
    struct mt_report_job over_time = job_for(values, recording, &all);
    mt_status status = mt_report_load(&over_time, MT_PROFILE_TIMELINE, err);
    status = status == MT_OK ? write_pair(values, recording, &over_time, err) : status;
    mt_report_job_fini(&over_time);
    return status;
}

/* A trace that is packed while it is read is opened anew. */
static mt_status write_anew(const struct values *values, const struct mt_operands *operands, struct mt_error *err)
{
    mt_status status = MT_E_BUSY;
    for (int tries = 0; status == MT_E_BUSY && tries < TRIES; tries++) {
        struct mt_recording *recording = NULL;
        status = mt_recording_make(operands->items, (size_t)operands->count, &recording, err);
        status = status == MT_OK ? write_all(values, recording, err) : status;
        mt_recording_free(recording);
    }
    return status;
}

static int postmortem_main(int argc, char **argv)
{
    static const char *const next[] = { "leaks", "flamegraph", NULL };
    struct values values = { .select = MT_SELECT_DEFAULTS };
    struct mt_operands operands;
    struct mt_error err = { 0 };
    int code;
    if (!mt_command_options(&doc, argc, argv, &values, &operands, &code)) {
        return code;
    }
    if (operands.count == 0) {
        (void)mt_error_set(&err, MT_E_INVAL, "which recording? give its file (*.mtap)");
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    mt_status status = write_anew(&values, &operands, &err);
    if (status != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_FAILED, &err);
    }
    if (values.post_format == 0 && values.select.output == NULL) {
        mt_next_say(next, operands.items, (size_t)operands.count);
    }
    return MT_EXIT_OK;
}

const struct mt_command mt_command_postmortem = { &doc, postmortem_main };
