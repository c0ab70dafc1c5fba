/* estimate.h: how sure an estimate is. What a sample stands for is in base/weight.h. Pure functions; context: any. */
#ifndef MT_ANALYSIS_ESTIMATE_H
#define MT_ANALYSIS_ESTIMATE_H

#include "base/weight.h"

/* How many samples of small allocations an estimate of such a variance is made of, about: each stands for the rate, so that n of them
 * have a relative variance of 1/n. 0: it is exact. */
double mt_estimate_samples(double bytes, double bytes_variance);
/* Half width of the 95 % interval: 1.96 sqrt(variance). */
double mt_estimate_ci95(double variance);

#endif
