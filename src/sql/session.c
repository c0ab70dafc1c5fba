/* session.c: see session.h. */
#include "sql/session.h"

#include "base/atomic.h"
#include "base/os.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/timepoint.h"

#include <stdlib.h>
#include <string.h>

enum { TIMELINE_POINTS = 1000 };

/* ---- ends --------------------------------------------------------------------------------------------------------- */

void mt_sql_interrupt(struct mt_sql *sql)
{
    mt_store_relaxed(&sql->interrupted, 1);
}

void mt_sql_set_timeout(struct mt_sql *sql, uint64_t timeout_ns)
{
    sql->timeout_ns = timeout_ns;
}

void mt_sql_set_question(struct mt_sql *sql, bool (*interrupted)(void *context), void *context)
{
    sql->asked = interrupted;
    sql->asked_context = context;
}

bool mt_sql_timed_out(const struct mt_sql *sql)
{
    return sql->timed_out;
}

bool mt_sql_should_stop(struct mt_sql *sql)
{
    sql->timed_out = sql->timed_out || (sql->deadline_ns != 0 && mt_os_monotonic_ns() > sql->deadline_ns);
    if (sql->asked != NULL && sql->asked(sql->asked_context)) {
        mt_sql_interrupt(sql);
    }
    return sql->timed_out || mt_load_relaxed(&sql->interrupted) != 0;
}

bool mt_sql_goes_on(void *sql, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    return !mt_sql_should_stop(sql);
}

void mt_sql_note_losses(struct mt_sql *sql, const struct mt_cursor_losses *losses)
{
    if (losses->bad_blocks + losses->cut_records > sql->losses.bad_blocks + sql->losses.cut_records) {
        sql->losses = *losses;
    }
}

const struct mt_cursor_losses *mt_sql_losses(const struct mt_sql *sql)
{
    return &sql->losses;
}

/* ---- analyses ----------------------------------------------------------------------------------------------------- */

const struct mt_analysis *mt_sql_analysis(struct mt_sql *sql, bool timeline, mt_status *ret_status)
{
    struct mt_analysis *analysis = timeline ? &sql->with_timeline : &sql->analysis;
    bool *made = timeline ? &sql->timeline_made : &sql->analyzed;
    *ret_status = MT_OK;
    if (*made) {
        return analysis;
    }
    struct mt_analysis_options options = MT_ANALYSIS_DEFAULTS;
    options.timeline_points = timeline ? TIMELINE_POINTS : 0;
    options.totals_only = timeline;
    options.progress = mt_sql_goes_on;
    options.context = sql;
    *ret_status = mt_analyze(sql->set, &options, analysis);
    if (*ret_status != MT_OK) {
        mt_analysis_fini(analysis);
        return NULL;
    }
    mt_sql_note_losses(sql, &analysis->totals.losses);
    *made = true;
    return analysis;
}

static mt_status mark_time(struct mt_sql *sql, const struct mt_timepoint *point, uint64_t *ret_ns, struct mt_error *err)
{
    struct mt_run_marks marks;
    mt_run_marks_find(sql->set, &sql->axis, &marks);
    const struct mt_run_mark *mark =
        point->kind == MT_TIMEPOINT_OOM ? mt_run_marks_oom(&marks) : mt_run_marks_snapshot(&marks, point->ns);
    *ret_ns = mark != NULL ? mark->time_ns : 0;
    mt_run_marks_fini(&marks);
    return mark != NULL ? MT_OK : mt_error_set(err, MT_E_INVAL, "the recording has no such mark (SELECT * FROM memory.snapshots)");
}

mt_status mt_sql_time(struct mt_sql *sql, const char *text, uint64_t *ret_ns, struct mt_error *err)
{
    struct mt_timepoint point;
    uint64_t peak_ns = 0;
    if (text == NULL || !mt_timepoint_parse(text, strlen(text), &point)) {
        return mt_error_set(err, MT_E_INVAL, "\"%s\" is no time of a recording: %s", text != NULL ? text : "NULL", MT_TIMEPOINT_FORMS);
    }
    if (point.kind == MT_TIMEPOINT_OOM || point.kind == MT_TIMEPOINT_MARK) {
        return mark_time(sql, &point, ret_ns, err);
    }
    if (point.kind >= MT_TIMEPOINT_END) { /* a moment of each process */
        *ret_ns = UINT64_MAX;
        return MT_OK;
    }
    if (point.kind == MT_TIMEPOINT_PEAK) {
        mt_status status;
        const struct mt_analysis *analysis = mt_sql_analysis(sql, false, &status);
        if (analysis == NULL) {
            return mt_error_set(err, status, "cannot read the events: %s", mt_status_text(status));
        }
        peak_ns = analysis->totals.peak_time_ns;
    }
    *ret_ns = mt_timepoint_resolve(&point, sql->axis.duration_ns, peak_ns);
    return MT_OK;
}

/* What was alive can be told of times since the horizon of each trace. */
static bool is_known(const struct mt_sql *sql, uint64_t time_ns)
{
    bool known = true;
    for (size_t i = 0; i < sql->set->count; i++) {
        known = known && mt_span_clock(&sql->axis.spans[i], time_ns) >= mt_trace_info(sql->set->traces[i])->horizon_clock;
    }
    return known;
}

mt_status mt_sql_time_known(struct mt_sql *sql, const char *text, uint64_t *ret_ns, struct mt_error *err)
{
    mt_status status = mt_sql_time(sql, text, ret_ns, err);
    if (status != MT_OK || is_known(sql, *ret_ns)) {
        return status;
    }
    return mt_error_set(err, MT_E_INVAL, "what was alive at \"%s\" is not known: the trace is kept below a size (--max-file), of what was freed before %s nothing "
                                         "is left; ask for a time from there on", text, mt_human_duration(mt_axis_horizon(&sql->axis, sql->set)).text);
}

bool mt_sql_knows(struct mt_sql *sql, const char *text)
{
    struct mt_error err = { 0 };
    uint64_t time_ns;
    return mt_sql_time(sql, text, &time_ns, &err) == MT_OK && is_known(sql, time_ns);
}

double mt_sql_horizon_s(const struct mt_sql *sql)
{
    return (double)mt_axis_horizon(&sql->axis, sql->set) / 1e9;
}

/* ---- words -------------------------------------------------------------------------------------------------------- */

void mt_sql_keep_rows(struct mt_sql *sql, void *rows)
{
    sql->old_rows = mt_alloc_grow(sql->old_rows, &sql->old_capacity, sql->old_count + 1, sizeof *sql->old_rows);
    sql->old_rows[sql->old_count++] = rows;
}

const char *mt_sql_keep(struct mt_sql *sql, char *text)
{
    mt_strlist_add(&sql->texts, text);
    free(text);
    return sql->texts.items[sql->texts.count - 1];
}

uint64_t mt_sql_pid(const struct mt_sql *sql, uint32_t trace_idx)
{
    return mt_trace_info(sql->set->traces[trace_idx])->pid;
}

const char *mt_sql_thread_name(struct mt_sql *sql, uint32_t trace_idx, uint32_t stream, uint64_t *ret_tid)
{
    const struct mt_trace_thread *thread = mt_trace_thread(sql->set->traces[trace_idx], stream);
    *ret_tid = thread != NULL ? thread->tid : MT_SQL_NO_THREAD;
    return thread != NULL ? thread->name.data : NULL;
}

const char *mt_sql_label(struct mt_sql *sql, uint32_t trace_idx, uint32_t label)
{
    struct mt_text text = mt_trace_label_text(sql->set->traces[trace_idx], label, false);
    return label != 0 && text.bytes > 0 ? text.data : NULL;
}

bool mt_sql_stack_of(const struct mt_sql *sql, int64_t stack_id, uint32_t *ret_trace_idx, uint32_t *ret_stack)
{
    uint64_t id = (uint64_t)stack_id;
    if (id >> 32 >= sql->set->count || (uint32_t)id >= mt_trace_stack_count(sql->set->traces[id >> 32])) {
        return false;
    }
    *ret_trace_idx = (uint32_t)(id >> 32);
    *ret_stack = (uint32_t)id;
    return true;
}

static uint32_t find_place(struct mt_sql *sql, uint32_t trace_idx, uint32_t stack)
{
    struct mt_frame_list list = mt_frames_stack(sql->frames, trace_idx, stack);
    struct mt_place place = mt_places_find(sql->places, &list);
    const struct mt_frame *frame = mt_frames_frame(sql->frames, list.ids[place.at]);
    sql->found = mt_alloc_grow(sql->found, &sql->found_capacity, sql->found_count + 1, sizeof *sql->found);
    sql->found[sql->found_count++] = (struct mt_sql_place){
        .function = frame->function,
        .file = frame->file[0] != '\0' ? frame->file : frame->module[0] != '\0' ? frame->module : NULL,
        .line = frame->line > 0 ? frame->line : UINT64_MAX,
    };
    return (uint32_t)sql->found_count;
}

struct mt_sql_place mt_sql_place_of(struct mt_sql *sql, uint32_t trace_idx, uint32_t stack)
{
    size_t stacks = mt_trace_stack_count(sql->set->traces[trace_idx]);
    if (sql->place_of[trace_idx] == NULL) {
        sql->place_of[trace_idx] = mt_alloc_zero(stacks + 1, sizeof **sql->place_of);
    }
    uint32_t *known = &sql->place_of[trace_idx][stack < stacks ? stack : 0];
    if (*known == 0) {
        *known = find_place(sql, trace_idx, stack < stacks ? stack : 0);
    }
    return sql->found[*known - 1];
}
