/* estimate.c: see estimate.h; the maths is in docs/sampling.md. Context: any. */
#include "analysis/estimate.h"

#include <math.h>

double mt_estimate_samples(double bytes, double bytes_variance)
{
    return bytes_variance > 0 ? bytes * bytes / bytes_variance : 0;
}

double mt_estimate_ci95(double variance)
{
    return variance > 0 ? 1.959963984540054 * sqrt(variance) : 0;
}
