/* account.c: see account.h. */
#include "heap/account.h"

#include "base/atomic.h"

#include <stddef.h>

static uint64_t g_without_trace[MT_COUNTER__COUNT];
static uint64_t *g_counters = g_without_trace; /* shared; relaxed: a count made while it changes may go to either place */

void mt_account_move_to(struct mt_trace_header *header)
{
    mt_store_release(&g_counters, header != NULL ? header->counters : g_without_trace);
}

void mt_engine_count(enum mt_counter counter, uint64_t amount)
{
    mt_fetch_add_relaxed(&mt_load_relaxed(&g_counters)[counter], amount);
}

void mt_account_set(enum mt_counter counter, uint64_t value)
{
    mt_store_relaxed(&mt_load_relaxed(&g_counters)[counter], value);
}

uint64_t mt_engine_counter(enum mt_counter counter)
{
    return mt_load_relaxed(&mt_load_relaxed(&g_counters)[counter]);
}

void mt_account_add_sample(bool alone)
{
    uint64_t *samples = &mt_load_relaxed(&g_counters)[MT_COUNTER_SAMPLES];
    if (alone) {
        mt_store_relaxed(samples, mt_load_relaxed(samples) + 1);
    } else {
        mt_fetch_add_relaxed(samples, 1u);
    }
}
