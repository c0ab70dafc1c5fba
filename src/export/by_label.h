/* by_label.h: how much each label and task holds, for the numbers of a recording as a whole. Context: [tool]. */
#ifndef MT_EXPORT_BY_LABEL_H
#define MT_EXPORT_BY_LABEL_H

#include "export/report.h"

/* by_label[] and by_task[]: of each text, over all processes, what was allocated, at the peak and leaked; the largest at the
 * peak first. Null where an aggregate trace knows none. */
void mt_by_label_put(struct mt_json *json, const struct mt_report *report);

#endif
