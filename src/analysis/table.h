/* table.h: a profile as a flat list, by line, function, file, allocator, thread, label, task, module or process, or by stack.
 *
 * Decides: what a row holds. `self` is the memory that belongs to the row (grouping.h), so rows add up to the whole; `total`
 * also what was allocated anywhere below one of its lines, each stack once, however often it recurs. Where rows are no
 * lines, total equals self. Sorted by self bytes, then total. A row keeps its stacks, for what stands behind it.
 * Context: [tool], pure given a resolver.
 */
#ifndef MT_ANALYSIS_TABLE_H
#define MT_ANALYSIS_TABLE_H

#include "analysis/grouping.h"
#include "analysis/profile.h"
#include "analysis/rowstacks.h"
#include "model/frames.h"

struct mt_table_row {
    uint32_t frame;     /* a frame that stands for the row (its function, file, line as far as they apply) */
    uint32_t trace_idx; /* with stack: the heaviest stack of the row */
    uint32_t stack;
    uint32_t stream;    /* MT_BY_THREAD: the thread (of trace_idx), else 0 */
    uint8_t allocator;  /* MT_BY_TYPE: enum mt_allocator, else 0 */
    bool import;        /* the row is an import */
    const char *name;   /* of a module, of what allocated, or a label; owned by the table; else NULL */
    struct mt_amount self;
    struct mt_amount total;
    struct mt_row_stacks stacks; /* those that self is the sum of */
};

struct mt_table {
    struct mt_table_row *rows;
    size_t count;
    struct mt_amount sum;
    char *text; /* private: names */
    struct mt_rowstacks stacks;
};

/* options may be NULL: by line. For MT_BY_THREAD, MT_BY_TYPE, MT_BY_LABEL and MT_BY_TASK make the profile with by_thread,
 * by_allocator or by_label. */
mt_status mt_table_make(const struct mt_trace_set *set, const struct mt_profile *profile, struct mt_places *places,
                        const struct mt_grouping_options *options, struct mt_table *ret) MT_CHECKED;
void mt_table_fini(struct mt_table *table);

#endif
