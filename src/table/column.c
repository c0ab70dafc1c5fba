/* column.c: see column.h. Context: [tool]. */
#include "table/column.h"

/* ---- one value -------------------------------------------------------------------------------------------------- */

bool mt_column_is_known(const struct mt_column *column, const void *row)
{
    switch (column->type) {
    case MT_COLUMN_U64:
        return mt_column_u64(column, row) != MT_NULL_U64;
    case MT_COLUMN_S64:
        return mt_column_s64(column, row) != MT_NULL_S64;
    case MT_COLUMN_F64:
        return !isnan(mt_column_f64(column, row));
    case MT_COLUMN_TEXT:
    default:
        return mt_column_text(column, row) != NULL;
    }
}

static bool is_shown(const struct mt_column *column, const void *row)
{
    return (column->flags & MT_COLUMN_OPTIONAL) == 0 || mt_column_is_known(column, row);
}

static void put_known(struct mt_json *json, const struct mt_column *column, const void *row)
{
    switch (column->type) {
    case MT_COLUMN_U64:
        mt_json_u64(json, mt_column_u64(column, row));
        break;
    case MT_COLUMN_S64:
        mt_json_s64(json, mt_column_s64(column, row));
        break;
    case MT_COLUMN_F64:
        mt_json_double(json, mt_column_f64(column, row));
        break;
    case MT_COLUMN_TEXT:
    default:
        mt_json_text(json, mt_column_text(column, row));
        break;
    }
}

void mt_column_put(struct mt_json *json, const struct mt_column *column, const void *row)
{
    mt_json_key(json, column->name);
    if (mt_column_is_known(column, row)) {
        put_known(json, column, row);
    } else {
        mt_json_null(json);
    }
}

void mt_column_csv(struct mt_out *out, const struct mt_column *column, const void *row)
{
    if (!mt_column_is_known(column, row)) {
        return;
    }
    if (column->type == MT_COLUMN_TEXT) {
        mt_csv_field(out, mt_column_text(column, row));
        return;
    }
    struct mt_json number; /* numbers are written as in JSON */
    mt_json_init(&number, out, 0);
    put_known(&number, column, row);
}

/* ---- a row ------------------------------------------------------------------------------------------------------ */

void mt_table_put(struct mt_json *json, const struct mt_table *table, const void *row)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (is_shown(&table->columns[i], row)) {
            mt_column_put(json, &table->columns[i], row);
        }
    }
}

void mt_table_csv_names(struct mt_out *out, const struct mt_table *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        mt_out_print(out, "%s%s", i > 0 ? "," : "", table->columns[i].name);
    }
    mt_out_string(out, "\r\n");
}

void mt_table_csv_row(struct mt_out *out, const struct mt_table *table, const void *row)
{
    for (size_t i = 0; i < table->column_count; i++) {
        mt_out_string(out, i > 0 ? "," : "");
        mt_column_csv(out, &table->columns[i], row);
    }
    mt_out_string(out, "\r\n");
}

void mt_table_csv_pairs(struct mt_out *out, const struct mt_table *table, const void *row)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (is_shown(&table->columns[i], row)) {
            mt_out_print(out, "%s,", table->columns[i].name);
            mt_column_csv(out, &table->columns[i], row);
            mt_out_string(out, "\r\n");
        }
    }
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static const void *row_at(const struct mt_rows *rows, size_t i)
{
    return (const char *)rows->data + i * rows->table->row_bytes;
}

static void put_object(struct mt_json *json, const struct mt_rows *rows, size_t i)
{
    mt_json_object(json);
    mt_table_put(json, rows->table, row_at(rows, i));
    mt_json_object_end(json);
}

void mt_rows_json(struct mt_out *out, const struct mt_rows *rows)
{
    struct mt_json json;
    mt_json_init(&json, out, 1);
    mt_json_array(&json);
    for (size_t i = 0; i < rows->count; i++) {
        put_object(&json, rows, i);
    }
    mt_json_array_end(&json);
    mt_out_byte(out, '\n');
}

void mt_rows_ndjson(struct mt_out *out, const struct mt_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct mt_json json;
        mt_json_init(&json, out, 0);
        put_object(&json, rows, i);
        mt_out_byte(out, '\n');
    }
}

void mt_rows_csv(struct mt_out *out, const struct mt_rows *rows)
{
    mt_table_csv_names(out, rows->table);
    for (size_t i = 0; i < rows->count; i++) {
        mt_table_csv_row(out, rows->table, row_at(rows, i));
    }
}
