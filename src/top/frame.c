/* frame.c: see frame.h. */
#include "top/frame.h"

#include "top/head.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CELLS = 5, PLACE_LEAST = 16 };
static const char *const g_titles[CELLS] = { "alive", "since mark", "rate", "blocks", "age" };
static const char *const g_keys[] = { "↑↓ ↵ stack", "m mark", "s sort", "t threads", "n native", "/ find", "p pause", "q quit", "w write" };

struct row {
    char *cells[CELLS];
    char *place;
};

struct list {
    const struct mt_top_look *look;
    const struct mt_top_ui *ui;
    size_t columns;
    size_t widths[CELLS];
    struct row *rows;
    size_t count;
    struct mt_screen *ret;
};

static size_t columns_of(const char *text)
{
    return mt_text_columns(text, strlen(text));
}

/* ---- cells ------------------------------------------------------------------------------------------------------ */

static char *change(double bytes)
{
    return isnan(bytes)          ? mt_strdup("—")
           : fabs(bytes) < 0.5 ? mt_strdup("0")
                                 : mt_format("%s%s", bytes > 0 ? "+" : "", mt_human_bytes(bytes).text);
}

static struct row make_row(const struct mt_top_site *site, double largest)
{
    struct row row = { 0 };
    char *place = site->by[0] != '\0' ? mt_format("%s ← %s", site->line, site->by) : mt_strdup(site->line);
    row.cells[0] = mt_strdup(mt_human_bytes_like((double)site->bytes, largest).text);
    row.cells[1] = change(site->since_mark_bytes);
    row.cells[2] = mt_strdup(mt_top_growth(site->rate_bytes_per_s, 1).text);
    row.cells[3] = mt_strdup(mt_human_count((double)site->count).text);
    row.cells[4] = mt_strdup(isnan(site->age_s) ? "—" : mt_human_clock(site->age_s).text);
    row.place = mt_text_clean(place, strlen(place));
    free(place);
    return row;
}

static void free_row(struct row *row)
{
    for (size_t i = 0; i < CELLS; i++) {
        free(row->cells[i]);
    }
    free(row->place);
}

static void widen(size_t widths[CELLS], char *const cells[CELLS])
{
    for (size_t i = 0; i < CELLS; i++) {
        size_t columns = columns_of(cells[i]);
        widths[i] = columns > widths[i] ? columns : widths[i];
    }
}

/* ---- lines ------------------------------------------------------------------------------------------------------ */

static char *pad(const char *text, size_t width)
{
    size_t columns = columns_of(text);
    return mt_format("%*s%s", (int)(width > columns ? width - columns : 0), "", text);
}

/* The numbers of a row, flush right under their titles. */
static char *numbers(const struct list *list, const char *const cells[CELLS])
{
    char *line = mt_strdup(" ");
    for (size_t i = 0; i < CELLS; i++) {
        char *cell = pad(cells[i], list->widths[i]);
        char *longer = mt_format("%s%s%s", line, i > 0 ? "  " : "", cell);
        free(cell);
        free(line);
        line = longer;
    }
    return line;
}

static void put(struct mt_screen *ret, enum mt_style style, size_t columns, char *take_text)
{
    char *fitted = columns > 0 ? mt_text_fit(take_text, columns, MT_CUT_END) : mt_strdup(take_text);
    free(take_text);
    mt_screen_take(ret, style, fitted);
}

static void put_row(const struct list *list, const struct row *row, enum mt_style style)
{
    char *line = numbers(list, (const char *const *)row->cells);
    size_t taken = columns_of(line) + 2;
    size_t left = list->columns > taken + PLACE_LEAST ? list->columns - taken : PLACE_LEAST;
    char *place = list->columns > 0 ? mt_text_fit(row->place, left, MT_CUT_PLACE) : mt_strdup(row->place);
    put(list->ret, style, list->columns, mt_format("%s  %s", line, place));
    free(place);
    free(line);
}

static void put_titles(const struct list *list)
{
    const char *titles[CELLS];
    for (size_t i = 0; i < CELLS; i++) {
        titles[i] = g_titles[i];
    }
    char *line = numbers(list, titles);
    char *sorted = list->ui->sort != MT_TOP_BY_ALIVE ? mt_format("   (by %s)", mt_top_sort_name(list->ui->sort)) : mt_strdup("");
    put(list->ret, MT_STYLE_BOLD, list->columns,
        mt_format("%s  %s%s", line, list->ui->by_thread ? "thread" : "line ← by", sorted));
    free(sorted);
    free(line);
}

static void put_stack(const struct list *list)
{
    for (size_t i = 0; i < list->ui->stack.count; i++) {
        char *clean = mt_text_clean(list->ui->stack.items[i], strlen(list->ui->stack.items[i]));
        put(list->ret, MT_STYLE_DIM, list->columns, mt_format("      %s", clean));
        free(clean);
    }
}

/* ---- under the list ------------------------------------------------------------------------------------------------- */

static void put_rest(const struct list *list, const size_t *order, size_t from, size_t count)
{
    double bytes = 0;
    for (size_t i = from; i < count; i++) {
        bytes += (double)list->look->sites[order[i]].bytes;
    }
    if (count > from) {
        put(list->ret, MT_STYLE_DIM, list->columns,
            mt_format(" … %s, %s", mt_human_counted((double)(count - from), "more row", "more rows").text, mt_human_bytes(bytes).text));
    }
}

static char *status_line(const struct mt_top_look *look, const struct mt_top_ui *ui)
{
    if (ui->searching || ui->search[0] != '\0') {
        char *clean = mt_text_clean(ui->search, strlen(ui->search));
        char *line = mt_format(" find: %s%s", clean, ui->searching ? "▏ (↵ keeps, esc ends it)" : "   (esc ends it)");
        free(clean);
        return line;
    }
    if (ui->message != NULL) {
        return mt_format(" %s", ui->message);
    }
    if (ui->paused) {
        return mt_strdup(" PAUSED: p goes on");
    }
    return !isnan(look->marked_s) ? mt_format(" since mark: the last %s", mt_human_clock(look->marked_s).text) : mt_strdup("");
}

/* As many keys as fit: those that come first are needed most. */
static char *key_line(size_t columns)
{
    char *line = mt_strdup("");
    for (size_t i = 0; i < MT_COUNTOF(g_keys); i++) {
        char *longer = mt_format("%s%s%s", line, i > 0 ? "  " : " ", g_keys[i]);
        bool fits = columns == 0 || columns_of(longer) <= columns;
        free(fits ? line : longer);
        line = fits ? longer : line;
    }
    return line;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

enum { AROUND_LIST = 4 }; /* titles, the rest, a status, keys */

static size_t page_below(size_t head, const struct mt_top_ui *ui, const struct mt_top_space *space)
{
    size_t taken = head + AROUND_LIST + (ui->expanded ? ui->stack.count : 0);
    return space->rows > taken + 1 ? space->rows - taken : 1;
}

size_t mt_top_page(const struct mt_top_look *look, const struct mt_top_ui *ui, const struct mt_top_space *space)
{
    struct mt_screen head = { 0 };
    mt_top_head(look, space->columns, &head);
    size_t page = page_below(head.count, ui, space);
    mt_screen_clear(&head);
    return page;
}

static void put_list(struct list *list, const size_t *order, size_t first, size_t shown, size_t cursor)
{
    double largest = 0;
    for (size_t i = 0; i < list->look->site_count; i++) {
        double bytes = (double)list->look->sites[i].bytes;
        largest = bytes > largest ? bytes : largest;
    }
    list->rows = mt_alloc_zero(shown, sizeof *list->rows);
    for (size_t i = 0; i < CELLS; i++) {
        list->widths[i] = columns_of(g_titles[i]);
    }
    for (size_t i = 0; i < shown; i++) {
        list->rows[i] = make_row(&list->look->sites[order[first + i]], largest);
        widen(list->widths, list->rows[i].cells);
    }
    put_titles(list);
    for (size_t i = 0; i < shown; i++) {
        bool selected = first + i == cursor;
        put_row(list, &list->rows[i], selected ? MT_STYLE_REVERSE : MT_STYLE_PLAIN);
        if (selected && list->ui->expanded) {
            put_stack(list);
        }
        free_row(&list->rows[i]);
    }
    free(list->rows);
}

void mt_top_frame(const struct mt_top_look *look, const struct mt_top_ui *ui, const struct mt_top_space *space, struct mt_screen *ret)
{
    struct list list = { .look = look, .ui = ui, .columns = space->columns, .ret = ret };
    size_t count, at_first = ret->count;
    size_t *order = mt_top_order(look, ui, &count);
    mt_top_head(look, space->columns, ret);
    size_t limit = space->limit > 0 ? space->limit : count;
    size_t page = space->rows > 0 ? page_below(ret->count - at_first, ui, space) : limit;
    size_t cursor = space->rows > 0 ? mt_top_cursor(look, ui, order, count) : SIZE_MAX;
    size_t first = space->rows > 0 && cursor >= page ? cursor + 1 - page : 0; /* the cursor is among them */
    size_t shown = count - first < page ? count - first : page;
    put_list(&list, order, first, shown, cursor);
    put_rest(&list, order, first + shown, count);
    if (count == 0) {
        put(ret, MT_STYLE_DIM, space->columns, mt_strdup(ui->search[0] != '\0' ? " no row has that in it" : " nothing is alive that was recorded"));
    }
    if (space->rows > 0) {
        while (ret->count - at_first + 2 < space->rows) {
            mt_screen_take(ret, MT_STYLE_PLAIN, mt_strdup(""));
        }
        put(ret, MT_STYLE_PLAIN, space->columns, status_line(look, ui));
        put(ret, MT_STYLE_DIM, space->columns, key_line(space->columns));
    }
    free(order);
}
