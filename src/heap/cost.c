/* cost.c: see cost.h. */
#include "heap/cost.h"

#include "base/atomic.h"
#include "base/fpu.h"
#include "base/tsc.h"
#include "base/weight.h"
#include "heap/thread.h"
#include "heap/work.h"

enum { LOOKS = 8, CALLS = 64, WORDS = 8, CHAINS = 8, LONGEST_NS = 20000, LINE_NS = 50000 };

/* Shared, relaxed; writer of all: [agent], before anything is recorded, when threads may be in sections that record nothing. */
static uint64_t g_scale;        /* 2^-32 ns a tick of the counter; 0: it may not be read */
static uint64_t g_look_ticks;   /* how much longer a section seems by being timed */
static uint64_t g_regrow_ps;    /* price of the hook of a realloc that passes by */
static uint64_t g_pair_ps;      /* price of a block that passes by */
static uint64_t g_cpu_start_ns; /* processor time used before the trace */
static uint32_t g_every = MT_COST_EVERY;
static bool g_closely;
/* Shared, relaxed adds; since the trace began. */
static uint64_t g_passed_ns;  /* blocks that passed by: readers add that themselves */
static uint64_t g_regrown_ns; /* of the account: reallocs that passed by */

static uint64_t ticks_now(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static uint64_t ns_of(uint64_t ticks)
{
    return (uint64_t)((unsigned __int128)ticks * mt_load_relaxed(&g_scale) >> 32);
}

void mt_cost_begin(struct mt_thread *t)
{
    t->until_timed = (int32_t)mt_load_relaxed(&g_every) - 1;
    t->timed_works = mt_work_count();
    t->timed_from = mt_load_relaxed(&g_scale) != 0 && !mt_os_avoids_tsc() ? ticks_now() : 0;
}

static void end(struct mt_thread *t, uint64_t more_ps)
{
    if (mt_os_avoids_tsc()) { /* since the beginning: by a signal handler */
        t->timed_from = 0;
        return;
    }
    uint64_t took = ticks_now() - t->timed_from;
    uint64_t own = took > mt_load_relaxed(&g_look_ticks) ? ns_of(took - mt_load_relaxed(&g_look_ticks)) : 0;
    own = own < LONGEST_NS ? own : LONGEST_NS;
    t->timed_from = 0;
    if (t->timed_works == mt_work_count()) { /* else it may have such work in it, which has been counted */
        mt_engine_count(MT_COUNTER_AGENT_NS, own * mt_load_relaxed(&g_every) + more_ps * mt_load_relaxed(&g_every) / 1000);
    }
}

void mt_cost_end(struct mt_thread *t)
{
    end(t, 0);
}

void mt_cost_end_look(struct mt_thread *t)
{
    end(t, mt_load_relaxed(&g_regrow_ps));
}

/* How many others a sample of so many bytes stands for, times a price. */
static MT_NOINLINE uint64_t calculate_others_ns(const struct mt_thread *t, uint64_t bytes, uint64_t price_ps)
{
    double others = 1 / mt_weight_inclusion((double)bytes / (double)t->rate) - 1;
    return others < 1e12 ? (uint64_t)(others * (double)price_ps / 1000) : 0;
}

static uint64_t others_ns(const struct mt_thread *t, uint64_t bytes, uint64_t price_ps)
{
    uint32_t program = mt_fpu_enter();
    uint64_t ns = calculate_others_ns(t, bytes, price_ps);
    mt_fpu_leave(program);
    return ns;
}

void mt_cost_add_sample(const struct mt_thread *t)
{
    if (mt_load_relaxed(&g_closely)) {
        (void)mt_fetch_add_relaxed(&g_passed_ns, others_ns(t, t->counted, mt_load_relaxed(&g_pair_ps)));
    }
}

void mt_cost_add_growth(const struct mt_thread *t, uint64_t bytes)
{
    uint64_t ns = others_ns(t, bytes, mt_load_relaxed(&g_regrow_ps));
    mt_engine_count(MT_COUNTER_AGENT_NS, ns);
    (void)mt_fetch_add_relaxed(&g_regrown_ns, ns);
}

struct mt_budget_look mt_cost_look(void)
{
    uint64_t regrown_ns = mt_load_relaxed(&g_regrown_ns);
    return (struct mt_budget_look){ .cpu_ns = mt_engine_counter(MT_COUNTER_CPU_NS),
                                    .own_ns = mt_engine_counter(MT_COUNTER_AGENT_NS) - regrown_ns,
                                    .passing_ns = mt_load_relaxed(&g_passed_ns) + regrown_ns };
}

/* ---- prices -------------------------------------------------------------------------------------------------------------- */

static uint64_t less(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Something that is done in a section: as long a chain as others around it can hide. */
static MT_NOINLINE void work(uint64_t *to, uint64_t x)
{
    for (int i = 0; i < WORDS; i++) {
        x = (x ^ x >> 29) * MT_FILTER_MULTIPLIER;
        to[i] = x;
    }
}

/* Ticks of CALLS times work, between as much work again; how: 0 not at all, 1 done, 2 done and timed. */
static uint64_t ticks_of_work(int how)
{
    uint64_t to[2 * WORDS], timed = 0, before = ticks_now();
    for (uint64_t call = 0; call < CALLS; call++) {
        work(to, call);
        uint64_t from = how == 2 ? ticks_now() : 0;
        if (how > 0) {
            work(to + WORDS, ~call);
        }
        timed += how == 2 ? ticks_now() - from : 0;
    }
    uint64_t all = ticks_now() - before;
    __asm__ volatile("" : : "r"(to) : "memory");
    return how == 2 ? timed : all;
}

/* How much longer a piece of work seems when it is timed than it makes the program. The least of many: nothing came between. */
static uint64_t look_ticks(void)
{
    uint64_t least[3] = { UINT64_MAX, UINT64_MAX, UINT64_MAX };
    for (int i = 0; i < LOOKS; i++) {
        for (int how = 0; how < 3; how++) {
            least[how] = less(least[how], ticks_of_work(how));
        }
    }
    uint64_t adds = least[1] > least[0] ? least[1] - least[0] : 0;
    return least[2] > adds ? (least[2] - adds) / CALLS : 0;
}

/* What the hooks of malloc and free do for a block that is not recorded, behind a call as they are. */
static MT_NOINLINE bool pass_by(volatile uint64_t *left, void *ptr)
{
    *left -= 1;
    return *left == 0 || mt_engine_may_track(ptr);
}

static MT_NOINLINE void *do_nothing(void *ptr)
{
    __asm__ volatile("" : "+r"(ptr) : : "memory");
    return ptr;
}

/* The same of realloc: the word in front of the block before and after, and a call of its own. */
static MT_NOINLINE bool pass_by_growing(volatile uint64_t *left, void *ptr)
{
    if (mt_engine_may_track(ptr)) {
        return true;
    }
    uint64_t before = ((const volatile uint64_t *)ptr)[-1];
    ptr = do_nothing(ptr);
    if (ptr == NULL) {
        return true;
    }
    *left -= ((const volatile uint64_t *)ptr)[-1] - before + 1;
    return *left == 0;
}

/* A call that is made without us, too. */
static MT_NOINLINE bool call_only(volatile uint64_t *left, void *ptr)
{
    (void)left;
    return do_nothing(ptr) == NULL;
}

/* Countdowns that take turns: in a program other work hides how long one subtraction waits for the last. */
MT_INLINE uint64_t price_ps(bool (*pass)(volatile uint64_t *left, void *ptr))
{
    static uint64_t block[CALLS + 1];
    uint64_t left[CHAINS], least = UINT64_MAX;
    for (int i = 0; i < CHAINS; i++) {
        left[i] = UINT64_MAX / 2;
    }
    for (int i = 0; i < LOOKS; i++) {
        uint64_t before = ticks_now();
        for (uint64_t call = 0; call < CALLS; call++) {
            (void)pass(&left[call % CHAINS], &block[1 + call]);
        }
        least = less(least, ticks_now() - before);
    }
    return ns_of(least * 1000) / CALLS;
}

static uint64_t regrow_ps(void)
{
    uint64_t with = price_ps(pass_by_growing), without = price_ps(call_only);
    return with > without ? with - without : 0;
}

/* Measured so long that the error of either moment, some 20 ns, does not matter. */
static uint64_t measured_scale(void)
{
    struct mt_tsc_moment first = mt_tsc_now();
    while (mt_os_monotonic_ns() - first.ns < LINE_NS) {
        mt_cpu_relax();
    }
    struct mt_tsc_moment now = mt_tsc_now();
    return now.ticks > first.ticks ? (uint64_t)(((unsigned __int128)(now.ns - first.ns) << 32) / (now.ticks - first.ticks)) : 0;
}

void mt_cost_note_cpu(void)
{
    uint64_t used = mt_os_cpu_ns();
    if (used > g_cpu_start_ns) {
        mt_account_set(MT_COUNTER_CPU_NS, used - g_cpu_start_ns);
    }
}

void mt_cost_calibrate(bool closely, uint64_t scale)
{
    mt_store_relaxed(&g_closely, closely);
    mt_store_relaxed(&g_every, (uint32_t)(closely ? MT_COST_EVERY_CLOSELY : MT_COST_EVERY));
    mt_store_relaxed(&g_passed_ns, (uint64_t)0);
    mt_store_relaxed(&g_regrown_ns, (uint64_t)0);
    g_cpu_start_ns = mt_os_cpu_ns();
    mt_store_relaxed(&g_scale, (uint64_t)0);
    if (mt_os_tsc_is_allowed()) {
        mt_store_relaxed(&g_scale, scale != 0 ? scale : measured_scale());
        mt_store_relaxed(&g_look_ticks, look_ticks());
        mt_store_relaxed(&g_regrow_ps, regrow_ps());
        mt_store_relaxed(&g_pair_ps, price_ps(pass_by));
        mt_account_set(MT_COUNTER_PASSING_PS, mt_load_relaxed(&g_pair_ps));
    }
}
