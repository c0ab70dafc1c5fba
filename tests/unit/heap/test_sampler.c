/* Unit tests of heap/sampler: the distribution the weights rely on. Statistics state their false-alarm probability. */
#include "harness.h"

#include "base/status.h"
#include "base/weight.h"
#include "heap/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <xmmintrin.h>

static uint64_t seed_and_print(void)
{
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    return seed;
}

static void test_logarithm_agrees_with_libm(void **state)
{
    (void)state;
    struct mt_sampler s;
    mt_sampler_seed(&s, seed_and_print());
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = mt_sampler_random(&s) >> (11 + i % 53);
        double expected = -log(((double)bits + 1.0) / 9007199254740992.0);
        double found = mt_sampler_neg_log(bits);
        assert_true(fabs(found - expected) <= 1e-9 * expected + 1e-12);
    }
    assert_true(mt_sampler_neg_log(9007199254740991u) == 0.0);
}

static void test_inclusion_agrees_with_libm(void **state)
{
    (void)state;
    for (double x = 1e-12; x < 1000; x *= 1.01) {
        double expected = -expm1(-x);
        assert_true(fabs(mt_weight_inclusion(x) / expected - 1) < 1e-12);
    }
    assert_true(mt_weight_inclusion(0) == 0);
}

static void test_rate_one_samples_every_byte(void **state)
{
    (void)state;
    struct mt_sampler s;
    mt_sampler_seed(&s, 1);
    uint64_t sum = 0;
    for (int i = 0; i < 100000; i++) {
        uint64_t step = mt_sampler_step(&s, 1);
        assert_true(step >= 1);
        sum += step;
    }
    /* E[ceil(Exp(1))] = 1/(1-1/e) = 1.58198; sd of the mean 0.003 */
    assert_true(fabs((double)sum / 100000.0 - 1.58198) < 0.02);
}

/* Inclusion: an allocation of n bytes must be hit with probability 1 - exp(-n/T) for small and large n. 12 checks at
 * |z| < 6: false alarm below 1e-7. */
static void test_inclusion_probability_is_exact(void **state)
{
    (void)state;
    struct mt_sampler s;
    mt_sampler_seed(&s, seed_and_print());
    const uint64_t rates[] = { 64 << 10, 512 << 10, 4 << 20 };
    const double sizes[] = { 0.001, 0.1, 1.0, 4.0 };
    for (size_t r = 0; r < MT_COUNTOF(rates); r++) {
        for (size_t k = 0; k < MT_COUNTOF(sizes); k++) {
            double n = floor(sizes[k] * (double)rates[r]);
            double p = 1.0 - exp(-n / (double)rates[r]);
            const int runs = 400000;
            int hits = 0;
            for (int i = 0; i < runs; i++) {
                hits += (double)mt_sampler_step(&s, rates[r]) <= n;
            }
            double z = ((double)hits - p * runs) / sqrt(runs * p * (1 - p));
            assert_true(fabs(z) < 6);
        }
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov-Smirnov against Exp(T), n = 20000: D*sqrt(n) > 3 has probability 3e-8. */
static void test_steps_are_exponential(void **state)
{
    (void)state;
    enum { N = 20000 };
    static double steps[N];
    struct mt_sampler s;
    mt_sampler_seed(&s, seed_and_print());
    for (int i = 0; i < N; i++) {
        steps[i] = (double)mt_sampler_step(&s, 1 << 20);
    }
    qsort(steps, N, sizeof steps[0], compare_doubles);
    double d = 0;
    for (int i = 0; i < N; i++) {
        double f = 1 - exp(-steps[i] / (1 << 20));
        d = fmax(d, fmax(fabs(f - (double)i / N), fabs((double)(i + 1) / N - f)));
    }
    assert_true(d * sqrt(N) < 3);
}

static void test_streams_of_neighbouring_seeds_differ(void **state)
{
    (void)state;
    struct mt_sampler a;
    struct mt_sampler b;
    mt_sampler_seed(&a, 41);
    mt_sampler_seed(&b, 42);
    int equal_bits = 0;
    for (int i = 0; i < 1000; i++) {
        equal_bits += 64 - __builtin_popcountll(mt_sampler_random(&a) ^ mt_sampler_random(&b));
    }
    assert_true(abs(equal_bits - 32000) < 700); /* sd 126: 5.5 sigma */
}

/* All that is done of it on a thread of the program's; returns what depends on how numbers are rounded. */
static uint64_t use_sampler(void)
{
    struct mt_sampler s;
    uint64_t sum = 0;
    mt_sampler_seed(&s, 43);
    for (uint64_t i = 1; i <= 1000; i++) {
        sum = sum * 31 + mt_sampler_step(&s, UINT64_C(1) << 50) + mt_sampler_keeps(&s, 2 * i, i, 777);
    }
    return sum;
}

static void test_the_programs_floating_point_state_is_its_own(void **state)
{
    (void)state;
    const unsigned before = _mm_getcsr(), trapped = 0, rounds_up = _MM_ROUND_UP | _MM_MASK_MASK;
    uint64_t expected = use_sampler();
    _mm_setcsr(trapped); /* every exception ends the program */
    uint64_t found = use_sampler();
    unsigned left = _mm_getcsr();
    _mm_setcsr(rounds_up | _MM_FLUSH_ZERO_ON);
    uint64_t rounded = use_sampler();
    unsigned left_rounded = _mm_getcsr();
    _mm_setcsr(before);
    assert_int_equal(found, expected);
    assert_int_equal(left, trapped);
    assert_int_equal(rounded, expected);
    assert_int_equal(left_rounded, rounds_up | _MM_FLUSH_ZERO_ON);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_logarithm_agrees_with_libm),
    cmocka_unit_test(test_inclusion_agrees_with_libm),
    cmocka_unit_test(test_rate_one_samples_every_byte),
    cmocka_unit_test(test_inclusion_probability_is_exact),
    cmocka_unit_test(test_steps_are_exponential),
    cmocka_unit_test(test_streams_of_neighbouring_seeds_differ),
    cmocka_unit_test(test_the_programs_floating_point_state_is_its_own),
};
MT_TEST_MAIN(tests)
