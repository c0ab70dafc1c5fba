/* sql.h: SQL over traces.
 *
 * Decides: the engine is SQLite, over virtual tables whose rows are those of table/tables.def; what is asked is in a dialect of its
 * own (dialect.h). Nothing can be written, attached or loaded. Rows are made when a table is first read, and kept for the queries
 * that follow. Built without SQLite, everything here fails with a sentence that says so. docs/decisions/0060.
 * Context: [tool], one thread at a time; mt_sql_interrupt from anywhere, signal handlers too.
 */
#ifndef MT_SQL_SQL_H
#define MT_SQL_SQL_H

#include "model/cursor.h"
#include "model/frames.h"
#include "model/trace.h"
#include "util/error.h"
#include "util/strlist.h"

#include <sys/types.h>

struct mt_sql;
struct mt_sql_rows;

/* The set and the resolver of its frames are borrowed until close. */
mt_status mt_sql_open(const struct mt_trace_set *set, struct mt_frames *frames, struct mt_sql **ret, struct mt_error *err) MT_CHECKED;
void mt_sql_close(struct mt_sql *sql); /* after its rows; NULL is fine */
/* Processes that were asked for by their numbers, recorded or not: tables of what a process is now have rows of them, as they have of
 * those whose trace is being written. All borrowed until close. */
struct mt_sql_processes {
    const pid_t *pids;
    size_t count;
    pid_t unrecorded; /* one of them that has no trace in the set; 0: none */
    /* Runs Python in one; *ret_text, malloc'ed: what it printed. A failure has a sentence. NULL: none can be asked. */
    mt_status (*run_python)(void *context, pid_t pid, const char *code, char **ret_text, struct mt_error *err);
    void *context;
};
void mt_sql_set_processes(struct mt_sql *sql, const struct mt_sql_processes *processes);
/* What the rows of such a process have in their column `process`: the number that it has in its trace, if there is one. */
uint64_t mt_sql_number_of(const struct mt_sql *sql, pid_t pid);
/* Sentences about tables that queries have read so far: what they could not know, and how it would be. */
const struct mt_strlist *mt_sql_notes(const struct mt_sql *sql);
/* Can it be told what was alive at a time, as a table function's argument has it? Not before the horizon. */
bool mt_sql_knows(struct mt_sql *sql, const char *time);
/* The horizon of the traces (model/axis.h), in seconds; 0: there is none. */
double mt_sql_horizon_s(const struct mt_sql *sql);
/* The query that runs ends soon with MT_E_INTERRUPTED; without one, the next begins as usual. */
void mt_sql_interrupt(struct mt_sql *sql);
/* Asked now and then while a query runs, from its thread: true ends it as interrupt does. NULL: nobody is. */
void mt_sql_set_question(struct mt_sql *sql, bool (*interrupted)(void *context), void *context);
/* A query ends with MT_E_INTERRUPTED when it has run so long; 0: never. */
void mt_sql_set_timeout(struct mt_sql *sql, uint64_t timeout_ns);
/* Was that why the last one ended? */
bool mt_sql_timed_out(const struct mt_sql *sql);
/* What could not be read of the events that queries have needed so far. */
const struct mt_cursor_losses *mt_sql_losses(const struct mt_sql *sql);

/* Is a text that is being typed done: does it end with a ; outside of texts and comments? */
bool mt_sql_is_done(const char *text);

/* Begins a query of one statement. MT_E_INVAL: it is wrong; the sentence says where and what may have been meant. */
mt_status mt_sql_ask(struct mt_sql *sql, const char *text, struct mt_sql_rows **ret, struct mt_error *err) MT_CHECKED;
/* *ret_row: the next row is there; false: that was the last one. */
mt_status mt_sql_next(struct mt_sql_rows *rows, bool *ret_row, struct mt_error *err) MT_CHECKED;
void mt_sql_rows_free(struct mt_sql_rows *rows); /* NULL is fine */

enum mt_sql_type { MT_SQL_NULL, MT_SQL_INTEGER, MT_SQL_REAL, MT_SQL_TEXT };
struct mt_sql_value {
    enum mt_sql_type type;
    int64_t integer;
    double real;
    const char *text; /* NUL-terminated; until the next row; not clean */
    size_t bytes;
};
size_t mt_sql_column_count(const struct mt_sql_rows *rows);
const char *mt_sql_column_name(const struct mt_sql_rows *rows, size_t column);
struct mt_sql_value mt_sql_value(const struct mt_sql_rows *rows, size_t column);

#endif
