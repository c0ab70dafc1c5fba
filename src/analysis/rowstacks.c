/* rowstacks.c: see rowstacks.h. */
#include "analysis/rowstacks.h"

#include "util/memory.h"

#include <stdlib.h>

void mt_rowstacks_add(struct mt_rowstacks *all, struct mt_row_stacks *row, struct mt_row_stack link)
{
    all->links = mt_alloc_grow(all->links, &all->capacity, all->count + 1, sizeof *all->links);
    link.next = row->first;
    all->links[all->count++] = link;
    row->first = all->count;
    row->count++;
}

const struct mt_row_stack *mt_rowstacks_next(const struct mt_rowstacks *all, const struct mt_row_stacks *row,
                                             const struct mt_row_stack *link)
{
    size_t next = link != NULL ? link->next : row->first;
    return next > 0 ? &all->links[next - 1] : NULL;
}

void mt_rowstacks_fini(struct mt_rowstacks *all)
{
    free(all->links);
    *all = (struct mt_rowstacks){ 0 };
}
