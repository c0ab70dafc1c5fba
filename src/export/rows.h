/* rows.h: tables and leak lists in every format.
 *
 * Decides: the columns and the JSON fields of `table`, `summary` and `leaks` (contract: function, file, line, bytes,
 * count, percent, thread, stack; leaks adds age_s, score, growth_bytes_per_s). `bytes` and `count` are the row's own,
 * so that rows add up to the whole; `by` names what allocated there (inverted: `lines`, what called it), `stacks` counts the
 * different stacks; total_bytes and total_count also hold what was allocated further in. Context:
 * [tool].
 */
#ifndef MT_EXPORT_ROWS_H
#define MT_EXPORT_ROWS_H

#include "analysis/leaks.h"
#include "analysis/table.h"
#include "export/report.h"

/* table and leaks as report->grouping made them. */
void mt_rows_write_table(struct mt_out *out, const struct mt_report *report, const struct mt_table *table);
void mt_rows_write_leaks(struct mt_out *out, const struct mt_report *report, const struct mt_leaks *leaks);

/* What programs get to read of a row that stands for frame `of` of a stack: the place by itself. An import's file is that of what was
 * imported, and it has no line. Texts are the frames'. */
struct mt_frame mt_rows_frame(struct mt_frames *frames, uint32_t trace_idx, uint32_t stack, const struct mt_frame *of, bool import);

/* "file:line", the binary when there is no file, "" when nothing is known. malloc'ed. */
char *mt_rows_place(const struct mt_frame *frame);

#endif
