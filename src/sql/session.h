/* session.h: what the parts of sql/ share. Private to sql/.
 *
 * Decides: analyses are made once a session; texts that rows point to live as long as it. A stack_id is a trace's place in the set
 * and its stack number, so that those of several processes do not mix; of the first trace it is the plain number. Context: [tool].
 */
#ifndef MT_SQL_SESSION_H
#define MT_SQL_SESSION_H

#include "analysis/analysis.h"
#include "model/axis.h"
#include "model/place.h"
#include "sql/sql.h"
#include "util/strlist.h"

struct sqlite3;

/* Where a stack's memory belongs; texts are the session's. */
struct mt_sql_place {
    const char *function, *file;
    uint64_t line;
};

/* A thread that the trace does not name has no number (a cell that is not known). */
#define MT_SQL_NO_THREAD UINT64_MAX

struct mt_sql {
    const struct mt_trace_set *set;
    struct mt_frames *frames;
    struct mt_places *places;
    struct mt_axis axis;
    struct sqlite3 *db;
    uint64_t tables_made, views_made; /* bits of those of the catalog that are there */
    bool building; /* tables are made: everything is allowed */
    uint32_t **place_of; /* of each trace, of each stack: 1 + place; 0 not asked yet */
    struct mt_sql_place *found;
    size_t found_count, found_capacity;
    struct mt_analysis analysis, with_timeline; /* made by need */
    bool analyzed, timeline_made;
    struct mt_cursor_losses losses; /* the most that a reading of events came upon */
    struct mt_strlist texts; /* owned, that rows point to */
    struct mt_sql_processes processes;
    struct mt_strlist notes;
    void **old_rows; /* malloc'ed, of tables that were made again */
    size_t old_count, old_capacity;
    int interrupted;    /* set by whoever wants the query to end */
    bool timed_out;
    bool (*asked)(void *context); /* mt_sql_set_question */
    void *asked_context;
    uint64_t timeout_ns, deadline_ns;
};

/* Has the query to end? For loops that take long. */
bool mt_sql_should_stop(struct mt_sql *sql);
/* That as mt_blocks_visit and mt_analysis_options ask it. */
bool mt_sql_goes_on(void *sql, uint64_t done, uint64_t total);

/* Says it once. */
void mt_sql_note(struct mt_sql *sql, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Processes that run: those of traces that are being written, then those asked for that have none. malloc'ed. */
pid_t *mt_sql_live_pids(const struct mt_sql *sql, size_t *ret_count);

/* A reading of events has come upon these. */
void mt_sql_note_losses(struct mt_sql *sql, const struct mt_cursor_losses *losses);

/* The analysis of the whole, once made. NULL: *ret_status says why. */
const struct mt_analysis *mt_sql_analysis(struct mt_sql *sql, bool timeline, mt_status *ret_status);
/* A time as a table function's argument has it: seconds from the start, "50%", "peak", "end" …, ns on the run's axis.
 * MT_E_INVAL with a sentence. */
mt_status mt_sql_time(struct mt_sql *sql, const char *text, uint64_t *ret_ns, struct mt_error *err) MT_CHECKED;
/* Such a time, of which it can be told what was alive then; MT_E_INVAL where a trace has its horizon later. */
mt_status mt_sql_time_known(struct mt_sql *sql, const char *text, uint64_t *ret_ns, struct mt_error *err) MT_CHECKED;

/* Takes malloc'ed rows that a cursor may still be on. */
void mt_sql_keep_rows(struct mt_sql *sql, void *rows);
/* Takes a malloc'ed text; returns it. */
const char *mt_sql_keep(struct mt_sql *sql, char *text);
const char *mt_sql_thread_name(struct mt_sql *sql, uint32_t trace_idx, uint32_t stream, uint64_t *ret_tid);
const char *mt_sql_label(struct mt_sql *sql, uint32_t trace_idx, uint32_t label); /* NULL: none */
uint64_t mt_sql_pid(const struct mt_sql *sql, uint32_t trace_idx);
struct mt_sql_place mt_sql_place_of(struct mt_sql *sql, uint32_t trace_idx, uint32_t stack);

MT_INLINE uint64_t mt_sql_stack_id(uint32_t trace_idx, uint32_t stack)
{
    return (uint64_t)trace_idx << 32 | stack;
}
/* False: there is no such stack. */
bool mt_sql_stack_of(const struct mt_sql *sql, int64_t stack_id, uint32_t *ret_trace_idx, uint32_t *ret_stack);

#endif
