/* stats_text.h: the numbers of a recording as a whole, for people. Context: [tool]. */
#ifndef MT_EXPORT_STATS_TEXT_H
#define MT_EXPORT_STATS_TEXT_H

#include "export/stats_row.h"

void mt_stats_write_text(struct mt_out *out, const struct mt_report *report, const struct mt_facts *facts,
                         const struct mt_row_stats *row);

#endif
