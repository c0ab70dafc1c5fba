/* closing.h: the closing lines of a run. Internal to launch/. Context: [tool]. */
#ifndef MT_LAUNCH_CLOSING_H
#define MT_LAUNCH_CLOSING_H

#include "launch/launch.h"
#include "util/strlist.h"

/* No process of the run left a trace: says why. */
void mt_closing_explain_missing(const struct mt_run *run);
/* Sums the traces up, warnings included. live: processes of the run that are still being recorded. */
void mt_closing_report(const struct mt_run *run, const struct mt_strlist *traces, size_t live);
/* Problems only: the headers tell them, the events need not be read. */
void mt_closing_report_quietly(const struct mt_strlist *traces);

/* Processes the tool was asked to help and could not. */
void mt_closing_say_refused(const struct mt_run *run);

#endif
