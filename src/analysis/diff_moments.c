/* diff_moments.c: see diff_moments.h. */
#include "analysis/diff_moments.h"

#include "util/memory.h"
#include "util/namemap.h"

#include <stdlib.h>
#include <string.h>

/* What makes a row of such a table another one. malloc'ed. */
static char *name_of(const struct mt_frame *frame, enum mt_table_by by)
{
    return mt_format("%s\n%s\n%s\n%u", frame->file, frame->module, by == MT_BY_FILE ? "" : frame->function,
                     by == MT_BY_LINE ? frame->line : 0);
}

static uint32_t number_of(struct mt_namemap *names, const struct mt_frame *frame, enum mt_table_by by)
{
    char *name = name_of(frame, by);
    uint32_t number = mt_namemap_put(names, name, strlen(name), NULL);
    free(name);
    return number;
}

/* Samples of the earlier moment that are gone, and those of the later one that are new: what both have is var(later) - var(new). */
static double variance_of(const struct mt_amount amount[MT_DIFF_SIDES], unsigned later, double new_variance)
{
    double both = amount[later].bytes_variance - new_variance;
    double gone = amount[1 - later].bytes_variance - both;
    return (gone > 0 ? gone : 0) + new_variance;
}

void mt_diff_share_samples(struct mt_diff *diff, enum mt_table_by by, unsigned later, const struct mt_diff_side *since)
{
    const struct mt_table *table = since->table;
    struct mt_namemap *names = mt_namemap_new();
    double *new_variance = mt_alloc_zero(table->count + diff->count + 1, sizeof *new_variance);
    for (size_t i = 0; i < table->count; i++) {
        uint32_t number = number_of(names, mt_frames_frame(since->frames, table->rows[i].frame), by);
        new_variance[number] += table->rows[i].self.bytes_variance;
    }
    for (size_t i = 0; i < diff->count; i++) {
        struct mt_diff_row *row = &diff->rows[i];
        row->bytes_variance = variance_of(row->amount, later, new_variance[number_of(names, row->frame, by)]);
    }
    diff->bytes_variance = variance_of(diff->sum, later, table->sum.bytes_variance);
    free(new_variance);
    mt_namemap_free(names);
}
