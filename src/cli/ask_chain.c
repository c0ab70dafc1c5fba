/* ask_chain.c: see ask_chain.h: what all questions share, and the peak. */
#include "cli/ask_chain.h"

#include "util/human.h"
#include "util/json.h"
#include "util/memory.h"
#include "util/out.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void mt_ask_row_fini(struct mt_ask_row *row)
{
    for (size_t i = 0; i < row->count; i++) {
        free(row->text[i]);
    }
    *row = (struct mt_ask_row){ 0 };
}

void mt_ask_fini(struct mt_ask *ask)
{
    for (size_t i = 0; i < ask->step_count; i++) {
        free(ask->steps[i].sql);
        free(ask->steps[i].row_json);
    }
    free(ask->steps);
    free(ask->function);
    free(ask->file);
    mt_strlist_clear(&ask->sentences);
    *ask = (struct mt_ask){ 0 };
}

/* ---- queries ------------------------------------------------------------------------------------------------------ */

static void put_cell(struct mt_json *json, const struct mt_sql_value *value)
{
    if (value->type == MT_SQL_INTEGER) {
        mt_json_s64(json, value->integer);
    } else if (value->type == MT_SQL_REAL) {
        mt_json_double(json, value->real);
    } else if (value->type == MT_SQL_TEXT) {
        mt_json_bytes(json, value->text, value->bytes);
    } else {
        mt_json_null(json);
    }
}

/* Takes the cells of the row that is there; *ret_json is it as an object. */
static void take_row(const struct mt_sql_rows *rows, struct mt_ask_row *ret, char **ret_json)
{
    struct mt_out *out = mt_out_open_memory();
    struct mt_json json;
    ret->there = true;
    ret->count = mt_sql_column_count(rows) < MT_ASK_CELLS_MAX ? mt_sql_column_count(rows) : MT_ASK_CELLS_MAX;
    mt_json_init(&json, out, 0);
    mt_json_object(&json);
    for (size_t i = 0; i < ret->count; i++) {
        struct mt_sql_value value = mt_sql_value(rows, i);
        mt_json_key_text(&json, mt_sql_column_name(rows, i));
        put_cell(&json, &value);
        ret->number[i] = value.type == MT_SQL_INTEGER ? (double)value.integer : value.type == MT_SQL_REAL ? value.real : 0;
        ret->text[i] = value.type == MT_SQL_TEXT      ? mt_strndup(value.text, value.bytes)
                       : value.type == MT_SQL_INTEGER ? mt_format("%lld", (long long)value.integer)
                                                      : NULL;
    }
    mt_json_object_end(&json);
    *ret_json = mt_strdup(mt_out_text(out, NULL));
    mt_out_discard(out);
}

struct mt_ask_row mt_ask_for(struct mt_ask *ask, const char *format, ...)
{
    struct mt_ask_row row = { 0 };
    struct mt_sql_rows *rows = NULL;
    char *sql = NULL, *json = NULL;
    bool more = false;
    va_list args;
    if (ask->err.status != MT_OK) {
        return row;
    }
    va_start(args, format);
    int bytes = vasprintf(&sql, format, args);
    va_end(args);
    if (bytes < 0) {
        (void)mt_error_set(&ask->err, MT_E_NOMEM, "out of memory");
        return row;
    }
    mt_status status = mt_sql_ask(ask->session->sql, sql, &rows, &ask->err);
    status = status == MT_OK ? mt_sql_next(rows, &more, &ask->err) : status;
    if (status == MT_OK && more) {
        take_row(rows, &row, &json);
    }
    mt_sql_rows_free(rows);
    ask->steps = mt_alloc_grow(ask->steps, &ask->step_capacity, ask->step_count + 1, sizeof *ask->steps);
    ask->steps[ask->step_count++] = (struct mt_ask_step){ mt_strdup(sql), json };
    free(sql);
    return row;
}

char *mt_ask_quoted(const char *text)
{
    if (text == NULL) {
        return mt_strdup("NULL");
    }
    char *quoted = mt_alloc(2 * strlen(text) + 3), *to = quoted;
    *to++ = '\'';
    for (; *text != '\0'; text++) {
        *to++ = *text;
        if (*text == '\'') {
            *to++ = '\'';
        }
    }
    *to++ = '\'';
    *to = '\0';
    return quoted;
}

/* ---- places ------------------------------------------------------------------------------------------------------- */

/* As seen from here. */
static const char *shown_path(const char *path)
{
    static char here[4096];
    size_t bytes = getcwd(here, sizeof here) != NULL ? strlen(here) : 0;
    return bytes > 1 && strncmp(path, here, bytes) == 0 && path[bytes] == '/' ? path + bytes + 1 : path;
}

char *mt_ask_place(const struct mt_ask_row *row, size_t cell)
{
    const char *function = row->text[cell], *file = row->text[cell + 1], *line = row->text[cell + 2];
    return file != NULL && line != NULL ? mt_format("%s:%s (%s)", shown_path(file), line, function != NULL ? function : "?")
                                        : mt_strdup(function != NULL ? function : file != NULL ? file : "an unknown place");
}

void mt_ask_blame(struct mt_ask *ask, const char *cause, const struct mt_ask_row *row, size_t cell, double bytes)
{
    free(ask->function);
    free(ask->file);
    ask->cause = cause;
    ask->function = row->text[cell] != NULL ? mt_strdup(row->text[cell]) : NULL;
    ask->file = row->text[cell + 1] != NULL ? mt_strdup(row->text[cell + 1]) : NULL;
    ask->line = (uint64_t)row->number[cell + 2];
    ask->bytes = bytes;
}

/* ---- the peak ----------------------------------------------------------------------------------------------------- */

/* The next lines at the peak, and what of the first is there at the end. */
static void explain_peak(struct mt_ask *ask, const struct mt_ask_row *top)
{
    char *function = mt_ask_quoted(top->text[0]), *file = mt_ask_quoted(top->text[1]);
    struct mt_ask_row left = mt_ask_for(ask, "SELECT sum(live_bytes) AS bytes FROM memory.sites WHERE function IS %s AND file IS %s AND line IS %s", function, file,
                                        top->text[2] != NULL ? top->text[2] : "NULL");
    struct mt_ask_row next = mt_ask_for(ask, "SELECT function, file, line, bytes, count FROM peak LIMIT 1 OFFSET 1");
    if (left.there) {
        mt_strlist_print(&ask->sentences, left.number[0] > top->number[3] / 2 ? "%s of that are alive at the end: `memtap ask leak` says more."
                                                                              : "%s of that are alive at the end; the rest was freed again.",
                         mt_human_bytes(left.number[0]).text);
    }
    if (next.there) {
        char *place = mt_ask_place(&next, 0);
        mt_strlist_print(&ask->sentences, "Next is %s with %s.", place, mt_human_bytes(next.number[3]).text);
        free(place);
    }
    mt_ask_row_fini(&left);
    mt_ask_row_fini(&next);
    free(function);
    free(file);
}

void mt_ask_peak(struct mt_ask *ask)
{
    struct mt_ask_row total = mt_ask_for(ask, "SELECT sum(bytes) AS bytes FROM peak");
    struct mt_ask_row when = mt_ask_for(ask, "SELECT time_s, heap_max_bytes FROM memory.timeline ORDER BY heap_max_bytes DESC LIMIT 1");
    struct mt_ask_row top = mt_ask_for(ask, "SELECT function, file, line, bytes, count FROM peak LIMIT 1");
    if (ask->err.status == MT_OK && !top.there) {
        ask->cause = "none";
        mt_strlist_print(&ask->sentences, "Nothing was allocated while it was recorded.");
    } else if (ask->err.status == MT_OK) {
        char *place = mt_ask_place(&top, 0);
        mt_ask_blame(ask, "peak", &top, 0, top.number[3]);
        mt_strlist_print(&ask->sentences, "At the peak of the heap, %.1f s in, %s of %s were held by %s.", when.number[0], mt_human_bytes(top.number[3]).text,
                         mt_human_bytes(total.number[0]).text, place);
        free(place);
        explain_peak(ask, &top);
    }
    mt_ask_row_fini(&total);
    mt_ask_row_fini(&when);
    mt_ask_row_fini(&top);
}
