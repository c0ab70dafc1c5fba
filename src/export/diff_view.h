/* diff_view.h: a difference for people (terminal, Markdown), for programs and for a CI server (JUnit).
 *
 * Decides: amounts carry their sign; what grew, shrank, appeared and vanished stands apart, what changed most first; in sample
 * mode a change comes with its error. Context: [tool].
 */
#ifndef MT_EXPORT_DIFF_VIEW_H
#define MT_EXPORT_DIFF_VIEW_H

#include "analysis/diff.h"
#include "export/report.h"

enum mt_diff_format { MT_DIFF_TABLE, MT_DIFF_JSON, MT_DIFF_CSV, MT_DIFF_NDJSON, MT_DIFF_MARKDOWN, MT_DIFF_JUNIT };

struct mt_diff_report {
    const struct mt_diff *diff;
    const struct mt_report *side[MT_DIFF_SIDES];
    const char *name[MT_DIFF_SIDES]; /* as the person called them */
    const struct mt_table *table[MT_DIFF_SIDES];
    enum mt_table_by by;
    enum mt_diff_format format;
    size_t rows; /* at most so many of each kind of change; 0: all */
    bool limited;       /* JUnit: there is a limit */
    double limit_bytes; /* what the memory may have grown by */
};

void mt_diff_write(struct mt_out *out, const struct mt_diff_report *report);

#endif
