/* estimate.c: see estimate.h; the maths is in docs/sampling.md. Context: any. */
#include "analysis/estimate.h"

#include <math.h>

double mt_estimate_ci95(double variance)
{
    return variance > 0 ? 1.959963984540054 * sqrt(variance) : 0;
}
