/* processes.h: who of a run held the memory at its peak.
 *
 * Decides: the processes that together held 95 % of it are shown by name, largest first, the rest as one row with number and
 * sum, so that the helpers of a launcher do not bury the program. What exec put in the place of a program is the same
 * process. Context: [tool].
 */
#ifndef MT_EXPORT_PROCESSES_H
#define MT_EXPORT_PROCESSES_H

#include "export/report.h"

/* A table; nothing for a run of one process. */
void mt_processes_write(struct mt_out *out, const struct mt_report *report);
/* One line of a few names with their shares; for a run of several processes. */
void mt_processes_brief(struct mt_out *out, const struct mt_report *report);
/* Lines of names and values: by_process.PID.command, .peak_bytes, by_process.others.processes, .peak_bytes. */
void mt_processes_csv(struct mt_out *out, const struct mt_report *report);
/* "end" or "exit": what LIVE is of in the run. */
const char *mt_processes_leaks_at(const struct mt_report *report);
/* "by_process": [ { pid, command, peak_bytes, leaks_at } …
 * { pid: null, processes, peak_bytes } ]. */
void mt_processes_put(struct mt_json *json, const struct mt_report *report);

#endif
