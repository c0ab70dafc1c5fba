/* rows.c: see rows.h. Sites are taken stack by stack, so that names are looked up once a stack. Context: [tool]. */
#include "page/rows.h"

#include "analysis/leaks.h"
#include "base/hash.h"
#include "export/behind.h"
#include "util/memory.h"
#include "util/namemap.h"

#include <stdlib.h>
#include <string.h>

struct maker {
    const struct mt_report *report;
    struct mt_page_rows *out;
    struct mt_grouping *grouping;
};

/* ---- frames and nodes ------------------------------------------------------------------------------------------- */

static uint32_t frame_number(struct mt_page_rows *r, uint32_t id)
{
    if (id >= r->frame_number_count) {
        size_t before = r->frame_number_count;
        r->frame_numbers = mt_alloc_grow(r->frame_numbers, &r->frame_number_count, (size_t)id + 1, sizeof *r->frame_numbers);
        memset(r->frame_numbers + before, 0, (r->frame_number_count - before) * sizeof *r->frame_numbers);
    }
    if (r->frame_numbers[id] == 0) {
        r->frames = mt_alloc_grow(r->frames, &r->frame_capacity, r->frame_count + 1, sizeof *r->frames);
        r->frame_numbers[id] = (uint32_t)r->frame_count;
        r->frames[r->frame_count++] = id;
    }
    return r->frame_numbers[id];
}

static uint64_t node_hash(const struct mt_page_node *node)
{
    return mt_hash_pair(node->parent, node->frame);
}

static uint32_t add_node(struct mt_page_rows *r, struct mt_page_node node)
{
    r->nodes = mt_alloc_grow(r->nodes, &r->node_capacity, r->node_count + 1, sizeof *r->nodes);
    r->nodes[r->node_count] = node;
    return (uint32_t)r->node_count++;
}

static uint32_t child_of(struct mt_page_rows *r, uint32_t parent, uint32_t frame)
{
    struct mt_page_node node = { parent, frame };
    uint64_t hash = node_hash(&node);
    size_t probe = 0;
    uint32_t at;
    while ((at = mt_index_next(&r->node_index, hash, &probe)) != MT_INDEX_NONE) {
        if (r->nodes[at].parent == parent && r->nodes[at].frame == frame) {
            return at;
        }
    }
    at = add_node(r, node);
    mt_index_add(&r->node_index, hash, at);
    return at;
}

static uint32_t node_of(struct mt_page_rows *r, const struct mt_frame_list *list)
{
    uint32_t at = 0;
    for (size_t i = list->count; i > 0; i--) {
        at = child_of(r, at, frame_number(r, list->ids[i - 1]));
    }
    return at;
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static uint32_t line_of(const struct maker *m, const struct mt_site *site, const struct mt_frame_list *list)
{
    struct mt_page_rows *r = m->out;
    struct mt_grouping_item item = { site->trace_idx, site->stack, site->stream, site->label, site->allocator };
    uint32_t number = mt_grouping_row(m->grouping, &item, list);
    if (number == r->line_count) {
        const struct mt_group *group = mt_grouping_group(m->grouping, number);
        r->lines = mt_alloc_grow(r->lines, &r->line_capacity, r->line_count + 1, sizeof *r->lines);
        r->lines[r->line_count++] = (struct mt_page_line){ frame_number(r, group->frame), group->import, false, 0 };
    }
    return number;
}

static uint32_t thread_of(struct mt_page_rows *r, const struct mt_site *site)
{
    struct mt_page_thread thread = { site->trace_idx, site->stream };
    bool is_new;
    uint32_t number = mt_namemap_put(r->thread_numbers, &thread, sizeof thread, &is_new);
    if (is_new) {
        r->threads = mt_alloc_grow(r->threads, &r->thread_capacity, r->thread_count + 1, sizeof *r->threads);
        r->threads[r->thread_count++] = thread;
    }
    return number;
}

static uint32_t by_of(const struct maker *m, const struct mt_site *site, const struct mt_frame_list *list)
{
    struct mt_places *places = m->report->places;
    struct mt_row_stack stack = { .trace_idx = site->trace_idx, .stack = site->stack, .allocator = site->allocator };
    struct mt_place place = mt_places_find(places, list);
    return mt_page_string_take(m->out->names, mt_behind_by(places, &stack, list, &place));
}

static void add_amounts(struct mt_page_row *row, const struct mt_site *site)
{
    for (size_t i = 0; i < MT_PAGE_MEASURES; i++) {
        struct mt_amount *to = &row->amount[i];
        to->bytes += site->amount[i].bytes;
        to->count += site->amount[i].count;
        to->bytes_variance += site->amount[i].bytes_variance;
        to->count_variance += site->amount[i].count_variance;
    }
    row->oldest_ns = site->oldest_ns < row->oldest_ns ? site->oldest_ns : row->oldest_ns;
}

bool mt_page_rows_alike(const struct mt_page_row *a, const struct mt_page_row *b)
{
    return a->node == b->node && a->thread == b->thread && a->allocator == b->allocator && a->line == b->line && a->by == b->by;
}

/* The row of the site before, when nothing tells the two apart but a label. */
static struct mt_page_row *row_of(struct mt_page_rows *r, const struct mt_page_row *key, bool sampled)
{
    struct mt_page_row *last = r->row_count > 0 && !sampled ? &r->rows[r->row_count - 1] : NULL;
    if (last != NULL && mt_page_rows_alike(last, key)) {
        return last;
    }
    r->rows = mt_alloc_grow(r->rows, &r->row_capacity, r->row_count + 1, sizeof *r->rows);
    r->rows[r->row_count] = *key;
    r->rows[r->row_count].number = (uint32_t)r->row_count;
    return &r->rows[r->row_count++];
}

/* Of the sites of one stack, from `at` on: does any of the same allocator hold something at the end? Of those that do not, growth says
 * nothing about leaks (analysis/leaks.c). */
static bool holds(const struct mt_site *const *sites, size_t count, size_t at)
{
    bool alive = false;
    for (size_t i = at; i < count && sites[i]->allocator == sites[at]->allocator; i++) {
        alive = alive || sites[i]->amount[MT_MEASURE_LIVE].count > 0;
    }
    return alive;
}

/* The sites of one stack. */
static void add_stack(const struct maker *m, const struct mt_site *const *sites, size_t count)
{
    struct mt_page_rows *r = m->out;
    struct mt_frame_list list = mt_frames_stack(r->resolver, sites[0]->trace_idx, sites[0]->stack);
    uint32_t node = node_of(r, &list);
    uint32_t by = 0;
    bool alive = false;
    for (size_t i = 0; i < count; i++) {
        bool other = i == 0 || sites[i]->allocator != sites[i - 1]->allocator;
        struct mt_page_row key = { .node = node,
                                   .thread = thread_of(r, sites[i]),
                                   .line = line_of(m, sites[i], &list),
                                   .allocator = sites[i]->allocator,
                                   .oldest_ns = UINT64_MAX };
        key.by = by = other ? by_of(m, sites[i], &list) : by;
        alive = other ? holds(sites, count, i) : alive;
        struct mt_page_row *row = row_of(r, &key, m->report->analysis->sampled);
        r->row_of_site[sites[i] - m->report->analysis->sites] = row->number;
        row->growth_bytes_per_s += alive ? sites[i]->growth_bytes_per_s : 0;
        row->moved += alive ? sites[i]->moved_count : 0;
        add_amounts(row, sites[i]);
    }
}

static int order(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_sites(const void *a, const void *b)
{
    const struct mt_site *x = *(const struct mt_site *const *)a, *y = *(const struct mt_site *const *)b;
    int by = order(x->trace_idx, y->trace_idx);
    by = by != 0 ? by : order(x->stack, y->stack);
    by = by != 0 ? by : order(x->allocator, y->allocator);
    return by != 0 ? by : order(x->stream, y->stream);
}

static size_t stack_end(const struct mt_site *const *sites, size_t count, size_t at)
{
    size_t end = at + 1;
    while (end < count && sites[end]->trace_idx == sites[at]->trace_idx && sites[end]->stack == sites[at]->stack) {
        end++;
    }
    return end;
}

static void add_sites(const struct maker *m)
{
    const struct mt_analysis *a = m->report->analysis;
    const struct mt_site **sites = mt_alloc(a->site_count * sizeof *sites);
    size_t count = 0;
    for (size_t i = 0; i < a->site_count; i++) {
        if (a->sites[i].storage == MT_STORAGE_HEAP) {
            sites[count++] = &a->sites[i];
        }
    }
    qsort(sites, count, sizeof *sites, compare_sites);
    for (size_t at = 0, end; at < count; at = end) {
        end = stack_end(sites, count, at);
        add_stack(m, sites + at, end - at);
    }
    free(sites);
}

static int compare_rows(const void *a, const void *b)
{
    const struct mt_page_row *x = a, *y = b;
    int by = order(x->node, y->node);
    by = by != 0 ? by : order(x->thread, y->thread);
    by = by != 0 ? by : order(x->allocator, y->allocator);
    by = by != 0 ? by : order(x->line, y->line);
    by = by != 0 ? by : order(x->by, y->by);
    return by != 0 ? by : order(x->number, y->number);
}

void mt_page_rows_sort(struct mt_page_rows *r)
{
    if (r->row_count > 1) {
        qsort(r->rows, r->row_count, sizeof *r->rows, compare_rows);
    }
}

static int compare_cells(const void *a, const void *b)
{
    const struct mt_edge_cell *x = a, *y = b;
    int by = order(x->site, y->site);
    by = by != 0 ? by : order(x->born, y->born);
    return by != 0 ? by : order(x->at, y->at);
}

void mt_page_rows_merge_cells(struct mt_page_rows *r)
{
    size_t kept = 0;
    if (r->cell_count > 1) {
        qsort(r->cells, r->cell_count, sizeof *r->cells, compare_cells);
    }
    for (size_t i = 0; i < r->cell_count; i++) {
        struct mt_edge_cell *last = kept > 0 ? &r->cells[kept - 1] : NULL;
        if (last != NULL && compare_cells(last, &r->cells[i]) == 0) {
            last->bytes += r->cells[i].bytes;
            last->count += r->cells[i].count;
            last->bytes_variance += r->cells[i].bytes_variance;
        } else {
            r->cells[kept++] = r->cells[i];
        }
    }
    r->cell_count = kept;
}

/* The rows are in their order: what changed between the edges, of each. */
static void make_cells(const struct maker *m)
{
    struct mt_page_rows *r = m->out;
    const struct mt_analysis *a = m->report->analysis;
    uint32_t *place = mt_alloc(r->row_count * sizeof *place); /* of a row's number */
    for (size_t i = 0; i < r->row_count; i++) {
        place[r->rows[i].number] = (uint32_t)i;
    }
    r->cells = mt_alloc(a->cell_count * sizeof *r->cells);
    r->cell_count = a->cell_count;
    for (size_t i = 0; i < a->cell_count; i++) {
        r->cells[i] = a->cells[i];
        r->cells[i].site = place[r->row_of_site[a->cells[i].site]];
    }
    free(place);
    mt_page_rows_merge_cells(r);
}

/* The same grouping as that of the lines, so numbers are the same. */
static mt_status mark_suspects(const struct maker *m)
{
    struct mt_leaks leaks;
    mt_status status = mt_leaks_make(m->report->set, m->report->analysis, m->grouping, 0, 0, &leaks);
    for (size_t i = 0; status == MT_OK && i < leaks.count; i++) {
        struct mt_page_line *line = &m->out->lines[leaks.rows[i].group];
        line->suspect = leaks.rows[i].suspect;
        line->score = leaks.rows[i].score;
    }
    mt_leaks_fini(&leaks);
    return status;
}

mt_status mt_page_rows_make(const struct mt_report *report, struct mt_page_strings *names, struct mt_page_rows *ret)
{
    *ret = (struct mt_page_rows){ .names = names, .resolver = mt_places_frames(report->places),
                                    .thread_numbers = mt_namemap_new() };
    struct maker m = { .report = report, .out = ret };
    m.grouping = mt_grouping_new(report->places, report->set, &(struct mt_grouping_options){ .by = MT_BY_LINE });
    ret->frames = mt_alloc_grow(NULL, &ret->frame_capacity, 1, sizeof *ret->frames);
    ret->frames[ret->frame_count++] = MT_PAGE_ROOT;
    (void)add_node(ret, (struct mt_page_node){ 0 });
    ret->row_of_site = mt_alloc_zero(report->analysis->site_count, sizeof *ret->row_of_site);
    add_sites(&m);
    mt_page_rows_sort(ret);
    make_cells(&m);
    mt_status status = mark_suspects(&m);
    mt_grouping_free(m.grouping);
    return status;
}

void mt_page_rows_fini(struct mt_page_rows *r)
{
    mt_index_fini(&r->node_index);
    mt_namemap_free(r->thread_numbers);
    free(r->frames);
    free(r->frame_numbers);
    free(r->nodes);
    free(r->lines);
    free(r->threads);
    free(r->rows);
    free(r->cells);
    free(r->row_of_site);
    *r = (struct mt_page_rows){ 0 };
}
