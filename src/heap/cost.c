/* cost.c: see cost.h. */
#include "heap/cost.h"

#include "heap/thread.h"

enum { LOOKS = 32, CALLS = 256, LONGEST_NS = 20000 };

/* Writer: [agent], before anything is recorded. */
static uint64_t g_look_ns;      /* what two readings of the time in a row are apart */
static uint64_t g_cpu_start_ns; /* processor time used before the trace */

static bool can_tell(void)
{
    return mt_os_tsc_is_allowed();
}

void mt_cost_begin(struct mt_thread *t)
{
    t->until_timed = MT_COST_EVERY - 1;
    t->timed_from_ns = can_tell() ? mt_os_monotonic_ns() : 0;
}

void mt_cost_end(struct mt_thread *t)
{
    uint64_t took = mt_os_monotonic_ns() - t->timed_from_ns;
    uint64_t own = took > g_look_ns ? took - g_look_ns : 0;
    own = own < LONGEST_NS ? own : LONGEST_NS;
    t->timed_from_ns = 0;
    mt_engine_count(MT_COUNTER_AGENT_NS, own * MT_COST_EVERY);
}

/* The least of many: nothing came between. */
static uint64_t look_ns(void)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < LOOKS; i++) {
        uint64_t before = mt_os_monotonic_ns();
        uint64_t took = mt_os_monotonic_ns() - before;
        least = took < least ? took : least;
    }
    return least;
}

/* What the hooks of malloc and free do for a block that is not recorded, behind a call as they are. */
static MT_NOINLINE bool pass_by(volatile uint64_t *left, const void *ptr)
{
    *left -= 1;
    return *left == 0 || mt_engine_may_track(ptr);
}

static uint64_t pair_ps(void)
{
    uint64_t left = UINT64_MAX / 2, least = UINT64_MAX;
    static const char block[64];
    for (int i = 0; i < LOOKS / 4; i++) {
        uint64_t before = mt_os_monotonic_ns();
        for (int call = 0; call < CALLS; call++) {
            (void)pass_by(&left, &block[call % 64]);
        }
        uint64_t took = mt_os_monotonic_ns() - before;
        least = took < least ? took : least;
    }
    return (least > g_look_ns ? least - g_look_ns : 0) * 1000 / CALLS;
}

void mt_cost_note_cpu(void)
{
    uint64_t used = mt_os_cpu_ns();
    if (used > g_cpu_start_ns) {
        mt_account_set(MT_COUNTER_CPU_NS, used - g_cpu_start_ns);
    }
}

void mt_cost_calibrate(void)
{
    g_cpu_start_ns = mt_os_cpu_ns();
    if (can_tell()) {
        g_look_ns = look_ns();
        mt_account_set(MT_COUNTER_PASSING_PS, pair_ps());
    }
}
