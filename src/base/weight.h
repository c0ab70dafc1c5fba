/* weight.h: what a sample stands for.
 *
 * Decides: the estimator. An allocation of size k taken with an exact byte countdown at rate r is included with
 * probability p = 1 - exp(-k/r) and stands for k/p bytes and 1/p allocations (Horvitz and Thompson 1952). The estimated
 * variance of a sum is the sum over samples of k^2 (1-p)/p^2 and (1-p)/p^2. A size of 0 is sampled as if it were 1 byte
 * (the countdown is decremented by at least 1); its weight in bytes is 0. Rate 0 means exact. Sums are kept in whole units of
 * 2^-bits, so that what a free takes away is what its allocation added.
 * Here and not in the tool, and without the mathematics library, because the program that is recorded adds up the same weights
 * (heap/totals.h): both have to come to the same unit. Pure functions; context: any.
 */
#ifndef MT_BASE_WEIGHT_H
#define MT_BASE_WEIGHT_H

#include <stdint.h>

enum { MT_WEIGHT_SCALE_BITS = 10 }; /* of sums over sampled traces */

struct mt_weight {
    double bytes;          /* k / p */
    double count;          /* 1 / p */
    double bytes_variance; /* k^2 (1-p) / p^2 */
    double count_variance; /* (1-p) / p^2 */
};

struct mt_weight mt_weight_of(uint64_t size_bytes, uint64_t rate_bytes);
/* The nearest number of units of 2^-scale_bits; amount >= 0. */
uint64_t mt_weight_units(double amount, unsigned scale_bits);
/* p = 1 - exp(-x), x >= 0; relative error below 1e-12. */
double mt_weight_inclusion(double x);

#endif
