/* reports.c: see reports.h. Context: [tool]. */
#include "reader/reports.h"

#include "analysis/leaks.h"
#include "analysis/tree.h"
#include "export/brief.h"
#include "export/left_out.h"
#include "export/lifetimes.h"
#include "export/processes.h"
#include "export/rows.h"
#include "export/stats.h"
#include "export/timeline.h"
#include "export/tree_view.h"
#include "page/page.h"
#include "reader/refusal.h"
#include "util/human.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

enum { TIMELINE_POINTS = 1000, TIMELINE_POINTS_MAX = 1000000 };

/* ---- writers --------------------------------------------------------------------------------------------------- */

static mt_status write_stats(struct mt_out *out, const struct mt_report_job *job, struct mt_error *err)
{
    (void)err;
    mt_stats_write(out, &job->shown);
    return MT_OK;
}

/* Behind rows of what was alive when the program ended, for people. */
static void write_left_out(struct mt_out *out, const struct mt_report_job *job)
{
    if (job->shown.format == MT_FORMAT_TABLE && job->loaded.measure == MT_MEASURE_LIVE) {
        mt_left_out_write(out, &job->shown);
    }
}

static mt_status write_tree(struct mt_out *out, const struct mt_report_job *job, struct mt_error *err)
{
    struct mt_tree tree = { 0 };
    struct mt_tree_options options = { .inverted = job->details.invert,
                                       .by_function = job->details.by == MT_BY_FUNCTION,
                                       .labels_of = mt_table_by_is_label(job->details.by) ? job->shown.set : NULL,
                                       .tasks = job->details.by == MT_BY_TASK };
    mt_status status = mt_tree_make(&job->loaded.profile, job->shown.frames, &options, &tree);
    if (status != MT_OK) {
        return mt_error_set(err, status, "cannot make the tree: %s", mt_status_text(status));
    }
    mt_tree_view_write(out, &job->shown, &tree);
    write_left_out(out, job);
    mt_tree_fini(&tree);
    return MT_OK;
}

static mt_status write_table(struct mt_out *out, const struct mt_report_job *job, struct mt_error *err)
{
    struct mt_table table = { 0 };
    mt_status status = mt_table_make(job->shown.set, &job->loaded.profile, job->shown.places, &job->shown.grouping, &table);
    if (status != MT_OK) {
        return mt_error_set(err, status, "cannot make the table: %s", mt_status_text(status));
    }
    mt_rows_write_table(out, &job->shown, &table);
    write_left_out(out, job);
    mt_table_fini(&table);
    return MT_OK;
}

/* Where Python's objects have another allocator than it has by itself, that is half of the explanation. */
static void write_odd_allocator(struct mt_out *out, const struct mt_report_job *job)
{
    const char *allocator = mt_report_python_allocator(job->shown.set);
    if (allocator != NULL && strcmp(allocator, "pymalloc") != 0 && strcmp(allocator, "mimalloc") != 0) {
        mt_out_print(out, ", PYTHONMALLOC=%s", allocator);
    }
}

/* The functions that hold the most memory; for people, below a few lines about the whole. */
static mt_status write_summary(struct mt_out *out, const struct mt_report_job *job, struct mt_error *err)
{
    if (job->shown.format == MT_FORMAT_TABLE) {
        struct mt_facts facts = mt_facts_of(&job->shown);
        char *command = mt_report_command(facts.root);
        mt_out_print(out, "%s\n", command);
        free(command);
        mt_out_string(out, "  ");
        mt_brief_extent(out, &facts);
        mt_out_print(out, ", %s", mt_human_bytes((double)facts.trace_bytes).text);
        write_odd_allocator(out, job);
        mt_out_byte(out, '\n');
        mt_brief_write(out, &job->shown, &facts);
        mt_brief_own(out, &facts);
        mt_processes_write(out, &job->shown);
        mt_out_byte(out, '\n');
    }
    return write_table(out, job, err);
}

static mt_status write_leaks(struct mt_out *out, const struct mt_report_job *job, struct mt_error *err)
{
    struct mt_leaks leaks = { 0 };
    struct mt_grouping *grouping = mt_grouping_new(job->shown.places, job->shown.set, &job->shown.grouping);
    mt_status status = mt_leaks_make(job->shown.set, &job->loaded.analysis, grouping,
                                     (double)job->details.min_age_ns / 1e9, job->loaded.thread_tid, &leaks);
    mt_grouping_free(grouping);
    if (status != MT_OK) {
        return mt_error_set(err, status, "cannot list the leaks: %s", mt_status_text(status));
    }
    mt_rows_write_leaks(out, &job->shown, &leaks);
    write_left_out(out, job);
    mt_leaks_fini(&leaks);
    return MT_OK;
}

/* ---- loading --------------------------------------------------------------------------------------------------- */

/* Names are looked up only where there is a pattern to compare them with. */
static mt_status read_suppressions(struct mt_report_job *job, struct mt_error *err)
{
    struct mt_suppressions *s = &job->suppressions;
    mt_status status = MT_OK;
    if (job->suppressions_path != NULL) {
        status = mt_suppressions_read(s, job->suppressions_path, err);
    }
    if (status == MT_OK && !job->selection.all) {
        mt_suppressions_of_programs(s, &job->recording->set);
        job->shown.unknown_suppressions = s->unknown_default;
    }
    if (status != MT_OK || s->count == 0) {
        return status;
    }
    job->load.suppressions = s;
    job->shown.suppressions = s->items;
    job->shown.suppression_count = s->count;
    return mt_recording_frames(job->recording, true, true, &s->frames, err);
}

static mt_status load(struct mt_report_job *job, struct mt_error *err)
{
    mt_status status = read_suppressions(job, err);
    if (status != MT_OK) {
        return status;
    }
    job->load.memo = &job->recording->memo;
    status = mt_selection_load(&job->recording->set, &job->selection, &job->load, &job->loaded, err);
    bool names = job->load.profile || mt_run_marks_oom(&job->loaded.analysis.marks) != NULL; /* which is shown with its line */
    if (status == MT_OK && names) {
        status = mt_recording_frames(job->recording, job->native, job->all_frames, &job->shown.frames, err);
    }
    if (status == MT_OK && names) {
        struct mt_places_options options = { .wrappers = job->details.wrappers, .all_frames = job->all_frames };
        job->shown.places = job->places = mt_places_new(job->shown.frames, &options);
    }
    job->shown.full_paths = job->details.full_paths;
    job->shown.all_frames = job->all_frames;
    job->shown.set = &job->recording->set;
    job->shown.analysis = &job->loaded.analysis;
    job->shown.selection = job->loaded.words;
    return status;
}

void mt_report_job_fini(struct mt_report_job *job)
{
    mt_loaded_fini(&job->loaded);
    mt_places_free(job->places);
    mt_suppressions_fini(&job->suppressions);
}

static mt_status refuse_details(const struct mt_report_job *job, enum mt_profile_report report, struct mt_error *err)
{
    const struct mt_trace_set *set = &job->recording->set;
    if ((report == MT_PROFILE_TABLE || report == MT_PROFILE_LEAKS) && job->details.by == MT_BY_THREAD) {
        return mt_refuse_aggregate(set, "which thread allocated (--by thread)", err);
    }
    if (mt_table_by_is_label(job->details.by)) {
        return mt_refuse_aggregate(set, "what was labelled how (--by label, task)", err);
    }
    if (report == MT_PROFILE_LIFETIMES) {
        return mt_refuse_aggregate(set, "how long blocks lived", err);
    }
    if (report == MT_PROFILE_LEAKS && job->details.min_age_ns > 0) {
        return mt_refuse_aggregate(set, "how old leaks are (--min-age)", err);
    }
    return MT_OK;
}

mt_status mt_report_load(struct mt_report_job *job, enum mt_profile_report report, struct mt_error *err)
{
    bool table = report == MT_PROFILE_TABLE;
    if (report == MT_PROFILE_LEAKS && job->selection.what != MT_SELECT_AT) {
        job->selection.what = MT_SELECT_LEAKS;
    }
    mt_status status = refuse_details(job, report, err);
    if (status != MT_OK) {
        return status;
    }
    job->shown.grouping = (struct mt_grouping_options){ .by = report == MT_PROFILE_SUMMARY ? MT_BY_FUNCTION : job->details.by,
                                                        .stacks = job->details.stacks,
                                                        .invert = job->details.invert };
    job->shown.imports_apart = report == MT_PROFILE_SUMMARY || report == MT_PROFILE_LEAKS;
    job->load.profile = report != MT_PROFILE_STATS && report != MT_PROFILE_TIMELINE && report != MT_PROFILE_LIFETIMES;
    if (report == MT_PROFILE_TIMELINE) {
        size_t wanted = job->shown.rows > 0 ? job->shown.rows : TIMELINE_POINTS;
        job->load.timeline_points = wanted < TIMELINE_POINTS_MAX ? wanted : TIMELINE_POINTS_MAX;
    }
    job->load.bound_will_do = report == MT_PROFILE_SUMMARY;
    job->load.by_thread = table && job->details.by == MT_BY_THREAD;
    job->load.by_label = mt_table_by_is_label(job->details.by);
    job->load.by_allocator = table || report == MT_PROFILE_SUMMARY; /* what a line without callees called */
    return load(job, err);
}

static mt_status load_page(struct mt_report_job *job, struct mt_error *err)
{
    const struct mt_trace_set *set = &job->recording->set;
    bool aggregate = false; /* it does not know what happened when */
    for (size_t i = 0; i < set->count; i++) {
        aggregate = aggregate || (mt_trace_info(set->traces[i])->flags & MT_TRACE_AGGREGATE) != 0;
    }
    job->selection = (struct mt_selection){ .what = MT_SELECT_PEAK, .temporary_max = 1, .all = job->selection.all };
    job->load.profile = job->load.bound_will_do = true;
    job->load.timeline_points = aggregate ? 0 : MT_PAGE_TIMELINE_POINTS;
    job->load.edges = aggregate ? 0 : MT_PAGE_EDGES;
    return load(job, err);
}

mt_status mt_page_load(struct mt_report_job *job, struct mt_error *err)
{
    mt_status status = job->before != NULL ? load_page(job->before, err) : MT_OK;
    return status == MT_OK ? load_page(job, err) : status;
}

static struct mt_page_input page_input(const struct mt_report_job *job)
{
    return (struct mt_page_input){ .report = &job->shown, .edges_ns = job->loaded.edges_ns, .confidential = job->confidential,
                                   .max_bytes = job->page_bytes };
}

mt_status mt_page_write_job(struct mt_out *out, const struct mt_report_job *job, struct mt_error *err)
{
    struct mt_page_input input = page_input(job), before;
    if (job->before != NULL) {
        before = page_input(job->before);
        input.before = &before;
        input.edges_ns = before.edges_ns = NULL;
    }
    return mt_page_write(out, &input, err);
}

mt_status mt_report_write(struct mt_out *out, const struct mt_report_job *job, enum mt_profile_report report,
                          struct mt_error *err)
{
    switch (report) {
    case MT_PROFILE_STATS:
        return write_stats(out, job, err);
    case MT_PROFILE_SUMMARY:
        return write_summary(out, job, err);
    case MT_PROFILE_TREE:
        return write_tree(out, job, err);
    case MT_PROFILE_TABLE:
        return write_table(out, job, err);
    case MT_PROFILE_LEAKS:
        return write_leaks(out, job, err);
    case MT_PROFILE_LIFETIMES:
        mt_lifetimes_write(out, &job->shown);
        return MT_OK;
    case MT_PROFILE_TIMELINE:
        mt_timeline_write(out, &job->shown);
        return MT_OK;
    case MT_PROFILE_PARSE:
    default:
        return mt_error_set(err, MT_E_INVAL, "there is no report number %d", (int)report);
    }
}

/* ---- other tools' formats -------------------------------------------------------------------------------------- */

mt_status mt_export_choose(const char *name, const char *path, const struct mt_exporter **ret, struct mt_error *err)
{
    const struct mt_exporter *found = NULL;
    if (name != NULL) {
        found = mt_exporter_find(name);
        (void)mt_error_set(err, MT_E_INVAL,
                           "--format: \"%s\" is not one of collapsed, speedscope, pprof, csv, json, chrome, "
                           "heaptrack",
                           name);
    } else {
        found = path != NULL ? mt_exporter_by_suffix(path) : NULL;
        (void)mt_error_set(err, MT_E_INVAL,
                           "which format? give --format collapsed, speedscope, pprof, csv, json, chrome "
                           "or heaptrack");
    }
    if (found == NULL) {
        return MT_E_INVAL;
    }
    *ret = found;
    return MT_OK;
}

mt_status mt_export_load(struct mt_report_job *job, const struct mt_exporter *exporter, struct mt_error *err)
{
    if (exporter->write_events != NULL && job->recording->set.count != 1) {
        return mt_error_set(err, MT_E_INVAL, "%s files hold one process: give one FILE", exporter->name);
    }
    if (exporter->write_events != NULL) {
        mt_status status = mt_refuse_aggregate(&job->recording->set, "what happened when", err);
        if (status != MT_OK) {
            return status;
        }
    }
    job->load.profile = job->load.by_thread = job->load.by_allocator = true;
    job->load.timeline_points = exporter->timeline_points;
    return load(job, err);
}

static mt_status make_total(const struct mt_report_job *job, struct mt_profile *ret)
{
    struct mt_profile_options options = {
        .measure = MT_MEASURE_TOTAL, .by_thread = true, .by_allocator = true, .thread_tid = job->loaded.thread_tid
    };
    return mt_profile_make(job->shown.set, &job->loaded.analysis, &options, ret);
}

mt_status mt_export_write(struct mt_out *out, const struct mt_report_job *job, const struct mt_exporter *exporter,
                          struct mt_error *err)
{
    if (exporter->write_events != NULL) {
        return exporter->write_events(out, &job->shown, err);
    }
    struct mt_profile total = { 0 };
    struct mt_tree tree = { 0 };
    mt_status status = make_total(job, &total);
    if (status == MT_OK && exporter->needs_tree) {
        status = mt_tree_make(&job->loaded.profile, job->shown.frames, NULL, &tree);
    }
    if (status == MT_OK) {
        struct mt_export_input input = {
            .report = &job->shown, .profile = &job->loaded.profile, .total = &total, .tree = &tree
        };
        exporter->write(out, &input);
    } else {
        (void)mt_error_set(err, status, "cannot prepare the export: %s", mt_status_text(status));
    }
    mt_tree_fini(&tree);
    mt_profile_fini(&total);
    return status;
}
