/* grid.c: rows and columns for a terminal. */
#include "util/grid.h"

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
    enum mt_cut cut;
};

/* A line under a row. */
struct note {
    size_t row; /* number of the row + 1 */
    char *text;
};

struct mt_grid {
    struct column columns[MT_GRID_COLUMNS_MAX];
    size_t column_count;
    char **cells;
    size_t cell_count;
    size_t cell_capacity;
    struct note *notes;
    size_t note_count;
    size_t note_capacity;
};

enum { GAP_COLUMNS = 2, ELASTIC_MIN_COLUMNS = 12, NAMES_LEAST_COLUMNS = 16, PLACE_LEAST_MAX = 40 };

struct mt_grid *mt_grid_new(void)
{
    return mt_alloc_zero(1, sizeof(struct mt_grid));
}

void mt_grid_free(struct mt_grid *grid)
{
    if (grid == NULL) {
        return;
    }
    for (size_t i = 0; i < grid->cell_count; i++) {
        free(grid->cells[i]);
    }
    for (size_t i = 0; i < grid->note_count; i++) {
        free(grid->notes[i].text);
    }
    free(grid->notes);
    free(grid->cells);
    free(grid);
}

void mt_grid_column(struct mt_grid *grid, const char *title, enum mt_align align, bool elastic)
{
    if (grid->column_count < MT_GRID_COLUMNS_MAX) {
        grid->columns[grid->column_count++] = (struct column){ title, align, elastic, MT_CUT_MIDDLE };
    }
}

void mt_grid_column_place(struct mt_grid *grid, const char *title)
{
    mt_grid_column(grid, title, MT_ALIGN_LEFT, true);
    grid->columns[grid->column_count - 1].cut = MT_CUT_PLACE;
}

void mt_grid_column_names(struct mt_grid *grid, const char *title)
{
    mt_grid_column(grid, title, MT_ALIGN_LEFT, true);
    grid->columns[grid->column_count - 1].cut = MT_CUT_NAMES;
}

void mt_grid_note(struct mt_grid *grid, const char *text)
{
    grid->notes = mt_alloc_grow(grid->notes, &grid->note_capacity, grid->note_count + 1, sizeof *grid->notes);
    grid->notes[grid->note_count++] =
        (struct note){ .row = mt_grid_rows(grid), .text = mt_text_clean(text, strlen(text)) };
}

void mt_grid_cell(struct mt_grid *grid, const char *text)
{
    grid->cells = mt_alloc_grow(grid->cells, &grid->cell_capacity, grid->cell_count + 1, sizeof *grid->cells);
    grid->cells[grid->cell_count++] = mt_text_clean(text, strlen(text));
}

size_t mt_grid_rows(const struct mt_grid *grid)
{
    return grid->column_count == 0 ? 0 : grid->cell_count / grid->column_count;
}

/* COLUMNS says how wide it is, else the terminal, else 80. */
static size_t columns_wanted(int fd)
{
    uint64_t wanted;
    const char *columns = getenv("COLUMNS");
    if (columns != NULL && mt_parse_count(columns, &wanted) && wanted > 0) {
        return (size_t)wanted;
    }
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    return 80;
}

size_t mt_terminal_columns_of(int fd)
{
    return isatty(fd) != 0 ? columns_wanted(fd) : 0;
}

size_t mt_terminal_columns(const struct mt_out *out)
{
    return mt_out_is_terminal(out) ? columns_wanted(STDOUT_FILENO) : 0;
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

static void natural_widths(const struct mt_grid *grid, size_t widths[MT_GRID_COLUMNS_MAX])
{
    for (size_t c = 0; c < grid->column_count; c++) {
        widths[c] = text_columns(grid->columns[c].title);
    }
    for (size_t i = 0; i < grid->cell_count; i++) {
        size_t columns = text_columns(grid->cells[i]);
        size_t c = i % grid->column_count;
        widths[c] = columns > widths[c] ? columns : widths[c];
    }
}

/* So wide that no file's own name is cut, within reason. */
static size_t least_of_places(const struct mt_grid *grid, size_t column)
{
    size_t least = ELASTIC_MIN_COLUMNS;
    for (size_t i = column; i < grid->cell_count; i += grid->column_count) {
        size_t needed = mt_text_place_columns(grid->cells[i]);
        least = needed > least ? needed : least;
    }
    return least < PLACE_LEAST_MAX ? least : PLACE_LEAST_MAX;
}

static size_t least_of(const struct column *column)
{
    return column->cut == MT_CUT_NAMES ? NAMES_LEAST_COLUMNS : ELASTIC_MIN_COLUMNS;
}

static size_t total_of(const struct mt_grid *grid, const size_t widths[MT_GRID_COLUMNS_MAX])
{
    size_t total = (grid->column_count - 1) * GAP_COLUMNS;
    for (size_t c = 0; c < grid->column_count; c++) {
        total += widths[c];
    }
    return total;
}

/* Takes columns from the widest elastic column, one at a time, until the row fits or none can give. */
static void take_from(const struct mt_grid *grid, size_t widths[MT_GRID_COLUMNS_MAX], const size_t least[MT_GRID_COLUMNS_MAX], size_t limit)
{
    for (size_t total = total_of(grid, widths); total > limit; total--) {
        size_t widest = grid->column_count;
        for (size_t c = 0; c < grid->column_count; c++) {
            bool gives = grid->columns[c].elastic && widths[c] > least[c];
            if (gives && (widest == grid->column_count || widths[c] > widths[widest])) {
                widest = c;
            }
        }
        if (widest == grid->column_count) {
            return;
        }
        widths[widest]--;
    }
}

/* As long as it can be, each column keeps what it is readable with; a row that is wider than the terminal is not. */
static void shrink_to(const struct mt_grid *grid, size_t widths[MT_GRID_COLUMNS_MAX], size_t limit)
{
    size_t least[MT_GRID_COLUMNS_MAX] = { 0 };
    for (size_t c = 0; c < grid->column_count; c++) {
        least[c] = grid->columns[c].cut == MT_CUT_PLACE ? least_of_places(grid, c) : least_of(&grid->columns[c]);
    }
    take_from(grid, widths, least, limit);
    for (size_t c = 0; c < grid->column_count; c++) {
        least[c] = ELASTIC_MIN_COLUMNS;
    }
    take_from(grid, widths, least, limit);
}

/* In a row that leaves room in the last column the place before it takes that, so that it is cut last. Returns its columns. */
static size_t columns_of_place(const struct mt_grid *grid, const char *const *cells, const size_t widths[MT_GRID_COLUMNS_MAX])
{
    size_t last = grid->column_count - 1;
    size_t wanted = text_columns(cells[last - 1]), has = widths[last - 1], after = text_columns(cells[last]);
    size_t least = after < least_of(&grid->columns[last]) ? after : least_of(&grid->columns[last]);
    size_t spare = after == 0 ? widths[last] + GAP_COLUMNS : widths[last] > least ? widths[last] - least : 0;
    return wanted <= has ? has : wanted - has < spare ? wanted : has + spare;
}

/* The widths of one row: those of the grid, but for a place in the last column but one. */
static void fit_row(const struct mt_grid *grid, const char *const *cells, size_t widths[MT_GRID_COLUMNS_MAX])
{
    size_t last = grid->column_count - 1;
    if (last == 0 || grid->columns[last - 1].cut != MT_CUT_PLACE || !grid->columns[last].elastic) {
        return;
    }
    size_t place = columns_of_place(grid, cells, widths);
    size_t taken = place - widths[last - 1];
    widths[last - 1] = place;
    widths[last] = widths[last] > taken ? widths[last] - taken : 0;
}

static void put_spaces(struct mt_out *out, size_t count)
{
    while (count-- > 0) {
        mt_out_byte(out, ' ');
    }
}

/* *pending: spaces to put before what comes next. */
static void put_cell(struct mt_out *out, const char *text, const struct column *column, size_t width, bool last, size_t *pending)
{
    char *fitted = mt_text_fit(text, width, column->cut);
    size_t used = text_columns(fitted);
    size_t padding = width > used ? width - used : 0;
    if (used > 0) { /* what is empty up to the end of the line leaves no spaces there */
        put_spaces(out, *pending + (column->align == MT_ALIGN_RIGHT ? padding : 0));
        mt_out_string(out, fitted);
        *pending = column->align == MT_ALIGN_LEFT ? padding : 0;
    } else {
        *pending += width;
    }
    *pending = last ? 0 : *pending + GAP_COLUMNS;
    free(fitted);
}

/* Those of one row; *at: the first not printed yet. */
static void put_notes(const struct mt_grid *grid, struct mt_out *out, size_t row, size_t limit, size_t *at)
{
    for (; *at < grid->note_count && grid->notes[*at].row <= row; (*at)++) {
        char *fitted = limit > 0 ? mt_text_fit(grid->notes[*at].text, limit, MT_CUT_END) : mt_strdup(grid->notes[*at].text);
        mt_out_print(out, "%s\n", fitted);
        free(fitted);
    }
}

static void put_row(const struct mt_grid *grid, struct mt_out *out, const char *const *cells, const size_t widths[MT_GRID_COLUMNS_MAX])
{
    size_t own[MT_GRID_COLUMNS_MAX], pending = 0;
    memcpy(own, widths, sizeof own);
    fit_row(grid, cells, own);
    for (size_t c = 0; c < grid->column_count; c++) {
        put_cell(out, cells[c], &grid->columns[c], own[c], c + 1 == grid->column_count, &pending);
    }
}

static void put_head(const struct mt_grid *grid, struct mt_out *out, const size_t widths[MT_GRID_COLUMNS_MAX])
{
    const char *titles[MT_GRID_COLUMNS_MAX];
    bool colour = mt_terminal_colour(out);
    for (size_t c = 0; c < grid->column_count; c++) {
        titles[c] = grid->columns[c].title;
    }
    mt_out_string(out, colour ? "\x1b[1m" : "");
    put_row(grid, out, titles, widths);
    mt_out_string(out, colour ? "\x1b[0m\n" : "\n");
}

void mt_grid_print(const struct mt_grid *grid, struct mt_out *out)
{
    size_t widths[MT_GRID_COLUMNS_MAX] = { 0 };
    size_t limit = mt_terminal_columns(out), note = 0;
    if (grid->column_count == 0) {
        return;
    }
    natural_widths(grid, widths);
    if (limit > 0) {
        shrink_to(grid, widths, limit);
    }
    put_head(grid, out, widths);
    for (size_t row = 0; row < mt_grid_rows(grid); row++) {
        put_row(grid, out, (const char *const *)grid->cells + row * grid->column_count, widths);
        mt_out_byte(out, '\n');
        put_notes(grid, out, row + 1, limit, &note);
    }
}

/* One line, without its end. */
static void wrap_line(struct mt_out *out, const char *line, size_t bytes, size_t columns, size_t indent)
{
    char *text = mt_format("%.*s", (int)bytes, line);
    size_t before = 0;
    for (const char *at = text; *at != '\0' || at == text; before = indent) {
        size_t part = columns > before + ELASTIC_MIN_COLUMNS ? mt_text_line(at, columns - before) : strlen(at);
        put_spaces(out, before);
        mt_out_print(out, "%.*s\n", (int)part, at);
        at += part + (at[part] == ' ');
        if (*at == '\0') {
            break;
        }
    }
    free(text);
}

void mt_terminal_wrap(struct mt_out *out, const char *lines, size_t indent)
{
    size_t columns = mt_terminal_columns(out);
    while (*lines != '\0') {
        size_t bytes = strcspn(lines, "\n");
        wrap_line(out, lines, bytes, columns, indent);
        lines += bytes + (lines[bytes] == '\n');
    }
}
