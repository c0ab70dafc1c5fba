/* query_session.c: see query_session.h. */
#include "cli/query_session.h"

#include "base/os.h"
#include "util/say.h"

static const uint64_t PYTHON_NS = 30000000000; /* for what runs in a process, where no time is given */

static mt_status open_sql(struct mt_query_session *s, struct mt_error *err)
{
    struct mt_frames *frames;
    mt_status status = mt_recording_frames(s->recording, false, false, &frames, err);
    status = status == MT_OK ? mt_sql_open(&s->recording->set, frames, &s->sql, err) : status;
    if (status == MT_OK) {
        const struct mt_sql_processes processes = { s->traces->processes, s->traces->process_count, s->traces->unrecorded, mt_run_python, &s->python };
        mt_sql_set_processes(s->sql, &processes);
        mt_sql_set_timeout(s->sql, s->timeout_ns);
    }
    return status;
}

mt_status mt_query_session_open(struct mt_query_session *ret, const struct mt_traces *traces, uint64_t timeout_ns, struct mt_error *err)
{
    *ret = (struct mt_query_session){ .traces = traces, .timeout_ns = timeout_ns, .python.timeout_ns = timeout_ns > 0 ? timeout_ns : PYTHON_NS };
    mt_status status = mt_recording_make(traces->paths.items, traces->paths.count, &ret->recording, err);
    return status == MT_OK ? open_sql(ret, err) : status;
}

static bool is_live(const struct mt_query_session *s)
{
    const struct mt_trace_set *set = &s->recording->set;
    bool live = s->traces->process_count > 0;
    for (size_t i = 0; i < set->count; i++) {
        live = live || mt_trace_info(set->traces[i])->state == MT_STATE_RECORDING;
    }
    return live;
}

mt_status mt_query_session_refresh(struct mt_query_session *s, struct mt_error *err)
{
    if (!is_live(s)) {
        return MT_OK;
    }
    struct mt_sql *old = s->sql; /* it borrows what is made anew */
    s->sql = NULL;
    s->notes_said = 0;
    mt_sql_close(old);
    mt_status status = mt_recording_refresh(s->recording, true, err);
    return status == MT_OK ? open_sql(s, err) : status;
}

void mt_query_session_say(struct mt_query_session *s)
{
    struct mt_strlist losses = { 0 };
    const struct mt_strlist *notes = mt_sql_notes(s->sql);
    for (; s->notes_said < notes->count; s->notes_said++) {
        mt_say("memtap: note: %s", notes->items[s->notes_said]);
    }
    mt_report_loss_warnings(mt_sql_losses(s->sql), &losses);
    for (size_t i = 0; i < losses.count; i++) {
        mt_say("memtap: note: %s", losses.items[i]);
    }
    mt_strlist_clear(&losses);
    if (s->python.held_gil_ns > 0) {
        mt_say("memtap: note: the process could run no Python for %.1f ms while it was asked", (double)s->python.held_gil_ns / 1e6);
        s->python.held_gil_ns = 0;
    }
}

void mt_query_session_close(struct mt_query_session *s)
{
    mt_sql_close(s->sql);
    mt_recording_free(s->recording);
    *s = (struct mt_query_session){ 0 };
}
