/* timeline.h: the heap over time, interval by interval.
 *
 * Decides: what fits 80 columns: a bar as long as the most that was held in the interval. The data's columns are
 * table/tables.def's, the number of intervals is the analysis's. Context: [tool].
 */
#ifndef MT_EXPORT_TIMELINE_H
#define MT_EXPORT_TIMELINE_H

#include "export/report.h"

void mt_timeline_write(struct mt_out *out, const struct mt_report *report);

#endif
