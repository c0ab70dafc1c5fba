/* sampler.h: exact byte countdown with geometric steps.
 *
 * Decides: after how many bytes the next sample is taken. A step is ceil(E), E exponential with mean rate, so that
 * P(step <= n) = 1 - exp(-n / rate) for every whole n: an allocation of n bytes is sampled with exactly the probability
 * the Horvitz-Thompson weight divides by (docs/sampling.md). Steps are memoryless: a step may be thrown away and drawn
 * again at any time (rate change, failed malloc, thread start) without bias. Context: [hook], own state only.
 */
#ifndef MT_HEAP_SAMPLER_H
#define MT_HEAP_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

struct mt_sampler {
    uint64_t state[2]; /* xoroshiro128+ (Blackman and Vigna 2018) */
    double next;       /* the next step at a rate of 1; made ahead, so that nobody waits for its 90 cycles */
};

void mt_sampler_seed(struct mt_sampler *s, uint64_t seed);
uint64_t mt_sampler_random(struct mt_sampler *s);
/* Bytes to the next sample, >= 1; rate in bytes, >= 1 (1: every byte, so every allocation). */
uint64_t mt_sampler_step(struct mt_sampler *s, uint64_t rate);
/* A sample of from bytes shrinks to bytes, both >= 1: does it stay one? True with probability p(bytes) / p(from),
 * p(s) = 1 - exp(-s / rate). */
bool mt_sampler_keeps(struct mt_sampler *s, uint64_t from, uint64_t bytes, uint64_t rate);
/* -ln(u) for u = (bits + 1) / 2^53, bits < 2^53; relative error below 1e-11. Exposed for its test. */
double mt_sampler_neg_log(uint64_t bits);

#endif
