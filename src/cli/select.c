/* select.c: opening and analysing what the selection options ask for. A time given as "peak" needs the whole trace read
 * once to know when that was; every other selection is one pass. */
#include "cli/select.h"

#include "reader/failure.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/progress.h"
#include "util/tracepath.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mt_status open_set(struct mt_loaded *l, struct mt_error *err)
{
    struct mt_wire_error wire = { 0 };
    char *path = NULL;
    mt_status status = mt_trace_set_open((const char *const *)l->paths.items, l->paths.count, &l->set, &wire, &path);
    if (status != MT_OK) {
        (void)mt_failure_explain_open(status, path != NULL ? path : l->paths.items[0], &wire, err);
    }
    free(path);
    return status;
}

/* ---- the pass -------------------------------------------------------------------------------------------------- */

static bool show_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    mt_progress_update(context, done_bytes, total_bytes);
    return true;
}

static mt_status analyze(struct mt_loaded *l, struct mt_analysis_options *options, bool quiet, struct mt_error *err)
{
    struct mt_progress progress;
    mt_progress_begin(&progress, "reading", quiet);
    options->progress = show_progress;
    options->context = &progress;
    mt_analysis_fini(&l->analysis);
    l->analysis = (struct mt_analysis){ 0 };
    mt_status status = mt_analyze(&l->set, options, &l->analysis);
    mt_progress_end(&progress);
    return status == MT_OK ? status : mt_error_set(err, status, "cannot read the events: %s", mt_status_text(status));
}

static uint64_t longest_duration(const struct mt_trace_set *set)
{
    uint64_t longest = 0;
    for (size_t i = 0; i < set->count; i++) {
        uint64_t duration = mt_trace_info(set->traces[i])->duration_ns;
        longest = duration > longest ? duration : longest;
    }
    return longest;
}

static bool needs_peak(const struct mt_select *s)
{
    return (s->selection == MT_SELECT_AT || s->selection == MT_SELECT_BETWEEN) &&
           (s->times[0].kind == MT_TIMEPOINT_PEAK ||
            (s->selection == MT_SELECT_BETWEEN && s->times[1].kind == MT_TIMEPOINT_PEAK));
}

static char *describe(const struct mt_select *s, const uint64_t times[2], uint64_t peak_ns)
{
    struct mt_human first = mt_human_duration(times[0]);
    struct mt_human second = mt_human_duration(times[1]);
    switch (s->selection) {
    case MT_SELECT_LEAKS:
        return mt_strdup("alive at the end");
    case MT_SELECT_TEMPORARY:
        return mt_format("freed after at most %llu further allocations", (unsigned long long)s->temporary_max);
    case MT_SELECT_AT:
        return mt_format("alive at %s", first.text);
    case MT_SELECT_BETWEEN:
        return mt_format("allocated from %s on and alive at %s", first.text, second.text);
    case MT_SELECT_PEAK:
    default:
        return mt_format("at the peak (%s)", mt_human_duration(peak_ns).text);
    }
}

static enum mt_measure measure_of(enum mt_selection selection)
{
    static const enum mt_measure measures[] = {
        [MT_SELECT_PEAK] = MT_MEASURE_PEAK,           [MT_SELECT_LEAKS] = MT_MEASURE_LIVE,
        [MT_SELECT_TEMPORARY] = MT_MEASURE_TEMPORARY, [MT_SELECT_AT] = MT_MEASURE_LIVE,
        [MT_SELECT_BETWEEN] = MT_MEASURE_WINDOW,
    };
    return measures[selection];
}

static mt_status run_passes(const struct mt_select *s, size_t timeline_points, struct mt_loaded *l,
                            struct mt_error *err)
{
    struct mt_analysis_options options = MT_ANALYSIS_DEFAULTS;
    uint64_t times[2] = { 0, 0 };
    uint64_t peak_ns = 0;
    mt_status status = MT_OK;
    if (needs_peak(s)) {
        status = analyze(l, &options, s->quiet_progress, err);
        peak_ns = l->analysis.totals.peak_time_ns;
    }
    for (int i = 0; i < 2; i++) {
        times[i] = mt_timepoint_resolve(&s->times[i], longest_duration(&l->set), peak_ns);
    }
    if (s->selection == MT_SELECT_BETWEEN && times[0] > times[1]) {
        return mt_error_set(err, MT_E_INVAL, "--between: %s is after %s", mt_human_duration(times[0]).text,
                            mt_human_duration(times[1]).text);
    }
    options.temporary_max = (uint32_t)s->temporary_max;
    options.timeline_points = timeline_points;
    options.stop_ns = s->selection == MT_SELECT_AT        ? times[0]
                      : s->selection == MT_SELECT_BETWEEN ? times[1]
                                                          : UINT64_MAX;
    options.window_start_ns = s->selection == MT_SELECT_BETWEEN ? times[0] : 0;
    if (status == MT_OK) {
        status = analyze(l, &options, s->quiet_progress, err);
    }
    if (status == MT_OK) {
        l->words = describe(s, times, l->analysis.totals.peak_time_ns);
        l->measure = measure_of(s->selection);
    }
    return status;
}

/* ---- threads --------------------------------------------------------------------------------------------------- */

static bool thread_named(const struct mt_trace_thread *thread, const char *name)
{
    return thread->name.bytes == strlen(name) && memcmp(thread->name.data, name, thread->name.bytes) == 0;
}

/* --thread as a name must mean one thread. */
static mt_status find_thread(const struct mt_trace_set *set, const char *name, uint64_t *ret_tid, struct mt_error *err)
{
    uint64_t found = 0;
    size_t matches = 0;
    for (size_t i = 0; i < set->count; i++) {
        size_t count;
        const struct mt_trace_thread *threads = mt_trace_threads(set->traces[i], &count);
        for (size_t t = 0; t < count; t++) {
            if (thread_named(&threads[t], name) && (matches == 0 || threads[t].tid != found)) {
                found = threads[t].tid;
                matches++;
            }
        }
    }
    if (matches == 0) {
        return mt_error_set(err, MT_E_INVAL,
                            "--thread: no thread is called \"%s\"; `memtap table --by thread` lists them", name);
    }
    if (matches > 1) {
        return mt_error_set(err, MT_E_INVAL,
                            "--thread: %zu threads are called \"%s\"; give the id of one "
                            "(`memtap table --by thread` lists them)",
                            matches, name);
    }
    *ret_tid = found;
    return MT_OK;
}

static mt_status resolve_thread(const struct mt_select *s, struct mt_loaded *l, struct mt_error *err)
{
    if (s->thread == NULL || (mt_parse_count(s->thread, &l->thread_tid) && l->thread_tid != 0)) {
        return MT_OK;
    }
    return find_thread(&l->set, s->thread, &l->thread_tid, err);
}

/* ---- all together ---------------------------------------------------------------------------------------------- */

static mt_status make_profile(const struct mt_load_options *o, bool native, struct mt_loaded *l, struct mt_error *err)
{
    struct mt_profile_options wanted = {
        .measure = l->measure, .by_thread = o->by_thread, .by_allocator = o->by_allocator, .thread_tid = l->thread_tid
    };
    struct mt_frames_options shown = { .interpreter = native, .python_only = !native };
    mt_status status = mt_profile_make(&l->set, &l->analysis, &wanted, &l->profile);
    if (status == MT_OK) {
        status = mt_frames_new(&l->set, &shown, &l->frames);
    }
    return status == MT_OK ? status
                           : mt_error_set(err, status, "cannot prepare the report: %s", mt_status_text(status));
}

mt_status mt_select_load(const struct mt_select *select, const struct mt_operands *operands,
                         const struct mt_load_options *options, struct mt_loaded *ret, int *ret_code,
                         struct mt_error *err)
{
    *ret = (struct mt_loaded){ 0 };
    *ret_code = MT_EXIT_USAGE;
    if (operands->count == 0) {
        return mt_error_set(err, MT_E_INVAL, "which trace? give a FILE (*.mtap), several, or a folder");
    }
    *ret_code = MT_EXIT_FAILED;
    mt_status status = mt_tracepath_expand(operands->items, operands->count, &ret->paths, err);
    if (status == MT_OK) {
        status = open_set(ret, err);
    }
    if (status == MT_OK) {
        status = resolve_thread(select, ret, err);
        *ret_code = status == MT_E_INVAL ? MT_EXIT_USAGE : MT_EXIT_FAILED;
    }
    if (status == MT_OK) {
        status = run_passes(select, options->timeline_points, ret, err);
        *ret_code = status == MT_E_INVAL ? MT_EXIT_USAGE : MT_EXIT_FAILED;
    }
    return status == MT_OK && options->frames ? make_profile(options, select->native, ret, err) : status;
}

void mt_loaded_fini(struct mt_loaded *loaded)
{
    mt_frames_free(loaded->frames);
    mt_profile_fini(&loaded->profile);
    mt_analysis_fini(&loaded->analysis);
    mt_trace_set_close(&loaded->set);
    mt_strlist_clear(&loaded->paths);
    free(loaded->words);
}

enum mt_format mt_select_format(const struct mt_select *select)
{
    static const char *const suffixes[] = { NULL, ".json", ".csv", ".ndjson" };
    size_t length = select->output != NULL ? strlen(select->output) : 0;
    if (select->format >= 0) {
        return (enum mt_format)select->format;
    }
    for (size_t i = 1; i < MT_COUNTOF(suffixes); i++) {
        size_t bytes = strlen(suffixes[i]);
        if (length > bytes && strcmp(select->output + length - bytes, suffixes[i]) == 0) {
            return (enum mt_format)i;
        }
    }
    return MT_FORMAT_TABLE;
}

size_t mt_select_row_limit(const struct mt_select *select, size_t default_rows)
{
    if (select->rows != UINT64_MAX) {
        return (size_t)select->rows;
    }
    return mt_select_format(select) == MT_FORMAT_TABLE ? default_rows : 0;
}

struct mt_report mt_select_report(const struct mt_select *select, const struct mt_loaded *loaded, size_t default_rows)
{
    return (struct mt_report){
        .set = &loaded->set,
        .analysis = &loaded->analysis,
        .frames = loaded->frames,
        .selection = loaded->words,
        .format = mt_select_format(select),
        .rows = mt_select_row_limit(select, default_rows),
    };
}

static void print_warnings(const struct mt_report *report)
{
    struct mt_strlist warnings = { 0 };
    mt_report_warnings(report->set, report->analysis, &warnings);
    for (size_t i = 0; i < warnings.count; i++) {
        (void)fprintf(stderr, "memtap: note: %s\n", warnings.items[i]);
    }
    mt_strlist_clear(&warnings);
}

int mt_select_write(const struct mt_command_doc *doc, const struct mt_select *select, const struct mt_report *report,
                    mt_select_writer *write, void *context)
{
    struct mt_error err = { 0 };
    struct mt_out *out;
    if (mt_out_open(select->output, &out, &err) != MT_OK) {
        return mt_command_fail(doc, MT_EXIT_FAILED, &err);
    }
    if (write(out, report, context, &err) != MT_OK) {
        mt_out_discard(out);
        return mt_command_fail(doc, MT_EXIT_FAILED, &err);
    }
    if (mt_out_commit(out, &err) != MT_OK) {
        return mt_command_fail(doc, MT_EXIT_FAILED, &err);
    }
    print_warnings(report);
    return MT_EXIT_OK;
}

int mt_select_main(const struct mt_reading_plan *plan, void *values, int argc, char **argv)
{
    struct mt_load_options options = { .frames = plan->frames };
    struct mt_reading reading = { .values = values };
    const struct mt_select *select = values;
    struct mt_operands operands;
    struct mt_error err = { 0 };
    int code;
    if (!mt_command_options(plan->doc, argc, argv, values, &operands, &code)) {
        return code;
    }
    if (plan->prepare != NULL) {
        plan->prepare(values, &options);
    }
    if (mt_select_load(select, &operands, &options, &reading.loaded, &code, &err) != MT_OK) {
        code = mt_command_fail(plan->doc, code, &err);
    } else {
        struct mt_report report = mt_select_report(select, &reading.loaded, plan->default_rows);
        code = mt_select_write(plan->doc, select, &report, plan->write, &reading);
    }
    mt_loaded_fini(&reading.loaded);
    return code;
}
