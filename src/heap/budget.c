/* budget.c: see budget.h. */
#include "heap/budget.h"

#include "wire/config.h"

#include <stdbool.h>

enum { MOST_UP = 4, MOST_DOWN = 2, SAMPLES_LEAST_PART = 4 };

void mt_budget_begin(struct mt_budget *b, uint64_t parts, uint64_t rate_bytes)
{
    *b = (struct mt_budget){ .parts = parts,
                             .least_rate_bytes = rate_bytes < MT_BUDGET_LEAST_RATE ? rate_bytes : MT_BUDGET_LEAST_RATE };
}

static uint64_t within(uint64_t value, uint64_t least, uint64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* What samples took is own_ns; what they may take is allowed_ns, above 0. */
static uint64_t rate_for(const struct mt_budget *b, uint64_t own_ns, uint64_t allowed_ns, uint64_t rate_bytes)
{
    uint64_t most = rate_bytes < MT_RATE_MAX / MOST_UP ? rate_bytes * MOST_UP : MT_RATE_MAX;
    double wanted = (double)rate_bytes * ((double)own_ns / (double)allowed_ns);
    uint64_t rate = wanted < (double)most ? within((uint64_t)wanted, rate_bytes / MOST_DOWN, most) : most;
    return within(rate, b->least_rate_bytes, MT_RATE_MAX);
}

uint64_t mt_budget_decide(struct mt_budget *b, const struct mt_budget_look *now, uint64_t rate_bytes)
{
    uint64_t cpu_ns = now->cpu_ns - b->last.cpu_ns;
    if (b->parts == 0 || now->cpu_ns < b->last.cpu_ns || cpu_ns < MT_BUDGET_WINDOW_NS) {
        return rate_bytes;
    }
    uint64_t own_ns = now->own_ns - b->last.own_ns, passing_ns = now->passing_ns - b->last.passing_ns;
    uint64_t allowed_ns = (uint64_t)((double)cpu_ns * (double)b->parts / MT_BUDGET_WHOLE);
    uint64_t least_ns = allowed_ns / SAMPLES_LEAST_PART + 1;
    uint64_t samples_ns = allowed_ns > passing_ns + least_ns ? allowed_ns - passing_ns : least_ns;
    b->last = *now;
    uint64_t rate = rate_for(b, own_ns, samples_ns, rate_bytes);
    bool little = rate < rate_bytes + rate_bytes / 4 && rate > rate_bytes - rate_bytes / 4;
    return little ? rate_bytes : rate;
}
