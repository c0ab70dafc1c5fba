/* before.h: what a trace with a horizon knows of the time before it, in an analysis. Private to analysis/. Context: [tool]. */
#ifndef MT_ANALYSIS_BEFORE_H
#define MT_ANALYSIS_BEFORE_H

#include "analysis/analysis.h"

/* Intervals that began before the horizon lack what was freed in them: those that the trace knows take their place, and no more of them;
 * else they go. */
void mt_timeline_before(const struct mt_trace_set *set, struct mt_analysis *a);

#endif
