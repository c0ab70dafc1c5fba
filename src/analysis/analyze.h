/* analyze.h: the beginning and the end of an analysis, whoever counts in between. Private to analysis/. Context: [tool]. */
#ifndef MT_ANALYSIS_ANALYZE_H
#define MT_ANALYSIS_ANALYZE_H

#include "analysis/analysis.h"

/* An analysis of these traces with nothing counted: axis, marks, and room for what is found of each. */
void mt_analysis_begin(const struct mt_trace_set *set, struct mt_analysis *a);
/* All sites are there: leaves out of LIVE what the options say, and sums up. */
void mt_analysis_complete(const struct mt_trace_set *set, const struct mt_analysis_options *options, struct mt_analysis *a);

#endif
