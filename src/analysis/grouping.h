/* grouping.h: which row of a report a stack's memory belongs to.
 *
 * Decides: what makes two stacks one row: the place (model/place.h) by line, function or file; the binary or package; the
 * thread; the label or task (model/trace.h); the allocator; the place in one process; the stack as it is shown; or what allocated, wherever it was called from
 * (inverted). Which binary or package is asked of the code itself, not of whose it is. Rows are numbered 0, 1, 2 … as they
 * are first met. Context: [tool], one thread.
 */
#ifndef MT_ANALYSIS_GROUPING_H
#define MT_ANALYSIS_GROUPING_H

#include "model/place.h"

enum mt_table_by {
    MT_BY_FUNCTION,
    MT_BY_FILE,
    MT_BY_LINE, /* function, file and line: the default */
    MT_BY_TYPE, /* allocator */
    MT_BY_THREAD,
    MT_BY_MODULE, /* binary, library's top-level Python package, or Python file */
    MT_BY_PROCESS, /* as BY_LINE, each process by itself */
    MT_BY_LABEL, /* what the program said, or a request; those of one text are one */
    MT_BY_TASK, /* the same of names of tasks, and of threads where no task is named */
    MT_BY__COUNT
};
#define MT_TABLE_BY_WORDS "function, file, line, type, thread, module, process, label, task"
/* Are rows labels of some kind? */
MT_INLINE bool mt_table_by_is_label(enum mt_table_by by)
{
    return by == MT_BY_LABEL || by == MT_BY_TASK;
}
/* "function" → MT_BY_FUNCTION …; false for an unknown word. */
bool mt_table_by_parse(const char *word, enum mt_table_by *ret);

struct mt_grouping_options {
    enum mt_table_by by;
    bool stacks; /* a row a stack as it is shown, whatever by (but MT_BY_PROCESS keeps processes apart) */
    bool invert; /* a row a function that allocated; by line, function and file only */
    bool self_only; /* nobody asks what was allocated below a row */
};

/* Memory of one stack. */
struct mt_grouping_item {
    uint32_t trace_idx, stack;
    uint32_t stream;   /* MT_BY_THREAD */
    uint32_t label;    /* MT_BY_LABEL, MT_BY_TASK */
    uint8_t allocator; /* MT_BY_TYPE */
};

struct mt_group {
    uint32_t frame;  /* that stands for the row */
    uint32_t number; /* of the row */
    const char *key; /* in the grouping; rows are in order of it where all else is equal */
    size_t key_bytes;
    const char *name; /* MT_BY_MODULE: the module; inverted: what allocated; of a label or task its text; else NULL */
    bool import;      /* the place is an import */
};

struct mt_grouping;
/* options may be NULL: by line. places must outlive it. */
struct mt_grouping *mt_grouping_new(struct mt_places *places, const struct mt_trace_set *set,
                                    const struct mt_grouping_options *options);
void mt_grouping_free(struct mt_grouping *g); /* NULL is fine */

/* The row of an item; list: the frames of its stack. */
uint32_t mt_grouping_row(struct mt_grouping *g, const struct mt_grouping_item *item, const struct mt_frame_list *list);
/* The row of the places at a frame; for by function, file, line and module. */
uint32_t mt_grouping_row_of_frame(struct mt_grouping *g, uint32_t frame);
/* Do frames further out have rows too? */
bool mt_grouping_has_callers(const struct mt_grouping *g);
enum mt_table_by mt_grouping_by(const struct mt_grouping *g);
struct mt_frames *mt_grouping_frames(const struct mt_grouping *g);
size_t mt_grouping_count(const struct mt_grouping *g);
/* Valid until the next row is made. */
const struct mt_group *mt_grouping_group(const struct mt_grouping *g, uint32_t row);

#endif
