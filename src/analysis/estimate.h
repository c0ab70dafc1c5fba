/* estimate.h: how sure an estimate is. What a sample stands for is in base/weight.h. Pure functions; context: any. */
#ifndef MT_ANALYSIS_ESTIMATE_H
#define MT_ANALYSIS_ESTIMATE_H

#include "base/weight.h"

/* Half width of the 95 % interval: 1.96 sqrt(variance). */
double mt_estimate_ci95(double variance);

#endif
