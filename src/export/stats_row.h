/* stats_row.h: the numbers of a recording as a row of the table `stats` (table/tables.def).
 *
 * Decides: which of them are not known: of an aggregate what was temporary, of several aggregates when the peak was, of old
 * traces the processor time. Context: [tool].
 */
#ifndef MT_EXPORT_STATS_ROW_H
#define MT_EXPORT_STATS_ROW_H

#include "export/facts.h"
#include "table/tables.h"

/* Give it to fini; the report outlives it. */
void mt_stats_row_make(const struct mt_report *report, const struct mt_facts *facts, struct mt_row_stats *ret);
void mt_stats_row_fini(struct mt_row_stats *row);

#endif
