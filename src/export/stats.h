/* stats.h: the numbers of a recording as a whole.
 *
 * Decides: which lists JSON has beside the numbers of table/tables.def. Context: [tool].
 */
#ifndef MT_EXPORT_STATS_H
#define MT_EXPORT_STATS_H

#include "export/report.h"

/* The object of `stats -f json`. */
void mt_stats_put(struct mt_json *json, const struct mt_report *report);
void mt_stats_write(struct mt_out *out, const struct mt_report *report);

#endif
