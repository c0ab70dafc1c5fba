/* sql.c: see sql.h: the connection and the query. */
#include "sql/sql.h"

#include "base/atomic.h"
#include "base/os.h"
#include "sql/dialect.h"
#include "sql/functions.h"
#include "sql/hint.h"
#include "sql/session.h"
#include "sql/vtable.h"
#include "util/memory.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_A_QUESTION = 2000 };

struct mt_sql_rows {
    struct mt_sql *sql;
    sqlite3_stmt *statement;
    int *shown; /* of each column that is: its place in the statement's */
    size_t shown_count;
};

/* ---- open --------------------------------------------------------------------------------------------------------- */

static int authorize(void *context, int action, const char *a, const char *b, const char *c, const char *d)
{
    const struct mt_sql *sql = context;
    (void)a;
    (void)c;
    (void)d;
    if (sql->building) {
        return SQLITE_OK;
    }
    if (action == SQLITE_FUNCTION) {
        return strcmp(b, "load_extension") == 0 || strcmp(b, "fts3_tokenizer") == 0 ? SQLITE_DENY : SQLITE_OK;
    }
    return action == SQLITE_SELECT || action == SQLITE_READ || action == SQLITE_RECURSIVE ? SQLITE_OK : SQLITE_DENY;
}

static int ask_whether_to_stop(void *context)
{
    return mt_sql_should_stop(context);
}

static mt_status connect_db(struct mt_sql *sql, struct mt_error *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(":memory:", &sql->db, flags, NULL) != SQLITE_OK) {
        return mt_error_set(err, MT_E_NOMEM, "cannot begin SQLite: %s", sqlite3_errmsg(sql->db));
    }
    (void)sqlite3_db_config(sql->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(sql->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL); /* "x" is a name, never a text */
    mt_status status = mt_sql_add_functions(sql);
    status = status == MT_OK ? mt_sql_add_stack_functions(sql) : status;
    if (status != MT_OK) {
        return mt_error_set(err, status, "cannot begin SQLite: %s", mt_status_text(status));
    }
    status = mt_sql_prepare_tables(sql, err);
    (void)sqlite3_set_authorizer(sql->db, authorize, sql);
    sqlite3_progress_handler(sql->db, STEPS_A_QUESTION, ask_whether_to_stop, sql);
    return status;
}

mt_status mt_sql_open(const struct mt_trace_set *set, struct mt_frames *frames, struct mt_sql **ret, struct mt_error *err)
{
    struct mt_sql *sql = mt_alloc_zero(1, sizeof *sql);
    sql->set = set;
    sql->frames = frames;
    sql->places = mt_places_new(frames, NULL);
    sql->place_of = mt_alloc_zero(set->count + 1, sizeof *sql->place_of);
    mt_axis_make(set, &sql->axis);
    mt_status status = connect_db(sql, err);
    if (status != MT_OK) {
        mt_sql_close(sql);
        return status;
    }
    *ret = sql;
    return MT_OK;
}

void mt_sql_close(struct mt_sql *sql)
{
    if (sql == NULL) {
        return;
    }
    (void)sqlite3_close_v2(sql->db);
    for (size_t i = 0; i < sql->set->count; i++) {
        free(sql->place_of[i]);
    }
    for (size_t i = 0; i < sql->old_count; i++) {
        free(sql->old_rows[i]);
    }
    free(sql->old_rows);
    free(sql->place_of);
    free(sql->found);
    mt_places_free(sql->places);
    mt_analysis_fini(&sql->analysis);
    mt_analysis_fini(&sql->with_timeline);
    mt_axis_fini(&sql->axis);
    mt_strlist_clear(&sql->texts);
    mt_strlist_clear(&sql->notes);
    free(sql);
}

/* ---- a query ------------------------------------------------------------------------------------------------------ */

static mt_status explain_end(struct mt_sql *sql, struct mt_error *err)
{
    return sql->timed_out ? mt_error_set(err, MT_E_INTERRUPTED, "the query took longer than its time (--timeout)")
                          : mt_error_set(err, MT_E_INTERRUPTED, "the query was interrupted");
}

/* What SQLite says of the text, with the place in what was asked. */
static mt_status explain(struct mt_sql *sql, int code, const struct mt_sql_text *text, const char *asked, struct mt_error *err)
{
    int at = text != NULL ? sqlite3_error_offset(sql->db) : -1;
    if (code == SQLITE_INTERRUPT) {
        return explain_end(sql, err);
    }
    if (code == SQLITE_NOMEM) {
        return mt_error_set(err, MT_E_NOMEM, "out of memory");
    }
    bool known = at >= 0 && text != NULL && (size_t)at <= text->bytes;
    return mt_sql_explain(sqlite3_errmsg(sql->db), asked, known ? text->origin[at] : SIZE_MAX, err);
}

static void choose_columns(struct mt_sql_rows *rows)
{
    int count = sqlite3_column_count(rows->statement);
    rows->shown = mt_alloc(((size_t)count + 1) * sizeof *rows->shown);
    for (int i = 0; i < count; i++) {
        if (strncmp(sqlite3_column_name(rows->statement, i), MT_SQL_HELPER, sizeof MT_SQL_HELPER - 1) != 0) {
            rows->shown[rows->shown_count++] = i;
        }
    }
}

/* Only one statement, and that it is one. */
static mt_status check_rest(const struct mt_sql_text *text, const char *rest, sqlite3_stmt *statement, struct mt_error *err)
{
    size_t end = (size_t)(rest - text->text);
    for (size_t i = 0; i < text->count; i++) {
        if (text->tokens[i].at >= end && !mt_token_is(text, i, ";")) {
            return mt_error_set(err, MT_E_INVAL, "one statement at a time: something follows the first ;");
        }
    }
    return statement != NULL ? MT_OK : mt_error_set(err, MT_E_INVAL, "there is no query: SELECT …, SHOW TABLES or DESCRIBE TABLE");
}

static mt_status prepare(struct mt_sql *sql, const struct mt_sql_text *text, const char *asked, sqlite3_stmt **ret, struct mt_error *err)
{
    const char *rest;
    int code = sqlite3_prepare_v2(sql->db, text->text, -1, ret, &rest);
    if (code != SQLITE_OK) {
        return explain(sql, code, text, asked, err);
    }
    mt_status status = check_rest(text, rest, *ret, err);
    if (status != MT_OK) {
        (void)sqlite3_finalize(*ret);
    }
    return status;
}

mt_status mt_sql_ask(struct mt_sql *sql, const char *asked, struct mt_sql_rows **ret, struct mt_error *err)
{
    struct mt_sql_text text;
    sqlite3_stmt *statement;
    if (strlen(asked) > INT32_MAX / 4) {
        return mt_error_set(err, MT_E_INVAL, "the query is longer than 512 MiB");
    }
    mt_store_relaxed(&sql->interrupted, 0);
    sql->timed_out = false;
    sql->deadline_ns = sql->timeout_ns > 0 ? mt_os_monotonic_ns() + sql->timeout_ns : 0;
    mt_sql_text_init(&text, asked);
    mt_sql_translate(&text);
    sql->building = true;
    mt_status status = mt_sql_create_tables(sql, &text, err);
    sql->building = false;
    status = status == MT_OK ? prepare(sql, &text, asked, &statement, err) : status;
    mt_sql_text_fini(&text);
    if (status == MT_OK) {
        struct mt_sql_rows *rows = mt_alloc_zero(1, sizeof *rows);
        rows->sql = sql;
        rows->statement = statement;
        choose_columns(rows);
        *ret = rows;
    }
    return status;
}

mt_status mt_sql_next(struct mt_sql_rows *rows, bool *ret_row, struct mt_error *err)
{
    int code = sqlite3_step(rows->statement);
    *ret_row = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? MT_OK : explain(rows->sql, code, NULL, "", err);
}

void mt_sql_rows_free(struct mt_sql_rows *rows)
{
    if (rows != NULL) {
        (void)sqlite3_finalize(rows->statement);
        free(rows->shown);
        free(rows);
    }
}

size_t mt_sql_column_count(const struct mt_sql_rows *rows)
{
    return rows->shown_count;
}

const char *mt_sql_column_name(const struct mt_sql_rows *rows, size_t column)
{
    return sqlite3_column_name(rows->statement, rows->shown[column]);
}

struct mt_sql_value mt_sql_value(const struct mt_sql_rows *rows, size_t column)
{
    sqlite3_stmt *s = rows->statement;
    int i = rows->shown[column];
    switch (sqlite3_column_type(s, i)) {
    case SQLITE_INTEGER:
        return (struct mt_sql_value){ .type = MT_SQL_INTEGER, .integer = sqlite3_column_int64(s, i) };
    case SQLITE_FLOAT:
        return (struct mt_sql_value){ .type = MT_SQL_REAL, .real = sqlite3_column_double(s, i) };
    case SQLITE_NULL:
        return (struct mt_sql_value){ .type = MT_SQL_NULL };
    default: /* a BLOB is shown as text */
        return (struct mt_sql_value){ .type = MT_SQL_TEXT,
                                      .text = (const char *)sqlite3_column_text(s, i),
                                      .bytes = (size_t)sqlite3_column_bytes(s, i) };
    }
}
