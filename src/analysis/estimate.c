/* estimate.c: see estimate.h; the maths is in docs/sampling.md. Context: any. */
#include "analysis/estimate.h"

#include <math.h>

struct mt_weight mt_estimate_weight(uint64_t size_bytes, uint64_t rate_bytes)
{
    double size = (double)size_bytes;
    if (rate_bytes == 0) {
        return (struct mt_weight){ .bytes = size, .count = 1 };
    }
    double counted = size_bytes > 0 ? size : 1;
    double p = -expm1(-counted / (double)rate_bytes);
    double missed = exp(-counted / (double)rate_bytes); /* 1 - p without cancellation */
    return (struct mt_weight){ .bytes = size / p,
                               .count = 1 / p,
                               .bytes_variance = size * size * missed / (p * p),
                               .count_variance = missed / (p * p) };
}

double mt_estimate_ci95(double variance)
{
    return variance > 0 ? 1.959963984540054 * sqrt(variance) : 0;
}
