/* rowstacks.h: the stacks behind the rows of a report.
 *
 * Decides: one list of links for all rows; a row knows its first link and how many it has. Context: [tool].
 */
#ifndef MT_ANALYSIS_ROWSTACKS_H
#define MT_ANALYSIS_ROWSTACKS_H

#include <stddef.h>
#include <stdint.h>

/* One stack of one row. */
struct mt_row_stack {
    uint32_t trace_idx, stack;
    uint8_t allocator; /* enum mt_allocator */
    uint64_t bytes;    /* that it holds of the row's own */
    size_t next;    /* 1 + number of the next link of the row; 0: the last */
};

struct mt_rowstacks {
    struct mt_row_stack *links;
    size_t count, capacity;
};

/* The list of a row; all zero is empty. */
struct mt_row_stacks {
    size_t first; /* 1 + number of a link; 0 none */
    size_t count;
};

/* link.next is set here. */
void mt_rowstacks_add(struct mt_rowstacks *all, struct mt_row_stacks *row, struct mt_row_stack link);
/* The link behind one (NULL: the first of the row); NULL: there are no more. */
const struct mt_row_stack *mt_rowstacks_next(const struct mt_rowstacks *all, const struct mt_row_stacks *row,
                                             const struct mt_row_stack *link);
void mt_rowstacks_fini(struct mt_rowstacks *all);

#endif
