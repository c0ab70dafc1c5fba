/* ui.c: keys, and the order of the rows (look.h). Context: [tool], pure. */
#include "top/look.h"
#include "util/memory.h"
#include "util/terminal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *mt_top_sort_name(enum mt_top_sort sort)
{
    static const char *const names[] = { "alive", "since mark", "rate", "blocks", "age" };
    return names[sort];
}

void mt_top_ui_fini(struct mt_top_ui *ui)
{
    free(ui->selected);
    mt_strlist_clear(&ui->stack);
    *ui = (struct mt_top_ui){ 0 };
}

/* ---- order ------------------------------------------------------------------------------------------------------ */

struct sorting {
    const struct mt_top_site *sites;
    enum mt_top_sort sort;
};

static double value_of(const struct mt_top_site *site, enum mt_top_sort sort)
{
    const double values[] = { (double)site->bytes, site->since_mark_bytes, site->rate_bytes_per_s, (double)site->count, site->age_s };
    return isnan(values[sort]) ? -HUGE_VAL : values[sort];
}

/* Imports and start-up last: nobody edits them. */
static int compare(const void *a, const void *b, void *context)
{
    const struct sorting *s = context;
    const struct mt_top_site *x = &s->sites[*(const size_t *)a], *y = &s->sites[*(const size_t *)b];
    double left = value_of(x, s->sort), right = value_of(y, s->sort);
    if (x->import != y->import) {
        return x->import ? 1 : -1;
    }
    if (left < right || left > right) {
        return left > right ? -1 : 1;
    }
    return x < y ? -1 : x > y;
}

size_t *mt_top_order(const struct mt_top_look *look, const struct mt_top_ui *ui, size_t *ret_count)
{
    struct sorting sorting = { look->sites, ui->sort };
    size_t *order = mt_alloc(look->site_count * sizeof *order), count = 0;
    for (size_t i = 0; i < look->site_count; i++) {
        if (ui->search[0] == '\0' || strcasestr(look->sites[i].key, ui->search) != NULL) {
            order[count++] = i;
        }
    }
    if (count > 0) {
        qsort_r(order, count, sizeof *order, compare, &sorting);
    }
    *ret_count = count;
    return order;
}

size_t mt_top_cursor(const struct mt_top_look *look, const struct mt_top_ui *ui, const size_t *order, size_t count)
{
    for (size_t i = 0; ui->selected != NULL && i < count; i++) {
        if (strcmp(look->sites[order[i]].key, ui->selected) == 0) {
            return i;
        }
    }
    return 0;
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

static enum mt_top_wish move(struct mt_top_ui *ui, const struct mt_top_look *look, long by)
{
    size_t count;
    size_t *order = mt_top_order(look, ui, &count);
    size_t at = mt_top_cursor(look, ui, order, count);
    if (count > 0) {
        long to = (long)at + by;
        to = to < 0 ? 0 : to >= (long)count ? (long)count - 1 : to;
        free(ui->selected);
        ui->selected = mt_strdup(look->sites[order[to]].key);
        ui->expanded = ui->expanded && (size_t)to == at;
    }
    free(order);
    return MT_TOP_SHOW;
}

static enum mt_top_wish type(struct mt_top_ui *ui, int key)
{
    size_t length = strlen(ui->search);
    if (key == MT_KEY_ENTER || key == MT_KEY_ESCAPE) {
        ui->searching = false;
        ui->search[0] = key == MT_KEY_ESCAPE ? '\0' : ui->search[0];
    } else if (key == MT_KEY_ERASE) {
        while (length > 0 && ((unsigned char)ui->search[--length] & 0xC0) == 0x80) {
        }
        ui->search[length] = '\0';
    } else if (key >= ' ' && key < 256 && length + 1 < sizeof ui->search) {
        ui->search[length] = (char)key;
        ui->search[length + 1] = '\0';
    }
    return MT_TOP_SHOW;
}

static enum mt_top_wish look_elsewhere(struct mt_top_ui *ui, bool *what)
{
    *what = !*what;
    free(ui->selected);
    ui->selected = NULL;
    ui->expanded = false;
    return MT_TOP_READ;
}

static enum mt_top_wish toggle(bool *what, enum mt_top_wish wish)
{
    *what = !*what;
    return wish;
}

static enum mt_top_wish command(struct mt_top_ui *ui, int key)
{
    switch (key) {
    case 'q':
    case MT_KEY_CLOSED:
        return MT_TOP_QUIT;
    case 'm':
        return MT_TOP_MARK;
    case 'w':
        return MT_TOP_WRITE;
    case 's':
        ui->sort = (enum mt_top_sort)((ui->sort + 1) % MT_TOP_SORT__COUNT);
        return MT_TOP_SHOW;
    case 't':
        return look_elsewhere(ui, &ui->by_thread);
    case 'n':
        return look_elsewhere(ui, &ui->native);
    case 'p':
    case ' ':
        return toggle(&ui->paused, ui->paused ? MT_TOP_READ : MT_TOP_SHOW);
    case '/':
        ui->searching = true;
        return MT_TOP_SHOW;
    case MT_KEY_ESCAPE:
        ui->search[0] = '\0';
        ui->expanded = false;
        return MT_TOP_SHOW;
    case MT_KEY_RESIZED:
        return MT_TOP_SHOW;
    default:
        return MT_TOP_NOTHING;
    }
}

enum mt_top_wish mt_top_key(struct mt_top_ui *ui, const struct mt_top_look *look, int key, size_t page)
{
    if (ui->searching && key != MT_KEY_CLOSED && key != MT_KEY_RESIZED) {
        return type(ui, key);
    }
    switch (key) {
    case 'k':
    case MT_KEY_UP:
        return move(ui, look, -1);
    case 'j':
    case MT_KEY_DOWN:
        return move(ui, look, 1);
    case MT_KEY_PAGE_UP:
        return move(ui, look, -(long)page);
    case MT_KEY_PAGE_DOWN:
        return move(ui, look, (long)page);
    case MT_KEY_HOME:
        return move(ui, look, INT32_MIN);
    case MT_KEY_END:
        return move(ui, look, INT32_MAX);
    case MT_KEY_ENTER:
        (void)move(ui, look, 0);
        return toggle(&ui->expanded, MT_TOP_SHOW);
    default:
        return command(ui, key);
    }
}
