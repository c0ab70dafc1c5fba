/* table.c: see table.h.
 *
 * Every row of the profile is added to the row it belongs to (self) and, once each, to those of all its frames (total).
 * Context: [tool].
 */
#include "analysis/table.h"

#include "analysis/pass.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

struct row {
    struct mt_table_row out;
    const char *key; /* the grouping's, for the order of equal rows */
    size_t key_bytes; /* 0: of stacks, whose keys depend on which frames were numbered before */
    uint64_t heaviest; /* bytes of its heaviest stack so far, + 1 */
    size_t stamp;      /* last profile row that was added to total, + 1 */
};

struct maker {
    struct mt_grouping *grouping;
    struct mt_frames *frames;
    bool by_stack;
    struct mt_table *table;
    struct row *rows; /* by the grouping's numbers */
    size_t count, capacity;
};

/* May move the rows. */
static struct row *row_at(struct maker *m, uint32_t number)
{
    if (number >= m->count) {
        m->rows = mt_alloc_grow(m->rows, &m->capacity, (size_t)number + 1, sizeof *m->rows);
        memset(m->rows + m->count, 0, (number + 1 - m->count) * sizeof *m->rows);
        m->count = (size_t)number + 1;
    }
    return &m->rows[number];
}

static void add_self(struct maker *m, struct row *row, const struct mt_profile_row *from)
{
    mt_amount_add(&row->out.self, &from->amount);
    mt_rowstacks_add(&m->table->stacks, &row->out.stacks,
                     (struct mt_row_stack){ .trace_idx = from->trace_idx,
                                            .stack = from->stack,
                                            .allocator = from->allocator,
                                            .bytes = from->amount.bytes });
    if (from->amount.bytes + 1 > row->heaviest) {
        row->heaviest = from->amount.bytes + 1;
        row->out.trace_idx = from->trace_idx;
        row->out.stack = from->stack;
    }
    row->out.stream = from->stream;
    row->out.allocator = from->allocator;
}

static void add_total(struct row *row, const struct mt_profile_row *from, size_t stamp)
{
    if (row->stamp == stamp) {
        return;
    }
    row->stamp = stamp;
    mt_amount_add(&row->out.total, &from->amount);
    if (row->heaviest == 0) { /* nothing of its own so far: any stack through it */
        row->out.trace_idx = from->trace_idx;
        row->out.stack = from->stack;
    }
}

static void add_row(struct maker *m, const struct mt_profile_row *from, size_t stamp)
{
    struct mt_frame_list list = mt_frames_stack(m->frames, from->trace_idx, from->stack);
    struct mt_grouping_item item = { from->trace_idx, from->stack, from->stream, from->label, from->allocator };
    struct row *own = row_at(m, mt_grouping_row(m->grouping, &item, &list));
    add_self(m, own, from);
    add_total(own, from, stamp);
    for (size_t i = 0; i < list.count && mt_grouping_has_callers(m->grouping); i++) {
        add_total(row_at(m, mt_grouping_row_of_frame(m->grouping, list.ids[i])), from, stamp);
    }
}

static int compare_stacks(const struct mt_table_row *x, const struct mt_table_row *y)
{
    if (x->trace_idx != y->trace_idx) {
        return x->trace_idx < y->trace_idx ? -1 : 1;
    }
    return x->stack < y->stack ? -1 : x->stack > y->stack;
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->out.self.bytes != y->out.self.bytes) {
        return x->out.self.bytes > y->out.self.bytes ? -1 : 1;
    }
    if (x->out.total.bytes != y->out.total.bytes) {
        return x->out.total.bytes > y->out.total.bytes ? -1 : 1;
    }
    if (x->out.self.count != y->out.self.count) {
        return x->out.self.count > y->out.self.count ? -1 : 1;
    }
    if (x->key_bytes == 0 && y->key_bytes == 0) {
        return compare_stacks(&x->out, &y->out);
    }
    size_t common = x->key_bytes < y->key_bytes ? x->key_bytes : y->key_bytes;
    int order = memcmp(x->key, y->key, common);
    return order != 0 ? order : (x->key_bytes > y->key_bytes) - (x->key_bytes < y->key_bytes);
}

/* What the grouping knows of each row. Names move into one text the table owns. */
static void describe(struct maker *m, struct mt_table *table)
{
    size_t text_bytes = 1;
    for (size_t i = 0; i < m->count; i++) {
        const struct mt_group *group = mt_grouping_group(m->grouping, (uint32_t)i);
        text_bytes += group->name != NULL ? group->key_bytes + 1 : 0;
    }
    char *text = table->text = mt_alloc(text_bytes);
    for (size_t i = 0; i < m->count; i++) {
        const struct mt_group *group = mt_grouping_group(m->grouping, (uint32_t)i);
        struct row *row = &m->rows[i];
        row->out.frame = group->frame;
        row->out.import = group->import;
        row->key = group->key;
        row->key_bytes = m->by_stack ? 0 : group->key_bytes;
        if (group->name != NULL) {
            memcpy(text, group->key, group->key_bytes);
            text[group->key_bytes] = '\0';
            row->out.name = text;
            text += group->key_bytes + 1;
        }
    }
}

static void finish(struct maker *m, struct mt_table *table)
{
    describe(m, table);
    if (m->count > 0) {
        qsort(m->rows, m->count, sizeof *m->rows, compare_rows);
    }
    table->rows = mt_alloc(m->count * sizeof *table->rows);
    for (size_t i = 0; i < m->count; i++) {
        table->rows[i] = m->rows[i].out;
    }
    table->count = m->count;
}

mt_status mt_table_make(const struct mt_trace_set *set, const struct mt_profile *profile, struct mt_places *places,
                        const struct mt_grouping_options *options, struct mt_table *ret)
{
    struct maker m = { .grouping = mt_grouping_new(places, set, options),
                       .frames = mt_places_frames(places),
                      .by_stack = options != NULL && options->stacks,
                       .table = ret };
    *ret = (struct mt_table){ .sum = profile->sum };
    for (size_t i = 0; i < profile->count; i++) {
        add_row(&m, &profile->rows[i], i + 1);
    }
    finish(&m, ret);
    mt_grouping_free(m.grouping);
    free(m.rows);
    return MT_OK;
}

void mt_table_fini(struct mt_table *table)
{
    mt_rowstacks_fini(&table->stacks);
    free(table->rows);
    free(table->text);
    *table = (struct mt_table){ 0 };
}
