/* table.h: a profile as a flat list, by function, file, line, allocator, thread or module.
 *
 * Decides: what a row is. `self` is what was allocated with the row's frame innermost; `total` also what was allocated
 * further in, each stack once, however often it recurs. Sorted by self bytes (so the rows add up to the whole), then
 * total. For thread and type (allocator), total equals self. Context: [tool], pure given a resolver.
 */
#ifndef MT_ANALYSIS_TABLE_H
#define MT_ANALYSIS_TABLE_H

#include "analysis/profile.h"
#include "model/frames.h"

enum mt_table_by {
    MT_BY_FUNCTION,
    MT_BY_FILE,
    MT_BY_LINE, /* function, file and line: the default */
    MT_BY_TYPE, /* allocator */
    MT_BY_THREAD,
    MT_BY_MODULE, /* binary, or Python file's top-level package */
    MT_BY__COUNT
};
/* "function" → MT_BY_FUNCTION …; false for an unknown word. */
bool mt_table_by_parse(const char *word, enum mt_table_by *ret);

struct mt_table_row {
    uint32_t frame;     /* a frame that stands for the row (its function, file, line as far as they apply) */
    uint32_t trace_idx; /* with stack: the heaviest stack of the row */
    uint32_t stack;
    uint32_t stream;    /* MT_BY_THREAD: the thread (of trace_idx), else 0 */
    uint8_t allocator;  /* MT_BY_TYPE: enum mt_allocator, else 0 */
    const char *module; /* MT_BY_MODULE: its name, owned by the table; else NULL */
    struct mt_amount self;
    struct mt_amount total;
};

struct mt_table {
    struct mt_table_row *rows;
    size_t count;
    struct mt_amount sum;
    char *text; /* private: module names */
};

/* For MT_BY_THREAD and MT_BY_TYPE make the profile with by_thread / by_allocator. */
mt_status mt_table_make(const struct mt_profile *profile, struct mt_frames *frames, enum mt_table_by by,
                        struct mt_table *ret) MT_CHECKED;
void mt_table_fini(struct mt_table *table);

#endif
