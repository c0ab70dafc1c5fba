/* closing.h: the closing lines of a run. Internal to launch/. Context: [tool]. */
#ifndef MT_LAUNCH_CLOSING_H
#define MT_LAUNCH_CLOSING_H

#include "launch/launch.h"
#include "reader/reports.h"

/* No process of the run left a trace: says why. */
void mt_closing_explain_missing(const struct mt_run *run);
/* FILE is not what was recorded: says where that is. others: traces in FILE.d. */
void mt_closing_say_where(const struct mt_run *run, size_t others);
/* What was read of a run; all zero: nothing yet. */
struct mt_closing {
    bool read;
    mt_status status;
    struct mt_error err;
    struct mt_report_job job;
};
/* Reads what the lines need of FILE and FILE.d as they are. */
void mt_closing_read(const struct mt_run *run, struct mt_closing *closing);
/* Sums the run up, problems included; problems only with -q. Reads what was not read before. live: processes of the run that are
 * still being recorded. */
void mt_closing_report(const struct mt_run *run, struct mt_closing *closing, size_t live);
void mt_closing_fini(struct mt_closing *closing);

/* Processes that are not recorded, as they are known without a trace. */
void mt_closing_say_unrecorded(const struct mt_run *run);

#endif
