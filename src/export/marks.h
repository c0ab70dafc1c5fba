/* marks.h: what happened once in a run, for reports: snapshots, phases, memory that ran short, the first allocation that failed.
 *
 * Decides: a mark is shown with what the run held then, and a failure with what was asked for and the line that asked. Context:
 * [tool].
 */
#ifndef MT_EXPORT_MARKS_H
#define MT_EXPORT_MARKS_H

#include "export/report.h"

/* "malloc of 2.00 GiB failed at app.c:31 load, 1.90 GiB alive then"; NULL: nothing failed. Clean. malloc'ed. */
char *mt_marks_failure(const struct mt_report *report);
/* Rows of stats. */
void mt_marks_write(struct mt_out *out, const struct mt_report *report);
/* "out_of_memory": null or { time_s, pid, allocator, requested_bytes, alive_bytes, alive_allocations, function, file, line, stack[] },
 * "marks": [ { kind, mark, name, time_s, pid, alive_bytes, alive_allocations } … ]. */
void mt_marks_put(struct mt_json *json, const struct mt_report *report);

#endif
