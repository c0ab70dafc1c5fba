/* bound.c: see bound.h. */
#include "heap/bound.h"

#include "base/atomic.h"
#include "base/os.h"
#include "heap/slots.h"

enum { RESERVE_PART = 16, AWAIT_NS = 20 * 1000, AWAIT_POLLS = 20000 };

bool mt_g_bound_is_due;

static struct {
    bool is_on, is_writing; /* shared */
    uint64_t next;          /* shared: no base before; 0: half of what there may be */
} g_bound;

void mt_bound_start(bool sampled)
{
    mt_store_relaxed(&g_bound.next, (uint64_t)0);
    mt_store_relaxed(&g_bound.is_writing, false);
    mt_store_relaxed(&mt_g_bound_is_due, false);
    mt_store_relaxed(&g_bound.is_on, sampled && mt_slots_limit() != 0);
}

bool mt_bound_is_on(void)
{
    return mt_load_relaxed(&g_bound.is_on);
}

void mt_bound_forbid(void)
{
    mt_store_relaxed(&g_bound.is_on, false);
    mt_store_relaxed(&mt_g_bound_is_due, false);
}

uint64_t mt_bound_budget(void)
{
    uint64_t journal = mt_load_relaxed(&mt_slots_header()->journal_tail), limit = mt_slots_limit();
    return limit > journal ? limit - journal : 0;
}

uint64_t mt_bound_used(void)
{
    return mt_slots_used(mt_load_relaxed(&mt_slots_header()->file_tail));
}

void mt_bound_set_next(uint64_t bytes)
{
    mt_store_relaxed(&g_bound.next, bytes);
}

void mt_bound_set_writing(bool writing)
{
    mt_store_release(&g_bound.is_writing, writing);
}

void mt_bound_look(void)
{
    if (!mt_bound_is_on()) {
        return;
    }
    uint64_t half = mt_bound_budget() / 2, next = mt_load_relaxed(&g_bound.next);
    if (mt_bound_used() >= (next > half ? next : half)) {
        mt_store_relaxed(&mt_g_bound_is_due, true);
    }
}

void mt_bound_await(void)
{
    if (!mt_load_acquire(&g_bound.is_writing)) {
        return;
    }
    uint64_t most = mt_bound_budget() / RESERVE_PART * (RESERVE_PART - 1);
    for (int polls = 0; mt_bound_used() > most && mt_load_acquire(&g_bound.is_writing) && polls < AWAIT_POLLS; polls++) {
        mt_os_pause_ns(AWAIT_NS);
    }
}
