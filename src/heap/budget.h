/* budget.h: the sampling rate that keeps the engine's own share of the processor time.
 *
 * Decides: from time to time, by what was used since the last decision, whether samples are taken more seldom or more often. What
 * depends on the rate (stacks, records) is set apart from what does not (the price of blocks that pass by): only the first can be
 * had for less. A quarter of the budget is always left to samples: where passing by alone costs more, no rate would keep it. The
 * rate changes by no more than half and four times at once, and not for less than a quarter: own time is an estimate.
 * Pure: no clock, no globals, so that a test can be the time. Context: any.
 */
#ifndef MT_HEAP_BUDGET_H
#define MT_HEAP_BUDGET_H

#include <stdint.h>

enum {
    MT_BUDGET_WHOLE = 1000000,                  /* all of the processor time */
    MT_BUDGET_WINDOW_NS = 250 * 1000 * 1000,    /* of processor time, between two decisions */
    MT_BUDGET_LEAST_RATE = 64 * 1024,           /* no lower, unless the recording began so */
};

/* Sums since the trace began. */
struct mt_budget_look {
    uint64_t cpu_ns;     /* of the process */
    uint64_t own_ns;     /* of it, what depends on the rate */
    uint64_t passing_ns; /* of it, what does not */
};

struct mt_budget {
    uint64_t parts; /* of MT_BUDGET_WHOLE that may be the engine's; 0: no budget */
    uint64_t least_rate_bytes;
    struct mt_budget_look last;
};

/* rate_bytes: that the trace begins with. */
void mt_budget_begin(struct mt_budget *b, uint64_t parts, uint64_t rate_bytes);
/* The rate from here on; the one in force, rate_bytes, where there is nothing to decide. */
uint64_t mt_budget_decide(struct mt_budget *b, const struct mt_budget_look *now, uint64_t rate_bytes);

#endif
