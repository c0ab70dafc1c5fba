/* rows_private.h: a report's rows while they are written. Private to export/rows*.c. */
#ifndef MT_EXPORT_ROWS_PRIVATE_H
#define MT_EXPORT_ROWS_PRIVATE_H

#include "export/behind.h"
#include "export/rows.h"

struct mt_row {
    const struct mt_frame *frame; /* NULL: the row is not a place in the code */
    const char *label;            /* thread, allocator, module, label (NULL: none) or what allocated instead; NULL: the frame */
    uint32_t trace_idx;
    uint32_t stack;
    bool import;
    const struct mt_amount *self;
    const struct mt_amount *total;
    const struct mt_leak *leak; /* NULL: a table row */
    const struct mt_row_stacks *stacks;
};

struct mt_row_writer {
    const struct mt_report *report;
    struct mt_out *out;
    const struct mt_rowstacks *stacks;
    const char *label_key; /* JSON and CSV name of label; NULL: rows are frames */
    bool function, line;   /* what of the frame the row stands for */
    bool behind;           /* rows have something behind them */
    const struct mt_amount *sum;
    bool leaks;
};

/* Text for people: rows_text.c. of: rows before the limit. */
void mt_rows_write_text(const struct mt_row_writer *w, const struct mt_row *rows, size_t of);
/* rows_order.c. Behind the rows of lines that one can edit those of start-up (imports too, where the report has them apart), then those that hold nothing themselves, each
 * kind in its order. Returns how many the first are; all where there are none. */
size_t mt_rows_set_apart(const struct mt_row_writer *w, struct mt_row *rows, size_t count);

#endif
