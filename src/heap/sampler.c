/* sampler.c: see sampler.h. Has its own logarithm: the agent links libc only, and libm's log is not async-signal safe by
 * contract (it may touch errno). */
#include "heap/sampler.h"

#include "base/fpu.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/weight.h"

#include <string.h>

enum { MANTISSA_BITS = 53 };
#define SQRT2_MANTISSA 0xB504F333F9DE6484u /* sqrt(2) * 2^63 */
static const double LN2 = 0.69314718055994530942;

static uint64_t rotate_left(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
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

/* No branch on the random bits (half of them would be mispredicted), one division, and a short chain of operations. */
MT_INLINE double neg_log(uint64_t bits)
{
    /* u = n / 2^53, n in [1, 2^53]; n = m * 2^k with m in [sqrt(1/2), sqrt(2)): keeps |s| <= 0.172 and, for u near 1, the
     * relative precision. n has at most 53 significant bits, so m is exact. */
    uint64_t n = bits + 1;
    int zeros = __builtin_clzll(n);
    uint64_t mantissa = n << zeros;
    uint64_t is_large = mantissa > SQRT2_MANTISSA;
    uint64_t m_bits = ((1023 - is_large) << 52) + (mantissa << 1 >> 12);
    int k = 63 - zeros + (int)is_large;
    double m;
    memcpy(&m, &m_bits, sizeof m);
    /* ln m = 2 atanh(s) = 2 s (1 + s^2/3 + s^4/5 ...), s = (m-1)/(m+1); what is cut off is below 2e-12 of it */
    double s = (m - 1.0) / (m + 1.0);
    double x = s * s;
    double x2 = x * x;
    double low = (1.0 + x * (1.0 / 3)) + x2 * (1.0 / 5 + x * (1.0 / 7));
    double high = (1.0 / 9 + x * (1.0 / 11)) + x2 * (1.0 / 13);
    double result = (double)(MANTISSA_BITS - k) * LN2 - 2.0 * s * (low + x2 * x2 * high);
    return result > 0.0 ? result : 0.0;
}

double mt_sampler_neg_log(uint64_t bits)
{
    return neg_log(bits);
}

/* Not inlined, as all that calculates here: between mt_fpu_enter and mt_fpu_leave nothing of it is moved out. */
static MT_NOINLINE void draw(struct mt_sampler *s)
{
    s->next = neg_log(mt_sampler_random(s) >> (64 - MANTISSA_BITS));
}

void mt_sampler_seed(struct mt_sampler *s, uint64_t seed)
{
    s->state[0] = mt_hash_u64(seed ^ 0x6A09E667F3BCC909u);
    s->state[1] = mt_hash_u64(s->state[0] ^ seed ^ 0xBB67AE8584CAA73Bu) | 1; /* never all zero */
    uint32_t program = mt_fpu_enter();
    draw(s);
    mt_fpu_leave(program);
}

static MT_NOINLINE uint64_t step(struct mt_sampler *s, uint64_t rate)
{
    double bytes = s->next * (double)rate;
    draw(s);
    if (bytes >= 9.2e18) {
        return (uint64_t)9200000000000000000u;
    }
    uint64_t whole = (uint64_t)bytes;
    return (double)whole < bytes || whole == 0 ? whole + 1 : whole;
}

uint64_t mt_sampler_step(struct mt_sampler *s, uint64_t rate)
{
    uint32_t program = mt_fpu_enter();
    uint64_t bytes = step(s, rate);
    mt_fpu_leave(program);
    return bytes;
}

static MT_NOINLINE bool keeps(struct mt_sampler *s, uint64_t from, uint64_t bytes, uint64_t rate)
{
    double unit = (double)(mt_sampler_random(s) >> (64 - MANTISSA_BITS)) * 0x1p-53;
    return unit * mt_weight_inclusion((double)from / (double)rate) < mt_weight_inclusion((double)bytes / (double)rate);
}

bool mt_sampler_keeps(struct mt_sampler *s, uint64_t from, uint64_t bytes, uint64_t rate)
{
    uint32_t program = mt_fpu_enter();
    bool kept = keeps(s, from, bytes, rate);
    mt_fpu_leave(program);
    return kept;
}
