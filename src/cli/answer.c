/* answer.c: see answer.h. */
#include "cli/answer.h"

#include "cli/answer_table.h"
#include "util/grid.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

/* ---- JSON --------------------------------------------------------------------------------------------------------- */

static void put_value(struct mt_json *json, const struct mt_sql_value *value)
{
    switch (value->type) {
    case MT_SQL_INTEGER:
        mt_json_s64(json, value->integer);
        break;
    case MT_SQL_REAL:
        mt_json_double(json, value->real);
        break;
    case MT_SQL_TEXT:
        mt_json_bytes(json, value->text, value->bytes);
        break;
    case MT_SQL_NULL:
    default:
        mt_json_null(json);
        break;
    }
}

static void put_object(struct mt_json *json, const struct mt_sql_rows *rows)
{
    mt_json_object(json);
    for (size_t i = 0; i < mt_sql_column_count(rows); i++) {
        struct mt_sql_value value = mt_sql_value(rows, i);
        mt_json_key_text(json, mt_sql_column_name(rows, i));
        put_value(json, &value);
    }
    mt_json_object_end(json);
}

static mt_status write_json(struct mt_out *out, struct mt_sql_rows *rows, struct mt_error *err)
{
    struct mt_json json;
    bool more = false;
    mt_status status = mt_sql_next(rows, &more, err);
    if (status != MT_OK) {
        return status;
    }
    mt_json_init(&json, out, 1);
    mt_json_array(&json);
    for (; more && !mt_out_failed(out); status = mt_sql_next(rows, &more, err)) {
        put_object(&json, rows);
    }
    mt_json_array_end(&json);
    mt_out_byte(out, '\n');
    return status;
}

static mt_status write_lines(struct mt_out *out, struct mt_sql_rows *rows, struct mt_error *err)
{
    bool more = false;
    mt_status status;
    while ((status = mt_sql_next(rows, &more, err)) == MT_OK && more && !mt_out_failed(out)) {
        struct mt_json json;
        mt_json_init(&json, out, 0);
        put_object(&json, rows);
        mt_out_byte(out, '\n');
    }
    return status;
}

/* ---- CSV ---------------------------------------------------------------------------------------------------------- */

static void put_field(struct mt_out *out, const struct mt_sql_value *value)
{
    if (value->type == MT_SQL_TEXT) {
        mt_csv_field(out, value->text);
    } else if (value->type != MT_SQL_NULL) {
        struct mt_json number;
        mt_json_init(&number, out, 0);
        put_value(&number, value);
    }
}

static void put_names(struct mt_out *out, const struct mt_sql_rows *rows)
{
    for (size_t i = 0; i < mt_sql_column_count(rows); i++) {
        mt_out_string(out, i > 0 ? "," : "");
        mt_csv_field(out, mt_sql_column_name(rows, i));
    }
    mt_out_string(out, "\r\n");
}

static mt_status write_csv(struct mt_out *out, struct mt_sql_rows *rows, struct mt_error *err)
{
    bool more = false;
    mt_status status = mt_sql_next(rows, &more, err);
    if (status == MT_OK) {
        put_names(out, rows);
    }
    for (; status == MT_OK && more && !mt_out_failed(out); status = mt_sql_next(rows, &more, err)) {
        for (size_t i = 0; i < mt_sql_column_count(rows); i++) {
            struct mt_sql_value value = mt_sql_value(rows, i);
            mt_out_string(out, i > 0 ? "," : "");
            put_field(out, &value);
        }
        mt_out_string(out, "\r\n");
    }
    return status;
}

mt_status mt_answer_write(struct mt_out *out, struct mt_sql_rows *rows, enum mt_format format, struct mt_error *err)
{
    switch (format) {
    case MT_FORMAT_JSON:
        return write_json(out, rows, err);
    case MT_FORMAT_NDJSON:
        return write_lines(out, rows, err);
    case MT_FORMAT_CSV:
        return write_csv(out, rows, err);
    case MT_FORMAT_TABLE:
    default:
        return mt_answer_write_table(out, rows, err);
    }
}

/* ---- descriptions of tables --------------------------------------------------------------------------------------- */

enum { DESCRIBED_SCHEMA, DESCRIBED_TABLE, DESCRIBED_COLUMN, DESCRIBED_TYPE, DESCRIBED_UNIT, DESCRIBED_ABOUT, DESCRIBED_TABLE_ABOUT };

static const char *text_of(const struct mt_sql_rows *rows, size_t column)
{
    struct mt_sql_value value = mt_sql_value(rows, column);
    return value.type == MT_SQL_TEXT ? value.text : "";
}

static void put_described(struct mt_out *out, const struct mt_sql_rows *rows, char **table)
{
    enum { ABOUT_INDENT = 4, COLUMN_INDENT = 42 };
    char *name = mt_format("%s.%s", text_of(rows, DESCRIBED_SCHEMA), text_of(rows, DESCRIBED_TABLE));
    if (*table == NULL || strcmp(*table, name) != 0) {
        char *head = mt_format("%s%s: %s\n", *table != NULL ? "\n" : "", name, text_of(rows, DESCRIBED_TABLE_ABOUT));
        mt_terminal_wrap(out, head, ABOUT_INDENT);
        free(head);
        free(*table);
        *table = name;
    } else {
        free(name);
    }
    char *line = mt_format("    %-20s %-7s %-7s  %s\n", text_of(rows, DESCRIBED_COLUMN), text_of(rows, DESCRIBED_TYPE),
                           text_of(rows, DESCRIBED_UNIT), text_of(rows, DESCRIBED_ABOUT));
    mt_terminal_wrap(out, line, COLUMN_INDENT);
    free(line);
}

mt_status mt_answer_write_tables(struct mt_out *out, struct mt_sql_rows *rows, struct mt_error *err)
{
    char *table = NULL;
    bool more = false;
    mt_status status;
    while ((status = mt_sql_next(rows, &more, err)) == MT_OK && more) {
        put_described(out, rows, &table);
    }
    free(table);
    return status;
}
