/* postmortem.h: how a process came to its end, in ten lines: who ended it, at which limit, what grew last and how fast, who held what, and
 * what the heap held in the last minutes. Which process it is about: postmortem_facts.h. Context: [tool].
 */
#ifndef MT_EXPORT_POSTMORTEM_H
#define MT_EXPORT_POSTMORTEM_H

#include "analysis/diff.h"
#include "export/report.h"

struct mt_postmortem {
    const struct mt_report *report; /* of what was alive at the end */
    const struct mt_table *held;    /* by line */
    const struct mt_diff *diff;     /* from window_ns before the end; NULL: not known */
    uint64_t window_ns;
    const struct mt_analysis *timeline; /* with its points; NULL: not known */
    size_t rows;                        /* at most so many in JSON; 0: all */
    bool json;
};

void mt_postmortem_write(struct mt_out *out, const struct mt_postmortem *p);

#endif
