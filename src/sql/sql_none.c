/* sql_none.c: SQL in a build that found no SQLite: it says so. Context: [tool]. */
#include "sql/sql.h"

mt_status mt_sql_open(const struct mt_trace_set *set, struct mt_frames *frames, struct mt_sql **ret, struct mt_error *err)
{
    (void)set;
    (void)frames;
    (void)ret;
    return mt_error_set(err, MT_E_UNSUPPORTED, "this memtap was built without SQLite, so it has no SQL: install libsqlite3-dev and build it anew, "
                        "or ask `memtap table -f json`");
}

void mt_sql_close(struct mt_sql *sql)
{
    (void)sql;
}

void mt_sql_interrupt(struct mt_sql *sql)
{
    (void)sql;
}

void mt_sql_set_timeout(struct mt_sql *sql, uint64_t timeout_ns)
{
    (void)sql;
    (void)timeout_ns;
}

void mt_sql_set_question(struct mt_sql *sql, bool (*interrupted)(void *context), void *context)
{
    (void)sql;
    (void)interrupted;
    (void)context;
}

bool mt_sql_knows(struct mt_sql *sql, const char *time)
{
    (void)sql;
    (void)time;
    return false;
}

double mt_sql_horizon_s(const struct mt_sql *sql)
{
    (void)sql;
    return 0;
}

bool mt_sql_timed_out(const struct mt_sql *sql)
{
    (void)sql;
    return false;
}

mt_status mt_sql_ask(struct mt_sql *sql, const char *text, struct mt_sql_rows **ret, struct mt_error *err)
{
    (void)text;
    (void)ret;
    return mt_sql_open(NULL, NULL, &sql, err);
}

mt_status mt_sql_next(struct mt_sql_rows *rows, bool *ret_row, struct mt_error *err)
{
    struct mt_sql *sql;
    (void)rows;
    *ret_row = false;
    return mt_sql_open(NULL, NULL, &sql, err);
}

void mt_sql_rows_free(struct mt_sql_rows *rows)
{
    (void)rows;
}

size_t mt_sql_column_count(const struct mt_sql_rows *rows)
{
    (void)rows;
    return 0;
}

const char *mt_sql_column_name(const struct mt_sql_rows *rows, size_t column)
{
    (void)rows;
    (void)column;
    return "";
}

struct mt_sql_value mt_sql_value(const struct mt_sql_rows *rows, size_t column)
{
    (void)rows;
    (void)column;
    return (struct mt_sql_value){ .type = MT_SQL_NULL };
}

const struct mt_cursor_losses *mt_sql_losses(const struct mt_sql *sql)
{
    static const struct mt_cursor_losses none;
    (void)sql;
    return &none;
}

void mt_sql_set_processes(struct mt_sql *sql, const struct mt_sql_processes *processes)
{
    (void)sql;
    (void)processes;
}

uint64_t mt_sql_number_of(const struct mt_sql *sql, pid_t pid)
{
    (void)sql;
    return (uint64_t)pid;
}

const struct mt_strlist *mt_sql_notes(const struct mt_sql *sql)
{
    static const struct mt_strlist none;
    (void)sql;
    return &none;
}

bool mt_sql_is_done(const char *text)
{
    (void)text;
    return true;
}
