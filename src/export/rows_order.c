/* rows_order.c: the order of a report's rows. Context: [tool]. */
#include "export/rows_private.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

/* What nobody can edit: what Python and libraries do before the program begins. Of leaks and the summary also imports: modules stay on purpose. */
static bool is_apart(const struct mt_row_writer *w, const struct mt_row *row)
{
    return row->import && (w->report->imports_apart || (row->frame != NULL && row->frame->file[0] == '\0'));
}

static bool holds_nothing(const struct mt_row *row)
{
    return row->self->bytes == 0 && row->self->count == 0;
}

size_t mt_rows_set_apart(const struct mt_row_writer *w, struct mt_row *rows, size_t count)
{
    enum { OWN, APART, EMPTY, ORDERS };
    const struct mt_grouping_options *grouping = &w->report->grouping;
    bool apart = w->label_key == NULL && !grouping->stacks && !grouping->invert;
    struct mt_row *ordered = mt_alloc_zero(count, sizeof *ordered);
    size_t at = 0, own = 0;
    for (unsigned order = OWN; apart && order < ORDERS; order++) {
        for (size_t i = 0; i < count; i++) {
            unsigned is = holds_nothing(&rows[i]) ? EMPTY : is_apart(w, &rows[i]) ? APART : OWN;
            if (is == order) {
                ordered[at++] = rows[i];
            }
        }
        own = order == OWN ? at : own;
    }
    memcpy(rows, ordered, at * sizeof *rows);
    free(ordered);
    return own > 0 ? own : count;
}
