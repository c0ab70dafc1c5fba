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
    unsigned spare; /* 0: it always stands; else of those that may be left out the highest goes first */
    bool hidden;
    size_t *wider; /* of an elastic one on a terminal: how many cells are wider than so many columns; NULL otherwise */
    size_t natural; /* columns of its widest cell, or its title */
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

enum { GAP_COLUMNS = 2, ELASTIC_MIN_COLUMNS = 12, NAMES_LEAST_COLUMNS = 16, COMMAND_LEAST_COLUMNS = 24, PLACE_LEAST_MAX = 40, READABLE_MAX = 44 };

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
    for (size_t c = 0; c < grid->column_count; c++) {
        free(grid->columns[c].wider);
    }
    free(grid->notes);
    free(grid->cells);
    free(grid);
}

void mt_grid_column(struct mt_grid *grid, const char *title, enum mt_align align, bool elastic)
{
    if (grid->column_count < MT_GRID_COLUMNS_MAX) {
        grid->columns[grid->column_count++] = (struct column){ .title = title, .align = align, .elastic = elastic, .cut = MT_CUT_MIDDLE };
    }
}

void mt_grid_column_place(struct mt_grid *grid, const char *title)
{
    mt_grid_column(grid, title, MT_ALIGN_LEFT, true);
    grid->columns[grid->column_count - 1].cut = MT_CUT_PLACE;
}

void mt_grid_column_command(struct mt_grid *grid, const char *title)
{
    mt_grid_column(grid, title, MT_ALIGN_LEFT, true);
    grid->columns[grid->column_count - 1].cut = MT_CUT_COMMAND;
}

void mt_grid_column_names(struct mt_grid *grid, const char *title)
{
    mt_grid_column(grid, title, MT_ALIGN_LEFT, true);
    grid->columns[grid->column_count - 1].cut = MT_CUT_NAMES;
}

void mt_grid_column_spare(struct mt_grid *grid, unsigned rank)
{
    grid->columns[grid->column_count - 1].spare = rank;
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

static void natural_widths(struct mt_grid *grid)
{
    for (size_t c = 0; c < grid->column_count; c++) {
        grid->columns[c].natural = text_columns(grid->columns[c].title);
        grid->columns[c].hidden = false;
    }
    for (size_t i = 0; i < grid->cell_count; i++) {
        struct column *column = &grid->columns[i % grid->column_count];
        size_t columns = text_columns(grid->cells[i]);
        column->natural = columns > column->natural ? columns : column->natural;
    }
}

/* ---- what gives way on a narrow terminal ------------------------------------------------------------------------ */

/* A place before a last cell that is empty has the room of both. */
static bool has_room_of_last(const struct mt_grid *grid, size_t cell)
{
    size_t c = cell % grid->column_count;
    return c + 2 == grid->column_count && grid->columns[c].cut == MT_CUT_PLACE && grid->columns[c + 1].elastic &&
           grid->cells[cell + 1][0] == '\0';
}

static void count_wider(struct mt_grid *grid)
{
    for (size_t c = 0; c < grid->column_count; c++) {
        struct column *column = &grid->columns[c];
        free(column->wider);
        column->wider = column->elastic ? mt_alloc_zero(column->natural + 1, sizeof *column->wider) : NULL;
        for (size_t i = c; i < grid->cell_count && column->elastic; i += grid->column_count) {
            size_t columns = has_room_of_last(grid, i) ? 0 : text_columns(grid->cells[i]);
            column->wider[columns > 0 ? columns - 1 : 0] += columns > 0;
        }
        for (size_t w = column->natural; w > 0 && column->elastic; w--) {
            column->wider[w - 1] += column->wider[w];
        }
    }
}

/* What an elastic column should keep: of a place its file and function, and some of names; the same and less of names; the file; something. */
enum keep { KEEP_READABLE, KEEP_PLACES, KEEP_FILES, KEEP_LEAST };

static size_t kept_of(const struct mt_grid *grid, size_t c, enum keep keep)
{
    const struct column *column = &grid->columns[c];
    size_t most = keep <= KEEP_PLACES ? READABLE_MAX : PLACE_LEAST_MAX;
    size_t kept = keep == KEEP_READABLE && column->cut == MT_CUT_NAMES     ? NAMES_LEAST_COLUMNS
                  : keep == KEEP_READABLE && column->cut == MT_CUT_COMMAND ? COMMAND_LEAST_COLUMNS
                                                                           : ELASTIC_MIN_COLUMNS;
    bool places = keep != KEEP_LEAST && column->cut == MT_CUT_PLACE;
    for (size_t i = c; places && i < grid->cell_count; i += grid->column_count) {
        if (has_room_of_last(grid, i)) {
            continue;
        }
        size_t needed = (keep <= KEEP_PLACES ? mt_text_place_readable_columns : mt_text_place_columns)(grid->cells[i]);
        kept = needed > kept ? needed : kept;
    }
    return kept < most ? kept : most;
}

static size_t total_of(const struct mt_grid *grid, const size_t widths[MT_GRID_COLUMNS_MAX])
{
    size_t total = 0, shown = 0;
    for (size_t c = 0; c < grid->column_count; c++) {
        total += grid->columns[c].hidden ? 0 : widths[c];
        shown += !grid->columns[c].hidden;
    }
    return total + (shown > 0 ? shown - 1 : 0) * GAP_COLUMNS;
}

/* Of elastic columns that can give one: where that cuts the fewest cells, of those the widest; column_count: none can. */
static size_t cheapest(const struct mt_grid *grid, const size_t widths[MT_GRID_COLUMNS_MAX], const size_t kept[MT_GRID_COLUMNS_MAX])
{
    size_t best = grid->column_count, best_cells = SIZE_MAX;
    for (size_t c = 0; c < grid->column_count; c++) {
        const struct column *column = &grid->columns[c];
        if (!column->elastic || column->hidden || widths[c] <= kept[c]) {
            continue;
        }
        size_t cells = column->wider[widths[c] - 1];
        if (cells < best_cells || (cells == best_cells && widths[c] > widths[best])) {
            best = c;
            best_cells = cells;
        }
    }
    return best;
}

/* Takes columns one at a time until the row fits or none can give. True: it fits. */
static bool take(const struct mt_grid *grid, size_t widths[MT_GRID_COLUMNS_MAX], size_t limit, enum keep keep)
{
    size_t kept[MT_GRID_COLUMNS_MAX] = { 0 };
    for (size_t c = 0; c < grid->column_count; c++) {
        kept[c] = grid->columns[c].elastic ? kept_of(grid, c, keep) : 0;
    }
    for (size_t total = total_of(grid, widths); total > limit; total--) {
        size_t c = cheapest(grid, widths, kept);
        if (c == grid->column_count) {
            return false;
        }
        widths[c]--;
    }
    return true;
}

static void take_natural(const struct mt_grid *grid, size_t widths[MT_GRID_COLUMNS_MAX])
{
    for (size_t c = 0; c < grid->column_count; c++) {
        widths[c] = grid->columns[c].hidden ? 0 : grid->columns[c].natural;
    }
}

/* False: there is none left. */
static bool hide_one(struct mt_grid *grid)
{
    struct column *first = NULL;
    for (size_t c = 0; c < grid->column_count; c++) {
        struct column *column = &grid->columns[c];
        if (column->spare > 0 && !column->hidden && (first == NULL || column->spare > first->spare)) {
            first = column;
        }
    }
    if (first != NULL) {
        first->hidden = true;
    }
    return first != NULL;
}

/* As long as it can be, names stay readable, also at the price of a column that can be spared; then files keep their names. False: the row
 * is wider than the terminal all the same. */
static bool shrink_to(struct mt_grid *grid, size_t widths[MT_GRID_COLUMNS_MAX], size_t limit)
{
    count_wider(grid);
    take_natural(grid, widths);
    while (!take(grid, widths, limit, KEEP_READABLE)) {
        if (!hide_one(grid)) {
            return take(grid, widths, limit, KEEP_PLACES) || take(grid, widths, limit, KEEP_FILES) || take(grid, widths, limit, KEEP_LEAST);
        }
        take_natural(grid, widths);
    }
    return true;
}

size_t mt_grid_natural_columns(struct mt_grid *grid)
{
    size_t widths[MT_GRID_COLUMNS_MAX] = { 0 };
    natural_widths(grid);
    take_natural(grid, widths);
    return total_of(grid, widths);
}

bool mt_grid_fits(struct mt_grid *grid, size_t columns, bool readable)
{
    size_t widths[MT_GRID_COLUMNS_MAX] = { 0 };
    natural_widths(grid);
    if (columns == 0 || !shrink_to(grid, widths, columns)) {
        return columns == 0;
    }
    take_natural(grid, widths);
    return !readable || take(grid, widths, columns, KEEP_READABLE);
}

static void fit_row(const struct mt_grid *grid, const char *const *cells, size_t widths[MT_GRID_COLUMNS_MAX])
{
    size_t last = grid->column_count - 1;
    if (last > 0 && grid->columns[last - 1].cut == MT_CUT_PLACE && grid->columns[last].elastic && cells[last][0] == '\0') {
        widths[last - 1] += GAP_COLUMNS + widths[last];
        widths[last] = 0;
    }
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
        if (grid->columns[c].hidden) {
            continue;
        }
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

void mt_grid_print(struct mt_grid *grid, struct mt_out *out)
{
    size_t widths[MT_GRID_COLUMNS_MAX] = { 0 };
    size_t limit = mt_terminal_columns(out), note = 0;
    if (grid->column_count == 0) {
        return;
    }
    natural_widths(grid);
    take_natural(grid, widths);
    if (limit > 0) {
        (void)shrink_to(grid, widths, limit);
    }
    put_head(grid, out, widths);
    for (size_t row = 0; row < mt_grid_rows(grid); row++) {
        put_row(grid, out, (const char *const *)grid->cells + row * grid->column_count, widths);
        mt_out_byte(out, '\n');
        put_notes(grid, out, row + 1, limit, &note);
    }
}

void mt_terminal_pair(struct mt_out *out, size_t before, const char *place, const char *rest)
{
    enum { COLON_COLUMNS = 1, PLACE_LEAST = 20 };
    size_t columns = mt_terminal_columns(out), room = columns > before + PLACE_LEAST ? columns - before : PLACE_LEAST;
    bool together = columns == 0 || text_columns(place) + COLON_COLUMNS + 1 + text_columns(rest) <= room;
    char *shown = columns == 0 ? mt_strdup(place) : mt_text_fit(place, room - COLON_COLUMNS, MT_CUT_PLACE);
    mt_out_print(out, "%s:%s", shown, together ? " " : "\n");
    put_spaces(out, together ? 0 : before);
    mt_out_print(out, "%s\n", rest);
    free(shown);
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
