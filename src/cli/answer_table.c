/* answer_table.c: see answer_table.h. */
#include "cli/answer_table.h"

#include "util/grid.h"
#include "util/json.h"
#include "util/memory.h"
#include "util/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* As a column, as one value below the table, or not at all. */
enum shown { AS_COLUMN, AS_CONSTANT, NOT };

struct cells {
    const struct mt_sql_rows *rows;
    char **items;
    size_t count, capacity, columns;
    bool *is_text; /* of each column: it has some */
    enum shown *shown; /* of each column */
};

/* ---- cells -------------------------------------------------------------------------------------------------------- */

/* Six digits are enough for the eye; in front of the point all are told. */
static char *short_real(double value)
{
    static const double WHOLE_FROM = 1e5, WHOLE_TO = 1e15;
    bool whole = fabs(value) >= WHOLE_FROM && fabs(value) < WHOLE_TO;
    return mt_format(whole ? "%.0f" : "%.6g", value);
}

static char *number_text(const struct mt_sql_value *value)
{
    struct mt_out *out = mt_out_open_memory();
    struct mt_json json;
    mt_json_init(&json, out, 0);
    if (value->type == MT_SQL_INTEGER) {
        mt_json_s64(&json, value->integer);
    } else {
        mt_json_double(&json, value->real);
    }
    char *text = mt_strdup(mt_out_text(out, NULL));
    mt_out_discard(out);
    return text;
}

static char *cell_text(const struct mt_sql_value *value, bool short_reals)
{
    switch (value->type) {
    case MT_SQL_TEXT:
        return mt_strndup(value->text, value->bytes);
    case MT_SQL_REAL:
        return short_reals && isfinite(value->real) ? short_real(value->real) : number_text(value);
    case MT_SQL_INTEGER:
        return number_text(value);
    case MT_SQL_NULL:
    default:
        return mt_strdup("nil");
    }
}

static mt_status collect(struct cells *cells, struct mt_sql_rows *rows, bool short_reals, struct mt_error *err)
{
    bool more = false;
    mt_status status;
    while ((status = mt_sql_next(rows, &more, err)) == MT_OK && more) {
        cells->items = mt_alloc_grow(cells->items, &cells->capacity, cells->count + cells->columns, sizeof *cells->items);
        for (size_t i = 0; i < cells->columns; i++) {
            struct mt_sql_value value = mt_sql_value(rows, i);
            cells->is_text[i] = cells->is_text[i] || value.type == MT_SQL_TEXT;
            cells->items[cells->count++] = cell_text(&value, short_reals);
        }
    }
    return status;
}

/* ---- a row a line ------------------------------------------------------------------------------------------------- */

static struct mt_grid *make_grid(const struct cells *cells)
{
    struct mt_grid *grid = mt_grid_new();
    for (size_t i = 0; i < cells->columns; i++) {
        const char *name = mt_sql_column_name(cells->rows, i);
        if (cells->shown[i] != AS_COLUMN) {
            continue;
        }
        if (cells->is_text[i]) {
            mt_grid_column_place(grid, name);
        } else {
            mt_grid_column(grid, name, MT_ALIGN_RIGHT, false);
        }
    }
    for (size_t i = 0; i < cells->count; i++) {
        if (cells->shown[i % cells->columns] == AS_COLUMN) {
            mt_grid_cell(grid, cells->items[i]);
        }
    }
    return grid;
}

static bool is_same_in_all(const struct cells *cells, size_t column)
{
    for (size_t i = column + cells->columns; i < cells->count; i += cells->columns) {
        if (strcmp(cells->items[i], cells->items[column]) != 0) {
            return false;
        }
    }
    return cells->count > cells->columns;
}

/* Unless no column would be left. */
static void find_constants(struct cells *cells)
{
    size_t constants = 0;
    for (size_t i = 0; i < cells->columns; i++) {
        constants += is_same_in_all(cells, i);
    }
    for (size_t i = 0; i < cells->columns && constants < cells->columns; i++) {
        cells->shown[i] = is_same_in_all(cells, i) ? AS_CONSTANT : AS_COLUMN;
    }
}

/* A name tells more than a number, and a file's line belongs to its name. */
static bool may_go(const struct cells *cells, size_t column)
{
    return cells->shown[column] == AS_COLUMN && !cells->is_text[column] && strcmp(mt_sql_column_name(cells->rows, column), "line") != 0;
}

/* Numbers from the right, as few as will do, but no more than half of the columns. */
static struct mt_grid *leave_out(struct cells *cells, size_t limit)
{
    size_t count = 0, left_out = 0;
    struct mt_grid *grid = make_grid(cells);
    for (size_t i = 0; i < cells->columns; i++) {
        count += cells->shown[i] == AS_COLUMN;
    }
    for (size_t i = cells->columns; i > 0 && !mt_grid_fits(grid, limit, true) && (left_out + 1) * 2 <= count; i--) {
        if (may_go(cells, i - 1)) {
            cells->shown[i - 1] = NOT;
            left_out++;
            mt_grid_free(grid);
            grid = make_grid(cells);
        }
    }
    return grid;
}

static void write_left_out(struct mt_out *out, const struct cells *cells)
{
    enum { INDENT = 2 };
    struct mt_out *line = mt_out_open_memory();
    const char *before = "too wide for this terminal (name the columns you want, or -f json): ";
    for (size_t i = 0; i < cells->columns; i++) {
        if (cells->shown[i] == NOT) {
            mt_out_print(line, "%s%s", before, mt_sql_column_name(cells->rows, i));
            before = ", ";
        }
    }
    if (before[0] == ',') {
        mt_out_byte(line, '\n');
    }
    mt_terminal_wrap(out, mt_out_text(line, NULL), INDENT);
    mt_out_discard(line);
}

static void write_constants(struct mt_out *out, const struct cells *cells)
{
    enum { INDENT = 2 };
    struct mt_out *line = mt_out_open_memory();
    const char *before = "in every row: ";
    for (size_t i = 0; i < cells->columns; i++) {
        if (cells->shown[i] == AS_CONSTANT) {
            char *value = mt_text_clean(cells->items[i], strlen(cells->items[i]));
            mt_out_print(line, "%s%s %s", before, mt_sql_column_name(cells->rows, i), value);
            before = ", ";
            free(value);
        }
    }
    if (before[0] == ',') {
        mt_out_byte(line, '\n');
    }
    mt_terminal_wrap(out, mt_out_text(line, NULL), INDENT);
    mt_out_discard(line);
}

/* ---- a value a line ----------------------------------------------------------------------------------------------- */

static void write_values(struct mt_out *out, const struct cells *cells)
{
    size_t widest = 0;
    for (size_t i = 0; i < cells->columns; i++) {
        const char *name = mt_sql_column_name(cells->rows, i);
        size_t columns = mt_text_columns(name, strlen(name));
        widest = columns > widest ? columns : widest;
    }
    for (size_t i = 0; i < cells->count; i++) {
        const char *name = mt_sql_column_name(cells->rows, i % cells->columns);
        char *value = mt_text_clean(cells->items[i], strlen(cells->items[i]));
        char *line = mt_format("  %s%*s  %s\n", name, (int)(widest - mt_text_columns(name, strlen(name))), "", value);
        if (i % cells->columns == 0) {
            mt_out_print(out, "%srow %zu\n", i > 0 ? "\n" : "", i / cells->columns + 1);
        }
        mt_terminal_wrap(out, line, widest + 4);
        free(line);
        free(value);
    }
}

/* ---- which ---------------------------------------------------------------------------------------------------------- */

static void print(struct mt_out *out, struct cells *cells)
{
    size_t limit = mt_terminal_columns(out);
    struct mt_grid *grid = make_grid(cells);
    if (limit > 0 && mt_grid_natural_columns(grid) > limit) {
        mt_grid_free(grid);
        find_constants(cells);
        grid = leave_out(cells, limit);
    }
    if (mt_grid_fits(grid, limit, false)) {
        mt_grid_print(grid, out);
        write_constants(out, cells);
        write_left_out(out, cells);
    } else if (cells->count == 0) {
        mt_out_string(out, "no rows\n");
    } else {
        write_values(out, cells);
    }
    mt_grid_free(grid);
}

mt_status mt_answer_write_table(struct mt_out *out, struct mt_sql_rows *rows, struct mt_error *err)
{
    size_t columns = mt_sql_column_count(rows);
    if (columns > MT_GRID_COLUMNS_MAX) {
        return mt_error_set(err, MT_E_INVAL, "a table has at most %d columns: name those you want, or use -f json", MT_GRID_COLUMNS_MAX);
    }
    struct cells cells = { .rows = rows,
                           .columns = columns,
                           .is_text = mt_alloc_zero(columns + 1, sizeof *cells.is_text),
                           .shown = mt_alloc_zero(columns + 1, sizeof *cells.shown) };
    mt_status status = collect(&cells, rows, mt_terminal_columns(out) > 0, err);
    if (status == MT_OK) {
        print(out, &cells);
    }
    for (size_t i = 0; i < cells.count; i++) {
        free(cells.items[i]);
    }
    free(cells.items);
    free(cells.is_text);
    free(cells.shown);
    return status;
}
