/* rows.h: what a page is made of, before it is written: frames, call tree, lines and rows.
 *
 * Decides: a row is what one thread allocated by one allocator in one stack as it is shown, with all measures at once, so
 * that every sum a page shows is a sum of rows. Stacks are paths of one tree, parents before children, node 0 the root. A row's
 * line is the place it belongs to (model/place.h). Estimates are rounded a site, so of a sampled run each site has a row of its own.
 * Heap only. Context: [tool].
 */
#ifndef MT_PAGE_ROWS_H
#define MT_PAGE_ROWS_H

#include "export/report.h"
#include "model/index.h"
#include "page/strings.h"

/* The measures of a page are the first ones of enum mt_measure; a window is made of the edges instead. */
enum { MT_PAGE_MEASURES = MT_MEASURE_WINDOW };

/* Frames that are none of the resolver's. */
#define MT_PAGE_ROOT UINT32_MAX
#define MT_PAGE_SMALLER (UINT32_MAX - 1) /* what was folded (fold.h) */

struct mt_page_node {
    uint32_t parent, frame; /* the root: 0, 0 */
};

struct mt_page_line {
    uint32_t frame; /* that stands for it */
    bool import;
    bool suspect; /* of a leak (analysis/leaks.h), and with what score; 0 also where nothing is alive */
    double score;
};

struct mt_page_thread {
    uint32_t trace_idx, stream;
};

struct mt_page_row {
    uint32_t node, thread, line, by; /* by: of names */
    uint32_t number;                 /* as it was met */
    uint8_t allocator;
    struct mt_amount amount[MT_PAGE_MEASURES];
    uint64_t oldest_ns; /* as in struct mt_site */
    double growth_bytes_per_s; /* of what is not all freed (analysis/leaks.h) */
    uint64_t moved;            /* reallocs of the same */
};

struct mt_page_rows {
    struct mt_page_strings *names; /* what allocated; borrowed */
    struct mt_frames *resolver;    /* borrowed */
    uint32_t *frames;              /* ids of the resolver, or one of those above, by a page's number; number 0 is the root's */
    size_t frame_count, frame_capacity;
    uint32_t *frame_numbers;         /* of a resolver's id; 0: not met yet */
    size_t frame_number_count;
    struct mt_page_node *nodes;
    size_t node_count, node_capacity;
    struct mt_index node_index;
    struct mt_page_line *lines;
    size_t line_count, line_capacity;
    struct mt_page_thread *threads;
    size_t thread_count, thread_capacity;
    struct mt_namemap *thread_numbers;
    struct mt_page_row *rows; /* by node */
    size_t row_count, row_capacity;
    struct mt_edge_cell *cells; /* as the analysis', with the number of a row for the site; by row, born and at */
    size_t cell_count;
    double share;               /* nodes with less of everything are folded (fold.h); 0: none is */
    uint32_t *row_of_site;      /* while they are made: the number of a row, of each site */
};

/* names: to be filled. Whatever the status, mt_page_rows_fini. */
mt_status mt_page_rows_make(const struct mt_report *report, struct mt_page_strings *names, struct mt_page_rows *ret) MT_CHECKED;
void mt_page_rows_fini(struct mt_page_rows *rows);

/* Nothing but amounts tells the two apart. */
bool mt_page_rows_alike(const struct mt_page_row *a, const struct mt_page_row *b);
void mt_page_rows_sort(struct mt_page_rows *rows);
/* Sorts the cells; those of one row, birth and change become one. */
void mt_page_rows_merge_cells(struct mt_page_rows *rows);

#endif
