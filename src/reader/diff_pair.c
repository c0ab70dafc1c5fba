/* diff_pair.c: see diff_pair.h. Context: [tool]. */
#include "reader/diff_pair.h"

#include "analysis/diff_moments.h"

#include <string.h>

static mt_status load(struct mt_diff_pair *pair, int side, struct mt_error *err)
{
    struct mt_report_job *job = &pair->job[side];
    struct mt_grouping_options grouping = { .by = pair->by };
    job->details.by = pair->by;
    mt_status status = mt_report_load(job, MT_PROFILE_TABLE, err);
    if (status == MT_OK) {
        status = mt_table_make(job->shown.set, &job->loaded.profile, job->shown.places, &grouping, &pair->table[side]);
        status = status == MT_OK ? status : mt_error_set(err, status, "cannot make the table: %s", mt_status_text(status));
    }
    if (status != MT_OK) {
        (void)mt_error_prefix(err, "%s", pair->name[side]);
    }
    return status;
}

/* ---- two moments of one sampled recording ------------------------------------------------------------------------ */

/* The moment at which something is looked at; false: it is none. */
static bool moment_of(const struct mt_selection *selection, struct mt_timepoint *ret)
{
    static const struct mt_timepoint peak = { .kind = MT_TIMEPOINT_PEAK }, end = { .kind = MT_TIMEPOINT_END };
    *ret = selection->what == MT_SELECT_PEAK ? peak : selection->what == MT_SELECT_LEAKS ? end : selection->times[0];
    return selection->what == MT_SELECT_PEAK || selection->what == MT_SELECT_LEAKS || selection->what == MT_SELECT_AT;
}

static bool is_one_recording(const struct mt_trace_set *a, const struct mt_trace_set *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; i < a->count && same; i++) {
        const struct mt_trace_info *x = mt_trace_info(a->traces[i]), *y = mt_trace_info(b->traces[i]);
        same = x->pid == y->pid && x->start_realtime_ns == y->start_realtime_ns && strcmp(x->path, y->path) == 0;
    }
    return same;
}

/* What was allocated after the other moment and is alive at that of `later`. False: that is the earlier one. */
static bool load_since(const struct mt_diff_pair *pair, int later, struct mt_report_job *job, struct mt_table *table)
{
    struct mt_grouping_options grouping = { .by = pair->by };
    struct mt_error not_so = { 0 };
    *job = pair->job[later];
    job->suppressions = (struct mt_suppressions){ 0 };
    job->loaded = (struct mt_loaded){ 0 };
    job->shown = (struct mt_report){ 0 };
    job->places = NULL;
    job->selection.what = MT_SELECT_BETWEEN;
    return moment_of(&pair->job[1 - later].selection, &job->selection.times[0]) &&
           moment_of(&pair->job[later].selection, &job->selection.times[1]) && mt_report_load(job, MT_PROFILE_TABLE, &not_so) == MT_OK &&
           mt_table_make(job->shown.set, &job->loaded.profile, job->shown.places, &grouping, table) == MT_OK;
}

static void share_samples(struct mt_diff_pair *pair)
{
    bool done = !pair->job[0].loaded.analysis.sampled ||
                !is_one_recording(&pair->job[0].recording->set, &pair->job[1].recording->set);
    for (int later = MT_DIFF_AFTER; later >= MT_DIFF_BEFORE && !done; later--) {
        struct mt_report_job job;
        struct mt_table table = { 0 };
        if (load_since(pair, later, &job, &table)) {
            struct mt_diff_side since = { &table, job.shown.frames, job.shown.set };
            mt_diff_share_samples(&pair->diff, pair->by, (unsigned)later, &since);
            done = true;
        }
        mt_table_fini(&table);
        mt_report_job_fini(&job);
    }
}

mt_status mt_diff_pair_make(struct mt_diff_pair *pair, struct mt_error *err)
{
    struct mt_diff_side sides[MT_DIFF_SIDES];
    for (int side = 0; side < MT_DIFF_SIDES; side++) {
        mt_status status = load(pair, side, err);
        if (status != MT_OK) {
            return status;
        }
        const struct mt_report *shown = &pair->job[side].shown;
        sides[side] = (struct mt_diff_side){ &pair->table[side], shown->frames, shown->set };
    }
    mt_diff_make(sides, pair->by, &pair->diff);
    share_samples(pair);
    return MT_OK;
}

void mt_diff_pair_write(struct mt_out *out, const struct mt_diff_pair *pair, enum mt_diff_format format, size_t rows)
{
    struct mt_diff_report report = {
        .diff = &pair->diff,
        .side = { &pair->job[0].shown, &pair->job[1].shown },
        .name = { pair->name[0], pair->name[1] },
        .table = { &pair->table[0], &pair->table[1] },
        .by = pair->by,
        .format = format,
        .rows = rows,
        .limited = pair->limited,
        .limit_bytes = pair->limit_bytes,
    };
    mt_diff_write(out, &report);
}

void mt_diff_pair_fini(struct mt_diff_pair *pair)
{
    mt_diff_fini(&pair->diff);
    for (int side = 0; side < MT_DIFF_SIDES; side++) {
        mt_table_fini(&pair->table[side]);
        mt_report_job_fini(&pair->job[side]);
    }
}
