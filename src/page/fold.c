/* fold.c: see fold.h. Context: [tool]. */
#include "page/fold.h"

#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

/* A part of an interval is worth so many times the same part of the run. */
enum { INTERVALS_SHARE = 1024 };

struct folding {
    const struct mt_page_rows *from;
    struct mt_page_rows *to;
    double share;
    uint32_t *node_of;   /* new number of each old node that stays; UINT32_MAX: it does not */
    uint32_t *folded_of; /* of each old node that stays: the new node of its small children; 0: none yet */
    uint32_t *line_of;   /* new number of each old line */
    uint32_t *frame_of;  /* new number of each old frame; 0: not met yet */
    uint32_t smaller;    /* new number of the frame that stands for what is folded; 0: not met yet */
};

/* ---- what is large enough --------------------------------------------------------------------------------------- */

/* The largest share of each row in what began in one interval. */
static double *interval_shares(const struct mt_page_rows *r)
{
    double *shares = mt_alloc_zero(r->row_count, sizeof *shares);
    double *begun = mt_alloc_zero(UINT16_MAX + 1, sizeof *begun);
    for (size_t i = 0; i < r->cell_count; i++) {
        const struct mt_edge_cell *cell = &r->cells[i];
        begun[cell->born] += cell->born == cell->at ? (double)cell->bytes : 0;
    }
    for (size_t i = 0; i < r->cell_count; i++) {
        const struct mt_edge_cell *cell = &r->cells[i];
        double share = cell->born == cell->at && begun[cell->born] > 0 ? (double)cell->bytes / begun[cell->born] : 0;
        shares[cell->site] = share > shares[cell->site] ? share : shares[cell->site];
    }
    free(begun);
    return shares;
}

static double total_of(const struct mt_page_rows *r, unsigned measure)
{
    double total = 0;
    for (size_t i = 0; i < r->row_count; i++) {
        total += (double)r->rows[i].amount[measure].bytes;
    }
    return total;
}

/* Notes which of `count` groups have the share of a weight; up: groups are nodes, and hold what their children hold. */
struct weighing {
    const struct mt_page_rows *rows;
    bool *large;
    double *sums;
    size_t count;
    bool nodes;
};

static size_t group_of(const struct weighing *w, size_t row)
{
    return w->nodes ? w->rows->rows[row].node : w->rows->rows[row].line;
}

static void note_large(const struct weighing *w, double least)
{
    for (size_t i = w->count; w->nodes && i > 1; i--) {
        w->sums[w->rows->nodes[i - 1].parent] += w->sums[i - 1];
    }
    for (size_t i = 0; i < w->count; i++) {
        w->large[i] = w->large[i] || (w->sums[i] > 0 && w->sums[i] >= least);
        w->sums[i] = 0;
    }
}

static void weigh(const struct weighing *w, const double *intervals, double share)
{
    for (unsigned m = 0; m < MT_PAGE_MEASURES; m++) {
        for (size_t i = 0; i < w->rows->row_count; i++) {
            w->sums[group_of(w, i)] += (double)w->rows->rows[i].amount[m].bytes;
        }
        note_large(w, share * total_of(w->rows, m));
    }
    for (size_t i = 0; i < w->rows->row_count; i++) {
        w->sums[group_of(w, i)] += intervals[i];
    }
    note_large(w, share * INTERVALS_SHARE);
}

static bool *find_large(const struct mt_page_rows *r, double share, bool nodes)
{
    struct weighing w = { .rows = r, .count = nodes ? r->node_count : r->line_count, .nodes = nodes };
    double *intervals = interval_shares(r);
    w.large = mt_alloc_zero(w.count, sizeof *w.large);
    w.sums = mt_alloc_zero(w.count, sizeof *w.sums);
    weigh(&w, intervals, share);
    for (size_t i = 0; i < w.count && share <= 0; i++) {
        w.large[i] = true;
    }
    free(w.sums);
    free(intervals);
    return w.large;
}

/* ---- what stays ------------------------------------------------------------------------------------------------- */

static uint32_t add_frame(struct folding *f, uint32_t id)
{
    struct mt_page_rows *to = f->to;
    to->frames = mt_alloc_grow(to->frames, &to->frame_capacity, to->frame_count + 1, sizeof *to->frames);
    to->frames[to->frame_count] = id;
    return (uint32_t)to->frame_count++;
}

static uint32_t frame_of(struct folding *f, uint32_t old)
{
    if (f->frame_of[old] == 0 && old != 0) {
        f->frame_of[old] = add_frame(f, f->from->frames[old]);
    }
    return f->frame_of[old];
}

static uint32_t smaller(struct folding *f)
{
    f->smaller = f->smaller != 0 ? f->smaller : add_frame(f, MT_PAGE_SMALLER);
    return f->smaller;
}

static uint32_t add_node(struct folding *f, uint32_t parent, uint32_t frame)
{
    struct mt_page_rows *to = f->to;
    to->nodes = mt_alloc_grow(to->nodes, &to->node_capacity, to->node_count + 1, sizeof *to->nodes);
    to->nodes[to->node_count] = (struct mt_page_node){ parent, frame };
    return (uint32_t)to->node_count++;
}

static void keep_nodes(struct folding *f)
{
    const struct mt_page_rows *from = f->from;
    bool *large = find_large(from, f->share, true);
    f->node_of = mt_alloc(from->node_count * sizeof *f->node_of);
    f->folded_of = mt_alloc_zero(from->node_count, sizeof *f->folded_of);
    f->node_of[0] = add_node(f, 0, add_frame(f, MT_PAGE_ROOT));
    for (size_t i = 1; i < from->node_count; i++) {
        uint32_t parent = f->node_of[from->nodes[i].parent];
        bool stays = large[i] && parent != UINT32_MAX;
        f->node_of[i] = stays ? add_node(f, parent, frame_of(f, from->nodes[i].frame)) : UINT32_MAX;
    }
    free(large);
}

static uint32_t node_of(struct folding *f, uint32_t old)
{
    if (f->node_of[old] != UINT32_MAX) {
        return f->node_of[old];
    }
    while (f->node_of[old] == UINT32_MAX) {
        old = f->from->nodes[old].parent;
    }
    if (f->folded_of[old] == 0) {
        f->folded_of[old] = add_node(f, f->node_of[old], smaller(f));
    }
    return f->folded_of[old];
}

static uint32_t add_line(struct folding *f, struct mt_page_line line)
{
    struct mt_page_rows *to = f->to;
    to->lines = mt_alloc_grow(to->lines, &to->line_capacity, to->line_count + 1, sizeof *to->lines);
    to->lines[to->line_count] = line;
    return (uint32_t)to->line_count++;
}

static void keep_lines(struct folding *f)
{
    const struct mt_page_rows *from = f->from;
    bool *large = find_large(from, f->share, false);
    uint32_t others = UINT32_MAX;
    f->line_of = mt_alloc(from->line_count * sizeof *f->line_of);
    for (size_t i = 0; i < from->line_count; i++) {
        struct mt_page_line line = from->lines[i];
        if (large[i]) {
            f->line_of[i] = add_line(f, (struct mt_page_line){ frame_of(f, line.frame), line.import, line.suspect, line.score });
            continue;
        }
        others = others != UINT32_MAX ? others : add_line(f, (struct mt_page_line){ smaller(f), false, false, 0 });
        f->line_of[i] = others;
    }
    free(large);
}

/* ---- rows and cells --------------------------------------------------------------------------------------------- */

static void add_row(struct mt_page_row *to, const struct mt_page_row *row)
{
    for (unsigned m = 0; m < MT_PAGE_MEASURES; m++) {
        to->amount[m].bytes += row->amount[m].bytes;
        to->amount[m].count += row->amount[m].count;
        to->amount[m].bytes_variance += row->amount[m].bytes_variance;
        to->amount[m].count_variance += row->amount[m].count_variance;
    }
    to->oldest_ns = row->oldest_ns < to->oldest_ns ? row->oldest_ns : to->oldest_ns;
    to->growth_bytes_per_s += row->growth_bytes_per_s;
    to->moved += row->moved;
}

/* Of the rows of folded nodes, those that are next to each other and alike are one. Numbers are places in the old rows. */
static void merge_rows(struct folding *f, uint32_t *row_of)
{
    struct mt_page_rows *to = f->to;
    size_t kept = 0;
    for (size_t i = 0; i < to->row_count; i++) {
        struct mt_page_row row = to->rows[i];
        struct mt_page_row *last = kept > 0 ? &to->rows[kept - 1] : NULL;
        bool folded = to->frames[to->nodes[row.node].frame] == MT_PAGE_SMALLER;
        if (folded && last != NULL && mt_page_rows_alike(last, &row)) {
            add_row(last, &row);
        } else {
            to->rows[kept++] = row;
        }
        row_of[row.number] = (uint32_t)kept - 1;
    }
    to->row_count = kept;
}

static void fold_rows(struct folding *f, uint32_t *row_of)
{
    struct mt_page_rows *to = f->to;
    const struct mt_page_rows *from = f->from;
    to->rows = mt_alloc(from->row_count * sizeof *to->rows);
    to->row_count = from->row_count;
    for (size_t i = 0; i < from->row_count; i++) {
        struct mt_page_row *row = &to->rows[i];
        *row = from->rows[i];
        row->number = (uint32_t)i;
        row->node = node_of(f, row->node);
        row->line = f->line_of[row->line];
    }
    mt_page_rows_sort(to);
    merge_rows(f, row_of);
}

static void fold_cells(struct folding *f, const uint32_t *row_of)
{
    struct mt_page_rows *to = f->to;
    const struct mt_page_rows *from = f->from;
    to->cells = mt_alloc(from->cell_count * sizeof *to->cells);
    to->cell_count = from->cell_count;
    for (size_t i = 0; i < from->cell_count; i++) {
        to->cells[i] = from->cells[i];
        to->cells[i].site = row_of[from->cells[i].site];
    }
    mt_page_rows_merge_cells(to);
}

static void copy_threads(struct folding *f)
{
    struct mt_page_rows *to = f->to;
    to->thread_count = f->from->thread_count;
    to->threads = mt_alloc(to->thread_count * sizeof *to->threads);
    for (size_t i = 0; i < to->thread_count; i++) {
        to->threads[i] = f->from->threads[i];
    }
}

void mt_page_fold(const struct mt_page_rows *rows, double share, struct mt_page_rows *ret)
{
    struct folding f = { .from = rows, .to = ret, .share = share };
    *ret = (struct mt_page_rows){ .names = rows->names, .resolver = rows->resolver, .share = share };
    uint32_t *row_of = mt_alloc(rows->row_count * sizeof *row_of);
    f.frame_of = mt_alloc_zero(rows->frame_count, sizeof *f.frame_of);
    keep_nodes(&f);
    keep_lines(&f);
    copy_threads(&f);
    fold_rows(&f, row_of);
    fold_cells(&f, row_of);
    free(row_of);
    free(f.frame_of);
    free(f.node_of);
    free(f.folded_of);
    free(f.line_of);
}
