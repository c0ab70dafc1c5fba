/* totals_copy.c: the rows of totals.h as a base says them, and which of them are folded. */
#include "base/os.h"
#include "heap/bound.h"
#include "heap/totals_private.h"

enum {
    SPARE = 1024,      /* rows that may come between the count and the copy */
    KEPT_DEAD = 20000, /* rows of which nothing is alive that are kept: the largest; fewer where they would take more than */
    POINT_BYTES = 4096, /* as many of it for each point */
    KEPT_BYTES = 512,  /* one byte in ten of the trace's size: so much of it has to be there for one */
};

static size_t bytes_of(const struct mt_totals_copy *totals)
{
    return totals->capacity * sizeof *totals->rows + (MT_TOTALS_POINTS + 1) * sizeof *totals->points;
}

bool mt_totals_begin(struct mt_totals_copy *totals)
{
    void *base = NULL;
    *totals = (struct mt_totals_copy){ .capacity = 2 * mt_load_relaxed(&mt_g_totals.count) + SPARE };
    if (mt_os_map_anonymous(bytes_of(totals), &base) != MT_OK) {
        return false;
    }
    totals->rows = base;
    totals->points = (struct mt_totals_point *)(void *)(totals->rows + totals->capacity);
    return true;
}

void mt_totals_free(struct mt_totals_copy *totals)
{
    if (totals->rows != NULL) {
        mt_os_unmap(totals->rows, bytes_of(totals));
        totals->rows = NULL;
    }
}

/* ---- folding ---------------------------------------------------------------------------------------------------------- */

static size_t kept_dead(void)
{
    uint64_t affordable = mt_bound_budget() / KEPT_BYTES;
    return affordable < KEPT_DEAD ? (size_t)affordable + 1 : KEPT_DEAD;
}

bool mt_totals_will_fold(void)
{
    return mt_load_relaxed(&mt_g_totals.count) > 2 * kept_dead();
}

static bool is_dead(const struct mt_totals_row *row)
{
    return row->live.count == 0 && row->live.bytes == 0;
}

/* The nth largest, from 0, of values, which are reordered (Hoare's selection). */
static uint64_t nth_largest(uint64_t *values, size_t count, size_t nth)
{
    size_t low = 0, high = count;
    while (high - low > 1) {
        uint64_t pivot = values[low + (high - low) / 2];
        size_t above = low, at = low, below = high;
        while (at < below) {
            uint64_t value = values[at];
            if (value > pivot) {
                values[at++] = values[above];
                values[above++] = value;
            } else if (value < pivot) {
                values[at] = values[--below];
                values[below] = value;
            } else {
                at++;
            }
        }
        if (nth < above) {
            high = above;
        } else if (nth < below) {
            return pivot;
        } else {
            low = below;
        }
    }
    return values[low];
}

/* Rows of mappings stay: ranges know them by number. */
static bool may_fold(const struct mt_totals_row *row, uint32_t folded)
{
    return !mt_totals_is_free(row) && row->rate_bytes != 0 && row->stack != folded && is_dead(row);
}

/* What the row has goes to the one of that stack, of no thread and no label. */
static bool fold_row_locked(uint64_t at, uint32_t stack)
{
    struct mt_totals_row from = mt_g_totals.rows[at];
    struct mt_totals_row *to =
        mt_totals_row_locked(&(struct mt_totals_row){ .stack = stack, .allocator = from.allocator, .rate_bytes = from.rate_bytes });
    if (to == NULL) {
        return false;
    }
    mt_totals_rebase_locked(&from);
    mt_totals_rebase_locked(to);
    mt_totals_add(&to->total, &from.total, 1);
    mt_totals_add(&to->peak, &from.peak, 1);
    mt_totals_free_row_locked(at);
    return true;
}

static bool forget_threads_locked(uint32_t folded)
{
    bool folds = true;
    for (uint64_t i = 0, count = mt_g_totals.count; i < count && folds; i++) {
        const struct mt_totals_row *row = &mt_g_totals.rows[i];
        if (may_fold(row, folded) && (row->stream != 0 || row->label != 0)) {
            folds = fold_row_locked(i, row->stack);
        }
    }
    return folds;
}

static bool index_anew_locked(void)
{
    bool indexed = true;
    mt_hashtab_clear(&mt_g_totals.row_of);
    for (uint64_t i = 0; i < mt_g_totals.count && indexed; i++) {
        indexed = mt_totals_is_free(&mt_g_totals.rows[i]) || mt_totals_index_locked(i);
    }
    return indexed;
}

/* What the last of the largest has in total, and how many of so much are kept. values: room for a number a row. False: there are no
 * more than are kept. */
static bool find_least_locked(uint32_t folded, uint64_t *values, uint64_t *ret_least, size_t *ret_as_large)
{
    size_t dead = 0, larger = 0, kept = kept_dead();
    for (uint64_t i = 0; i < mt_g_totals.count; i++) {
        if (may_fold(&mt_g_totals.rows[i], folded)) {
            values[dead++] = mt_g_totals.rows[i].total.bytes;
        }
    }
    if (dead <= kept) {
        return false;
    }
    *ret_least = nth_largest(values, dead, kept - 1);
    for (size_t i = 0; i < dead; i++) {
        larger += values[i] > *ret_least;
    }
    *ret_as_large = kept - larger;
    return true;
}

static bool fold_small_locked(uint32_t folded, uint64_t least, size_t as_large)
{
    bool folds = true;
    for (uint64_t i = 0, count = mt_g_totals.count; i < count && folds; i++) {
        const struct mt_totals_row *row = &mt_g_totals.rows[i];
        if (!may_fold(row, folded) || row->total.bytes > least) {
            continue;
        }
        bool kept = row->total.bytes == least && as_large > 0;
        as_large -= kept;
        folds = kept || fold_row_locked(i, folded);
    }
    return folds;
}

/* A row that is freed is taken again for another, so that numbers of the rest hold. */
static bool fold_locked(uint32_t folded, uint64_t *values)
{
    uint64_t least = 0;
    size_t as_large = 0;
    bool folds = forget_threads_locked(folded) && index_anew_locked();
    if (folds && find_least_locked(folded, values, &least, &as_large)) {
        folds = fold_small_locked(folded, least, as_large) && index_anew_locked();
    }
    return folds;
}

/* ---- copying ---------------------------------------------------------------------------------------------------------- */

static bool copy_locked(struct mt_totals_copy *totals, uint64_t horizon)
{
    mt_totals_note_peak_locked();
    for (uint64_t i = 0; i < mt_g_totals.count; i++) {
        struct mt_totals_row *row = &mt_g_totals.rows[i];
        if (mt_totals_is_free(row)) {
            continue;
        }
        if (totals->count == totals->capacity) {
            return false;
        }
        struct mt_totals_row *copy = &totals->rows[totals->count++];
        *copy = *row;
        if (row->peak_number != mt_g_totals.peak_number) {
            copy->peak = row->live;
        }
    }
    totals->point_count = mt_totals_copy_points_locked(&mt_g_totals, totals->points, mt_bound_budget() / POINT_BYTES + 1, horizon);
    totals->peak_bytes = mt_g_totals.peak;
    totals->peak_clock = mt_g_totals.peak_clock;
    return true;
}

bool mt_totals_take(struct mt_totals_copy *totals, uint32_t folded, uint64_t horizon)
{
    totals->known = false;
    if (!mt_totals_enter()) {
        return true;
    }
    bool room = mt_g_totals.count <= totals->capacity;
    if (room && folded != 0 && !fold_locked(folded, (uint64_t *)(void *)totals->rows)) {
        mt_totals_give_up();
    }
    totals->known = room && !mt_load_relaxed(&mt_g_totals.broken);
    room = room && (!totals->known || copy_locked(totals, horizon));
    mt_totals_leave();
    return room;
}
