/* timepoint.h: a moment in a recording, as people name it.
 *
 * Decides: T is seconds from the start ("1.5", or with a unit: "250ms", "2m"), a share of the recording ("50%"),
 * "peak", "oom", "mark" or "mark:2" (model/run_marks.h), or a moment that each process has of its own: "end", "exit", "main-end" (model/moment.h). Parsing needs no trace;
 * resolving does. Context: [tool], pure.
 */
#ifndef MT_UTIL_TIMEPOINT_H
#define MT_UTIL_TIMEPOINT_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mt_timepoint_kind {
    MT_TIMEPOINT_NS,
    MT_TIMEPOINT_SHARE,
    MT_TIMEPOINT_PEAK,
    MT_TIMEPOINT_OOM,
    MT_TIMEPOINT_MARK,
    MT_TIMEPOINT_END,
    MT_TIMEPOINT_EXIT,
    MT_TIMEPOINT_MAIN_END,
};

/* What T may be, for messages. */
#define MT_TIMEPOINT_FORMS "seconds (1.5, 250ms), 50%, peak, oom, mark, mark:N, end, exit or main-end"

struct mt_timepoint {
    enum mt_timepoint_kind kind;
    uint64_t ns;  /* MT_TIMEPOINT_NS: since the start; MT_TIMEPOINT_MARK: its number, 0 the last one */
    double share; /* MT_TIMEPOINT_SHARE: 0 … 1 */
};

/* text[0..bytes); false and ret untouched when it is none of the forms. */
bool mt_timepoint_parse(const char *text, size_t bytes, struct mt_timepoint *ret) MT_CHECKED;
/* "T0,T1". */
bool mt_timepoint_parse_pair(const char *text, struct mt_timepoint ret[2]) MT_CHECKED;
/* ns since the start; of a moment that is each process's own, and of marks, 0. */
uint64_t mt_timepoint_resolve(const struct mt_timepoint *point, uint64_t duration_ns, uint64_t peak_ns);

#endif
