/* table.c: rows and columns for a terminal. */
#include "util/table.h"

#include "util/human.h"
#include "util/memory.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct column {
    const char *title;
    enum mt_align align;
    bool elastic;
};

struct mt_table {
    struct column columns[MT_TABLE_COLUMNS_MAX];
    size_t column_count;
    char **cells;
    size_t cell_count;
    size_t cell_capacity;
};

enum { GAP_COLUMNS = 2, ELASTIC_MIN_COLUMNS = 16 };

struct mt_table *mt_table_new(void)
{
    return mt_alloc_zero(1, sizeof(struct mt_table));
}

void mt_table_free(struct mt_table *table)
{
    if (table == NULL) {
        return;
    }
    for (size_t i = 0; i < table->cell_count; i++) {
        free(table->cells[i]);
    }
    free(table->cells);
    free(table);
}

void mt_table_column(struct mt_table *table, const char *title, enum mt_align align, bool elastic)
{
    if (table->column_count < MT_TABLE_COLUMNS_MAX) {
        table->columns[table->column_count++] = (struct column){ title, align, elastic };
    }
}

void mt_table_cell(struct mt_table *table, const char *text)
{
    table->cells = mt_alloc_grow(table->cells, &table->cell_capacity, table->cell_count + 1, sizeof *table->cells);
    table->cells[table->cell_count++] = mt_text_clean(text, strlen(text));
}

size_t mt_table_rows(const struct mt_table *table)
{
    return table->column_count == 0 ? 0 : table->cell_count / table->column_count;
}

size_t mt_terminal_columns(const struct mt_out *out)
{
    if (!mt_out_is_terminal(out)) {
        return 0;
    }
    uint64_t wanted;
    const char *columns = getenv("COLUMNS");
    if (columns != NULL && mt_parse_count(columns, &wanted) && wanted > 0) {
        return (size_t)wanted;
    }
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    return 80;
}

bool mt_terminal_colour(const struct mt_out *out)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return mt_out_is_terminal(out) && (no_color == NULL || no_color[0] == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

static size_t text_columns(const char *text)
{
    return mt_text_columns(text, strlen(text));
}

static void natural_widths(const struct mt_table *table, size_t widths[MT_TABLE_COLUMNS_MAX])
{
    for (size_t c = 0; c < table->column_count; c++) {
        widths[c] = text_columns(table->columns[c].title);
    }
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t columns = text_columns(table->cells[i]);
        size_t c = i % table->column_count;
        widths[c] = columns > widths[c] ? columns : widths[c];
    }
}

/* Takes columns from the widest elastic column, one at a time, until the row fits or none can give. */
static void shrink_to(const struct mt_table *table, size_t widths[MT_TABLE_COLUMNS_MAX], size_t limit)
{
    size_t total = (table->column_count - 1) * GAP_COLUMNS;
    for (size_t c = 0; c < table->column_count; c++) {
        total += widths[c];
    }
    while (total > limit) {
        size_t widest = table->column_count;
        for (size_t c = 0; c < table->column_count; c++) {
            bool gives = table->columns[c].elastic && widths[c] > ELASTIC_MIN_COLUMNS;
            if (gives && (widest == table->column_count || widths[c] > widths[widest])) {
                widest = c;
            }
        }
        if (widest == table->column_count) {
            return;
        }
        widths[widest]--;
        total--;
    }
}

static void put_spaces(struct mt_out *out, size_t count)
{
    while (count-- > 0) {
        mt_out_byte(out, ' ');
    }
}

static void put_cell(struct mt_out *out, const char *text, const struct column *column, size_t width, bool last)
{
    char *fitted = mt_text_fit(text, width, MT_CUT_MIDDLE);
    size_t used = text_columns(fitted);
    size_t padding = width > used ? width - used : 0;
    if (column->align == MT_ALIGN_RIGHT) {
        put_spaces(out, padding);
    }
    mt_out_string(out, fitted);
    if (!last) {
        put_spaces(out, (column->align == MT_ALIGN_LEFT ? padding : 0) + GAP_COLUMNS);
    }
    free(fitted);
}

void mt_table_print(const struct mt_table *table, struct mt_out *out)
{
    size_t widths[MT_TABLE_COLUMNS_MAX];
    size_t limit = mt_terminal_columns(out);
    bool colour = mt_terminal_colour(out);
    if (table->column_count == 0) {
        return;
    }
    natural_widths(table, widths);
    if (limit > 0) {
        shrink_to(table, widths, limit);
    }
    mt_out_string(out, colour ? "\x1b[1m" : "");
    for (size_t c = 0; c < table->column_count; c++) {
        put_cell(out, table->columns[c].title, &table->columns[c], widths[c], c + 1 == table->column_count);
    }
    mt_out_string(out, colour ? "\x1b[0m\n" : "\n");
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t c = i % table->column_count;
        bool last = c + 1 == table->column_count;
        put_cell(out, table->cells[i], &table->columns[c], widths[c], last);
        if (last) {
            mt_out_byte(out, '\n');
        }
    }
}
