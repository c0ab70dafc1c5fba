/* estimate.h: what a sample stands for, and how sure that is.
 *
 * Decides: the estimator. An allocation of size k taken with an exact byte countdown at rate r is included with
 * probability p = 1 - exp(-k/r) and stands for k/p bytes and 1/p allocations (Horvitz and Thompson 1952). The estimated
 * variance of a sum is the sum over samples of k^2 (1-p)/p^2 and (1-p)/p^2. A size of 0 is sampled as if it were 1 byte
 * (the countdown is decremented by at least 1); its weight in bytes is 0. Rate 0 means exact. Pure functions; context:
 * any.
 */
#ifndef MT_ANALYSIS_ESTIMATE_H
#define MT_ANALYSIS_ESTIMATE_H

#include <stdint.h>

struct mt_weight {
    double bytes;          /* k / p */
    double count;          /* 1 / p */
    double bytes_variance; /* k^2 (1-p) / p^2 */
    double count_variance; /* (1-p) / p^2 */
};

struct mt_weight mt_estimate_weight(uint64_t size_bytes, uint64_t rate_bytes);
/* Half width of the 95 % interval: 1.96 sqrt(variance). */
double mt_estimate_ci95(double variance);

#endif
