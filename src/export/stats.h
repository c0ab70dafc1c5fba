/* stats.h: the numbers of a recording as a whole.
 *
 * Decides: the field names of `stats -f json` (contract: they do not change without a CHANGELOG entry). Estimates carry
 * `_ci95`, the half width of the 95 % interval. Context: [tool].
 */
#ifndef MT_EXPORT_STATS_H
#define MT_EXPORT_STATS_H

#include "export/report.h"

void mt_stats_write(struct mt_out *out, const struct mt_report *report);

#endif
