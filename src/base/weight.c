/* weight.c: see weight.h; the maths is in docs/sampling.md. */
#include "base/weight.h"

struct chance {
    double taken, missed; /* p and 1 - p, neither by a difference of large numbers */
};

/* p(2x) = p(x) (2 - p(x)) and q(2x) = q(x)^2: halved until the series is short, nothing is subtracted from anything near it. */
static struct chance chance_of(double x)
{
    int doublings = 0;
    for (; x > 1.0 / 16; doublings++) {
        if (doublings == 12) { /* x was above 256 */
            return (struct chance){ 1.0, 0.0 };
        }
        x *= 0.5;
    }
    double low = 1.0 - x * (1.0 / 2) * (1.0 - x * (1.0 / 3) * (1.0 - x * (1.0 / 4)));
    double high = (1.0 / 120) - x * (1.0 / 720) + x * x * (1.0 / 5040) - x * x * x * (1.0 / 40320);
    double p = x * (low + x * x * x * x * high);
    double q = 1.0 - p;
    for (; doublings > 0; doublings--) {
        p *= 2.0 - p;
        q *= q;
    }
    return (struct chance){ p, q };
}

double mt_weight_inclusion(double x)
{
    return chance_of(x).taken;
}

struct mt_weight mt_weight_of(uint64_t size_bytes, uint64_t rate_bytes)
{
    double size = (double)size_bytes;
    if (rate_bytes == 0) {
        return (struct mt_weight){ .bytes = size, .count = 1 };
    }
    double counted = size_bytes > 0 ? size : 1;
    struct chance c = chance_of(counted / (double)rate_bytes);
    return (struct mt_weight){ .bytes = size / c.taken,
                               .count = 1 / c.taken,
                               .bytes_variance = size * size * c.missed / (c.taken * c.taken),
                               .count_variance = c.missed / (c.taken * c.taken) };
}

uint64_t mt_weight_units(double amount, unsigned scale_bits)
{
    double scaled = amount * (double)((uint64_t)1 << scale_bits);
    uint64_t whole = (uint64_t)scaled;
    return whole + (scaled - (double)whole >= 0.5);
}
