/* sampler.c: see sampler.h. Has its own logarithm: the agent links libc only, and libm's log is not async-signal safe by
 * contract (it may touch errno). */
#include "heap/sampler.h"

#include "base/hash.h"
#include "base/status.h"

#include <stddef.h>

enum { MANTISSA_BITS = 53 };
static const double LN2 = 0.69314718055994530942;

static uint64_t rotate_left(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

void mt_sampler_seed(struct mt_sampler *s, uint64_t seed)
{
    s->state[0] = mt_hash_u64(seed ^ 0x6A09E667F3BCC909u);
    s->state[1] = mt_hash_u64(s->state[0] ^ seed ^ 0xBB67AE8584CAA73Bu) | 1; /* never all zero */
}

uint64_t mt_sampler_random(struct mt_sampler *s)
{
    uint64_t a = s->state[0];
    uint64_t b = s->state[1];
    uint64_t result = a + b;
    b ^= a;
    s->state[0] = rotate_left(a, 24) ^ b ^ (b << 16);
    s->state[1] = rotate_left(b, 37);
    return result;
}

double mt_sampler_neg_log(uint64_t bits)
{
    static const double coefficients[] = { /* of atanh's series, x^19 first: a division each would cost 4 ns a term */
        1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3, 1.0,
    };
    /* u = n / 2^53, n in [1, 2^53]; n = m * 2^k with m in [1, 2) */
    uint64_t n = bits + 1;
    int k = 63 - __builtin_clzll(n);
    double m = (double)n / (double)((uint64_t)1 << k);
    if (m > 1.41421356237309505) { /* keeps |s| <= 0.172 and, for u near 1, the relative precision */
        m *= 0.5;
        k++;
    }
    /* ln m = 2 atanh(s), s = (m-1)/(m+1) */
    double s = (m - 1.0) / (m + 1.0);
    double s2 = s * s;
    double sum = 0.0;
    for (size_t i = 0; i < MT_COUNTOF(coefficients); i++) {
        sum = sum * s2 + coefficients[i];
    }
    double ln_m = 2.0 * s * sum;
    double result = (double)(MANTISSA_BITS - k) * LN2 - ln_m;
    return result > 0.0 ? result : 0.0;
}

uint64_t mt_sampler_step(struct mt_sampler *s, uint64_t rate)
{
    double bytes = mt_sampler_neg_log(mt_sampler_random(s) >> (64 - MANTISSA_BITS)) * (double)rate;
    if (bytes >= 9.2e18) {
        return (uint64_t)9200000000000000000u;
    }
    uint64_t whole = (uint64_t)bytes;
    return (double)whole < bytes || whole == 0 ? whole + 1 : whole;
}
