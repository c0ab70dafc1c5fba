/* query_session.h: targets that queries are asked about, one after the other. Internal to cli/. Context: [tool]. */
#ifndef MT_CLI_QUERY_SESSION_H
#define MT_CLI_QUERY_SESSION_H

#include "cli/run_python.h"
#include "cli/traces.h"
#include "reader/reports.h"
#include "sql/sql.h"

struct mt_query_session {
    const struct mt_traces *traces; /* borrowed */
    struct mt_recording *recording;
    struct mt_sql *sql;
    struct mt_run_python python;
    uint64_t timeout_ns; /* of a query; 0: none */
    size_t notes_said;
};

/* MT_E_* with a sentence; ret to close whatever is returned. */
mt_status mt_query_session_open(struct mt_query_session *ret, const struct mt_traces *traces, uint64_t timeout_ns, struct mt_error *err) MT_CHECKED;
/* Looks anew at traces that grow and processes that run. */
mt_status mt_query_session_refresh(struct mt_query_session *session, struct mt_error *err) MT_CHECKED;
/* What is to be said of the answers so far and was not. */
void mt_query_session_say(struct mt_query_session *session);
void mt_query_session_close(struct mt_query_session *session);

#endif
