/* vtable.c: see vtable.h. */
#include "sql/vtable.h"

#include "sql/catalog.h"
#include "sql/grouped.h"
#include "sql/plan.h"
#include "util/memory.h"
#include "util/out.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

struct vtable {
    sqlite3_vtab base;
    struct mt_sql *sql;
    const struct mt_sql_table *table;
    const struct mt_table *rows_of;
    int sorted; /* column, -1 none */
    int argument_count;
    struct mt_sql_batch batch; /* of a table without arguments */
    uint64_t filled;           /* columns that its rows have */
    bool loaded;
};

struct vcursor {
    sqlite3_vtab_cursor base;
    struct mt_sql_batch own; /* of a table function */
    char *arguments[MT_SQL_ARGUMENTS_MAX];
    const char *rows;
    size_t first, count; /* of the rows that are given */
    size_t at;
    uint32_t *order; /* their numbers, where they are given in groups; else NULL */
    struct mt_sql_chosen chosen;
};

static struct vtable *vtable_of(sqlite3_vtab *base)
{
    return (struct vtable *)(void *)base;
}

/* ---- create ------------------------------------------------------------------------------------------------------- */

static char *declaration(const struct mt_sql_table *t)
{
    static const char *const types[] = { "INTEGER", "INTEGER", "REAL", "TEXT" };
    const struct mt_table *d = t->describe();
    struct mt_out *out = mt_out_open_memory();
    mt_out_string(out, "CREATE TABLE x(");
    for (size_t i = 0; i < d->column_count; i++) {
        mt_out_print(out, "%s\"%s\" %s", i > 0 ? "," : "", d->columns[i].name, types[d->columns[i].type]);
    }
    for (int i = 0; i < MT_SQL_ARGUMENTS_MAX && t->arguments[i] != NULL; i++) {
        mt_out_print(out, ",\"%s\" HIDDEN", t->arguments[i]);
    }
    mt_out_string(out, ")");
    char *text = mt_strdup(mt_out_text(out, NULL));
    mt_out_discard(out);
    return text;
}

static int column_named(const struct mt_table *d, const char *name)
{
    for (size_t i = 0; name != NULL && i < d->column_count; i++) {
        if (strcmp(d->columns[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* argv: module, schema, name. */
static int vtable_create(sqlite3 *db, void *context, int argc, const char *const *argv, sqlite3_vtab **ret, char **ret_error)
{
    const struct mt_sql_table *t = mt_sql_tables;
    (void)argc;
    (void)ret_error;
    while (t->describe != NULL && (strcmp(t->schema, argv[1]) != 0 || strcmp(t->name, argv[2]) != 0)) {
        t++;
    }
    if (t->describe == NULL) {
        return SQLITE_ERROR;
    }
    char *text = declaration(t);
    int code = sqlite3_declare_vtab(db, text);
    free(text);
    if (code == SQLITE_OK) {
        struct vtable *v = mt_alloc_zero(1, sizeof *v);
        v->sql = context;
        v->table = t;
        v->rows_of = t->describe();
        v->sorted = column_named(v->rows_of, t->sorted);
        while (v->argument_count < MT_SQL_ARGUMENTS_MAX && t->arguments[v->argument_count] != NULL) {
            v->argument_count++;
        }
        (void)sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
        *ret = &v->base;
    }
    return code;
}

static int vtable_destroy(sqlite3_vtab *base)
{
    struct vtable *v = vtable_of(base);
    free(v->batch.rows);
    free(v);
    return SQLITE_OK;
}

/* ---- plan --------------------------------------------------------------------------------------------------------- */

static int vtable_best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
    const struct vtable *v = vtable_of(base);
    struct mt_sql_plan_of of = { .column_count = (int)v->rows_of->column_count,
                                 .argument_count = v->argument_count,
                                 .sorted = v->sorted,
                                 .rows = v->loaded ? (double)v->batch.count + 1 : 1e6 };
    return mt_sql_plan(&of, info);
}

/* ---- rows --------------------------------------------------------------------------------------------------------- */

static int fail(struct vtable *v, const struct mt_error *err, mt_status status)
{
    sqlite3_free(v->base.zErrMsg);
    v->base.zErrMsg = sqlite3_mprintf("%s", err->status != MT_OK ? mt_error_text(err) : mt_status_text(status));
    return status == MT_E_INTERRUPTED ? SQLITE_INTERRUPT : status == MT_E_NOMEM ? SQLITE_NOMEM : SQLITE_ERROR;
}

static int load(struct vtable *v, struct mt_sql_batch *batch, char *const *arguments, uint64_t used, uint64_t *ret_filled)
{
    struct mt_error err = { 0 };
    struct mt_sql_load l = { .sql = v->sql, .tables = mt_sql_tables, .views = mt_sql_views, .used = used, .filled = UINT64_MAX,
                             .batch = batch, .row_bytes = v->rows_of->row_bytes, .err = &err };
    for (int i = 0; i < v->argument_count; i++) {
        l.arguments[i] = arguments[i];
    }
    batch->count = 0;
    if (v->table->source == MT_SQL_OF_TRACE && v->sql->processes.unrecorded != 0) {
        int pid = (int)v->sql->processes.unrecorded;
        mt_sql_note(v->sql, "process %d is not recorded, so that %s.%s has no rows of it; `memtap attach %d` begins a recording from now on", pid,
                    v->table->schema, v->table->name, pid);
    }
    mt_status status = v->table->load(&l);
    if (status != MT_OK) {
        batch->count = 0;
        return fail(v, &err, status);
    }
    *ret_filled = l.filled;
    return SQLITE_OK;
}

/* The rows of a table are made once, and again when a query uses columns that they lack; a cursor may be on the older ones then. */
static int load_table(struct vtable *v, uint64_t used)
{
    if (v->loaded && (used & ~v->filled) == 0) {
        return SQLITE_OK;
    }
    struct mt_sql_batch batch = { 0 };
    uint64_t filled = 0;
    int code = load(v, &batch, NULL, used | v->filled, &filled);
    if (code != SQLITE_OK) {
        free(batch.rows);
        return code;
    }
    if (v->loaded) {
        mt_sql_keep_rows(v->sql, v->batch.rows);
    }
    v->batch = batch;
    v->loaded = true;
    v->filled = filled;
    return SQLITE_OK;
}

static bool same_arguments(const struct vcursor *c, const struct vtable *v, char *const *arguments)
{
    for (int i = 0; i < v->argument_count; i++) {
        if (c->arguments[i] == NULL || arguments[i] == NULL || strcmp(c->arguments[i], arguments[i]) != 0) {
            return false;
        }
    }
    return c->own.rows != NULL;
}

static int load_function(struct vtable *v, struct vcursor *c, char **arguments)
{
    if (same_arguments(c, v, arguments)) {
        return SQLITE_OK;
    }
    for (int i = 0; i < v->argument_count; i++) {
        free(c->arguments[i]);
        c->arguments[i] = arguments[i];
        arguments[i] = NULL;
    }
    uint64_t filled;
    return load(v, &c->own, c->arguments, c->chosen.used, &filled);
}

/* A number is compared exactly: long double has 64 bits of it. */
static long double cell_number(const struct vtable *v, const struct vcursor *c, size_t row)
{
    const struct mt_column *column = &v->rows_of->columns[v->sorted];
    const void *at = c->rows + row * v->rows_of->row_bytes;
    return column->type == MT_COLUMN_F64   ? (long double)mt_column_f64(column, at)
           : column->type == MT_COLUMN_U64 ? (long double)mt_column_u64(column, at)
                                           : (long double)mt_column_s64(column, at);
}

/* The first row that is not below the value; after: that is above it. */
static size_t find_row(const struct vtable *v, const struct vcursor *c, long double value, bool after)
{
    size_t low = c->first, high = c->first + c->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        long double cell = cell_number(v, c, middle);
        bool is_below = after ? cell <= value : cell < value;
        low = is_below ? middle + 1 : low;
        high = is_below ? high : middle;
    }
    return low;
}

static void narrow(const struct vtable *v, struct vcursor *c, char letter, sqlite3_value *value)
{
    int type = sqlite3_value_numeric_type(value);
    bool upwards = letter == MT_PLAN_ABOVE || letter == MT_PLAN_FROM, downwards = letter == MT_PLAN_BELOW || letter == MT_PLAN_TO;
    if (type != SQLITE_INTEGER && type != SQLITE_FLOAT) {
        c->count = downwards && type != SQLITE_NULL ? c->count : 0; /* texts are above all numbers, nothing compares with NULL */
        return;
    }
    long double number = type == SQLITE_INTEGER ? (long double)sqlite3_value_int64(value) : (long double)sqlite3_value_double(value);
    size_t low = downwards ? c->first : find_row(v, c, number, letter == MT_PLAN_ABOVE);
    size_t high = upwards ? c->first + c->count : find_row(v, c, number, letter != MT_PLAN_BELOW);
    c->first = low;
    c->count = high > low ? high - low : 0;
}

static bool is_argument(char letter)
{
    return letter >= '0' && letter < '0' + MT_SQL_ARGUMENTS_MAX;
}

static void take_arguments(const char *letters, sqlite3_value **argv, char *arguments[MT_SQL_ARGUMENTS_MAX])
{
    for (int i = 0; letters[i] != '\0'; i++) {
        const char *text = is_argument(letters[i]) ? (const char *)sqlite3_value_text(argv[i]) : NULL;
        if (text != NULL && arguments[letters[i] - '0'] == NULL) {
            arguments[letters[i] - '0'] = mt_strdup(text);
        }
    }
}

static int make_rows(struct vtable *v, struct vcursor *c, sqlite3_value **argv)
{
    char *arguments[MT_SQL_ARGUMENTS_MAX] = { NULL };
    take_arguments(c->chosen.letters, argv, arguments);
    int code = v->argument_count > 0 ? load_function(v, c, arguments) : load_table(v, c->chosen.used);
    for (int i = 0; i < MT_SQL_ARGUMENTS_MAX; i++) {
        free(arguments[i]);
    }
    return code;
}

static int vtable_filter(sqlite3_vtab_cursor *base, int number, const char *text, int argc, sqlite3_value **argv)
{
    struct vcursor *c = (struct vcursor *)(void *)base;
    struct vtable *v = vtable_of(base->pVtab);
    mt_sql_chosen_read(number, text, &c->chosen);
    int code = make_rows(v, c, argv);
    if (code != SQLITE_OK) {
        return code;
    }
    const struct mt_sql_batch *batch = v->argument_count > 0 ? &c->own : &v->batch;
    c->rows = batch->rows;
    c->first = 0;
    c->count = batch->count;
    for (int i = 0; i < argc; i++) {
        if (!is_argument(c->chosen.letters[i])) {
            narrow(v, c, c->chosen.letters[i], argv[i]);
        }
    }
    free(c->order);
    c->order = c->chosen.group_count > 0
                   ? mt_sql_group(v->rows_of, c->rows, c->first, c->count, c->chosen.group, c->chosen.group_count) : NULL;
    c->at = 0;
    return SQLITE_OK;
}

static int vtable_open(sqlite3_vtab *base, sqlite3_vtab_cursor **ret)
{
    struct vcursor *c = mt_alloc_zero(1, sizeof *c);
    (void)base;
    *ret = &c->base;
    return SQLITE_OK;
}

static int vtable_close(sqlite3_vtab_cursor *base)
{
    struct vcursor *c = (struct vcursor *)(void *)base;
    for (int i = 0; i < MT_SQL_ARGUMENTS_MAX; i++) {
        free(c->arguments[i]);
    }
    free(c->own.rows);
    free(c->order);
    free(c);
    return SQLITE_OK;
}

static int vtable_next(sqlite3_vtab_cursor *base)
{
    ((struct vcursor *)(void *)base)->at++;
    return SQLITE_OK;
}

static int vtable_eof(sqlite3_vtab_cursor *base)
{
    const struct vcursor *c = (const struct vcursor *)(const void *)base;
    return c->at >= c->count;
}

static size_t row_number(const struct vcursor *c)
{
    return c->order != NULL ? c->order[c->at] : c->first + (c->chosen.backwards ? c->count - 1 - c->at : c->at);
}

static void give_cell(sqlite3_context *to, const struct mt_column *column, const void *row)
{
    uint64_t u;
    switch (column->type) {
    case MT_COLUMN_U64:
        u = mt_column_u64(column, row);
        if (u <= INT64_MAX) {
            sqlite3_result_int64(to, (sqlite3_int64)u);
        } else if (u != MT_NULL_U64) {
            sqlite3_result_double(to, (double)u);
        }
        break;
    case MT_COLUMN_S64:
        if (mt_column_s64(column, row) != MT_NULL_S64) {
            sqlite3_result_int64(to, mt_column_s64(column, row));
        }
        break;
    case MT_COLUMN_F64:
        sqlite3_result_double(to, mt_column_f64(column, row)); /* NaN is NULL */
        break;
    case MT_COLUMN_TEXT:
    default:
        if (mt_column_text(column, row) != NULL) {
            sqlite3_result_text(to, mt_column_text(column, row), -1, SQLITE_STATIC);
        }
        break;
    }
}

static int vtable_column(sqlite3_vtab_cursor *base, sqlite3_context *to, int i)
{
    const struct vcursor *c = (const struct vcursor *)(const void *)base;
    const struct vtable *v = vtable_of(base->pVtab);
    if (i < (int)v->rows_of->column_count) {
        give_cell(to, &v->rows_of->columns[i], c->rows + row_number(c) * v->rows_of->row_bytes);
    } else if (c->arguments[i - (int)v->rows_of->column_count] != NULL) {
        sqlite3_result_text(to, c->arguments[i - (int)v->rows_of->column_count], -1, SQLITE_TRANSIENT);
    }
    return SQLITE_OK;
}

static int vtable_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *ret)
{
    *ret = (sqlite3_int64)row_number((const struct vcursor *)(const void *)base);
    return SQLITE_OK;
}

static const sqlite3_module g_module = {
    .iVersion = 1,
    .xCreate = vtable_create,
    .xConnect = vtable_create,
    .xBestIndex = vtable_best_index,
    .xDisconnect = vtable_destroy,
    .xDestroy = vtable_destroy,
    .xOpen = vtable_open,
    .xClose = vtable_close,
    .xFilter = vtable_filter,
    .xNext = vtable_next,
    .xEof = vtable_eof,
    .xColumn = vtable_column,
    .xRowid = vtable_rowid,
};

/* ---- all of them -------------------------------------------------------------------------------------------------- */

static mt_status run(struct mt_sql *sql, struct mt_error *err, char *text)
{
    char *message = NULL;
    int code = sqlite3_exec(sql->db, text, NULL, NULL, &message);
    mt_status status = code == SQLITE_OK ? MT_OK : mt_error_set(err, MT_E_INVAL, "cannot make the tables: %s", message);
    sqlite3_free(message);
    free(text);
    return status;
}

mt_status mt_sql_prepare_tables(struct mt_sql *sql, struct mt_error *err)
{
    static const char *const schemas[] = { "memory", "process", "python", "gpu", "information_schema" };
    mt_status status = sqlite3_create_module(sql->db, "memtap", &g_module, sql) == SQLITE_OK ? MT_OK : MT_E_NOMEM;
    for (size_t i = 0; i < MT_COUNTOF(schemas) && status == MT_OK; i++) {
        status = run(sql, err, mt_format("ATTACH ':memory:' AS %s", schemas[i]));
    }
    return status;
}

/* Is a name among the words of a query, with or without quotes? */
static bool is_named(const struct mt_sql_text *query, const char *name)
{
    for (size_t i = 0; i < query->count; i++) {
        if (mt_token_is_name(query, i, name)) {
            return true;
        }
    }
    return false;
}

static mt_status create_view(struct mt_sql *sql, const struct mt_sql_view *view, struct mt_error *err)
{
    struct mt_sql_text select;
    mt_sql_text_init(&select, view->select);
    mt_status status = mt_sql_create_tables(sql, &select, err); /* of what it selects from */
    mt_sql_text_fini(&select);
    return status == MT_OK ? run(sql, err, mt_format("CREATE TEMP VIEW %s AS %s", view->name, view->select)) : status;
}

mt_status mt_sql_create_tables(struct mt_sql *sql, const struct mt_sql_text *query, struct mt_error *err)
{
    mt_status status = MT_OK;
    for (size_t i = 0; mt_sql_tables[i].describe != NULL && status == MT_OK; i++) {
        const struct mt_sql_table *t = &mt_sql_tables[i];
        if ((sql->tables_made >> i & 1) == 0 && is_named(query, t->name)) {
            sql->tables_made |= (uint64_t)1 << i;
            status = run(sql, err, mt_format("CREATE VIRTUAL TABLE %s.\"%s\" USING memtap", t->schema, t->name));
        }
    }
    for (size_t i = 0; mt_sql_views[i].name != NULL && status == MT_OK; i++) {
        if ((sql->views_made >> i & 1) == 0 && is_named(query, mt_sql_views[i].name)) {
            sql->views_made |= (uint64_t)1 << i;
            status = create_view(sql, &mt_sql_views[i], err);
        }
    }
    return status;
}
