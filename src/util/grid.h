/* grid.h: rows and columns for a terminal.
 *
 * Decides: column widths from the content; numbers flush right, and never cut. On a terminal no row wraps: elastic columns shrink, first
 * those where few cells are cut for it, paths from the left; before a name is cut so far that it is not readable, columns that can be
 * spared are left out whole. In a pipe nothing is cut, because the next program wants the whole path. Bold headings only on a terminal and not with NO_COLOR (no-color.org). Cells are
 * cleaned (text.h) before they are measured. Context: [tool].
 */
#ifndef MT_UTIL_GRID_H
#define MT_UTIL_GRID_H

#include "util/out.h"

#include <stdbool.h>
#include <stddef.h>

enum mt_align { MT_ALIGN_LEFT, MT_ALIGN_RIGHT };
enum { MT_GRID_COLUMNS_MAX = 64 };

struct mt_grid;

struct mt_grid *mt_grid_new(void);
void mt_grid_free(struct mt_grid *grid);
/* Before the first cell. elastic: may be cut (its middle) to fit a terminal. */
void mt_grid_column(struct mt_grid *grid, const char *title, enum mt_align align, bool elastic);
/* A column of places ("app/cache.py:31 handle"): cut as text.h says, never in a file's name. */
void mt_grid_column_place(struct mt_grid *grid, const char *title);
/* A column of command lines. */
void mt_grid_column_command(struct mt_grid *grid, const char *title);
/* A column of names of functions ("← ns::a, b"), cut so that what a function is called stays. */
void mt_grid_column_names(struct mt_grid *grid, const char *title);
/* The column added last may be left out on a narrow terminal; the highest rank goes first, 0 never. */
void mt_grid_column_spare(struct mt_grid *grid, unsigned rank);
/* A line under the row of the last cell, cut to the terminal. */
void mt_grid_note(struct mt_grid *grid, const char *text);
/* Cells fill row by row, left to right. text is copied and cleaned. */
void mt_grid_cell(struct mt_grid *grid, const char *text);
size_t mt_grid_rows(const struct mt_grid *grid);
void mt_grid_print(struct mt_grid *grid, struct mt_out *out);
/* Of a row that nothing is cut from. */
size_t mt_grid_natural_columns(struct mt_grid *grid);
/* Can rows be shown in so many columns (0: any)? readable: with no name cut so far that it is not. */
bool mt_grid_fits(struct mt_grid *grid, size_t columns, bool readable);

/* Columns of the terminal behind out: COLUMNS, else the tty's size, else 0 (no limit: not a terminal). */
size_t mt_terminal_columns(const struct mt_out *out);
/* The same of a descriptor. */
size_t mt_terminal_columns_of(int fd);
bool mt_terminal_colour(const struct mt_out *out);
/* "PLACE: REST" behind so many columns that are written already; on a terminal where both do not fit in the line REST has one of its own. */
void mt_terminal_pair(struct mt_out *out, size_t before, const char *place, const char *rest);
/* Writes clean lines, on a terminal broken between words, with what follows a break behind `indent` spaces. */
void mt_terminal_wrap(struct mt_out *out, const char *lines, size_t indent);

#endif
