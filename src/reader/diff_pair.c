/* diff_pair.c: see diff_pair.h. Context: [tool]. */
#include "reader/diff_pair.h"

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
