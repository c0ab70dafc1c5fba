/* clock.c: see clock.h.
 *
 * Pairing C1: a stamp before the real free -> a stamp after the real allocation of the same address, and in general a stamp
 * before any release -> a stamp after the acquire that saw it. The counter in memory: both add to one word, whose changes
 * are in one order that agrees with what happened before what. The time stamp counter: base/tsc.h.
 */
#include "heap/clock.h"

#include "base/os.h"

enum {
    CHORES_NS = 50 * 1000 * 1000,
    UNIT_NS = 1 << MT_CLOCK_SHIFT,
    STALE_NS = 5 * MT_TICK_PERIOD_NS, /* a tick this old is not kept fresh: the tool is dead, stopped or starved */
    IN_FLIGHT_NS = 1000 * 1000,       /* longer than a thread is between two instructions of a stamp */
};

static const uint64_t g_no_tick;
struct mt_clock g_mt_clock = { .tick = &g_no_tick };
/* The last clock given out, when all threads share a counter. A cache line of its own: each event takes it. */
static struct {
    _Alignas(64) uint64_t clock;
} g_counter;

/* ---- what time it is ------------------------------------------------------------------------------------------------ */

/* By a clock that needs nobody. */
static uint64_t own_time(void)
{
    if (mt_load_relaxed(&g_mt_clock.tsc_is_forbidden)) {
        return mt_os_monotonic_coarse_ns(); /* the precise one reads the counter */
    }
    if (mt_load_acquire(&g_mt_clock.line.scale) != 0) {
        return mt_tsc_to_ns(&g_mt_clock.line, mt_tsc_read());
    }
    return g_mt_clock.precise ? mt_os_monotonic_ns() : mt_os_monotonic_coarse_ns();
}

static bool is_stale(uint64_t tick, uint64_t own)
{
    return own > tick + STALE_NS;
}

static uint64_t tick_or_own(void)
{
    uint64_t tick = *g_mt_clock.tick, own = own_time();
    return is_stale(tick, own) ? own : tick;
}

/* What has to be done every now and then: by the thread that comes first. */
static MT_NOINLINE void do_chores(uint64_t clock)
{
    uint64_t due = mt_load_relaxed(&g_mt_clock.next_chores);
    if (clock < due || !mt_cas_acq_rel(&g_mt_clock.next_chores, &due, clock + CHORES_NS)) {
        return;
    }
    g_mt_clock.chores(clock);
}

/* The tool's tick is believed as long as it is fresh. How old it is, is looked at when it has moved, and when 1, 2, 4, 8 …
 * events have passed without its moving: a tool that died costs a slow program no time, a fast one no events. */
uint64_t mt_clock_look(struct mt_thread *t, uint64_t clock)
{
    uint64_t tick = *g_mt_clock.tick, own = own_time();
    bool stale = is_stale(tick, own);
    uint64_t now = mt_clock_whole_units(stale ? own : tick);
    uint64_t ahead = clock > tick ? clock - tick : 0;
    t->patience = stale ? 0 : 2 * ahead + 1;
    if (now > clock) {
        clock = now;
    }
    if (clock >= mt_load_relaxed(&g_mt_clock.next_chores)) {
        do_chores(clock);
    }
    return clock;
}

static uint64_t count_on(void)
{
    uint64_t now = mt_clock_whole_units(tick_or_own());
    uint64_t last = mt_load_relaxed(&g_counter.clock);
    if (now > last) {
        (void)mt_cas_acq_rel(&g_counter.clock, &last, now); /* or somebody else took it on */
    }
    return mt_fetch_add_acq_rel(&g_counter.clock, (uint64_t)UNIT_NS) + UNIT_NS;
}

uint64_t mt_clock_ordered_time(void)
{
    uint64_t now;
    return mt_clock_read_ordered(&now) ? now : count_on();
}

/* The only thread: it counts. */
static uint64_t begin_counting(struct mt_thread *t, uint64_t clock)
{
    mt_store_relaxed(&g_mt_clock.alone, t);
    return mt_clock_look(t, clock);
}

uint64_t mt_clock_ordered(struct mt_thread *t, uint64_t clock)
{
    if (MT_UNLIKELY(mt_load_relaxed(&g_mt_clock.order) == MT_ORDER_NONE)) {
        return begin_counting(t, clock);
    }
    if (MT_UNLIKELY(mt_load_relaxed(&g_mt_clock.alone) != NULL)) {
        mt_store_release(&g_mt_clock.alone, NULL); /* before the reading, and so before anybody can know of this event: C4 */
    }
    uint64_t now = mt_clock_ordered_time();
    if (MT_LIKELY(now > clock)) {
        clock = now;
    }
    if (MT_UNLIKELY(clock >= mt_load_relaxed(&g_mt_clock.next_chores))) {
        do_chores(clock);
    }
    if (MT_UNLIKELY(clock - t->noted_clock >= MT_CLOCK_NOTE_NS)) {
        clock = mt_clock_note(t, clock);
    }
    return clock;
}

uint64_t mt_clock_of_new_thread(void)
{
    return mt_load_relaxed(&g_mt_clock.order) != MT_ORDER_NONE ? mt_clock_ordered_time() : tick_or_own();
}

uint64_t mt_clock_now(void)
{
    if (mt_load_relaxed(&g_mt_clock.order) != MT_ORDER_NONE) {
        return mt_clock_ordered_time();
    }
    uint64_t tick = *g_mt_clock.tick, own = own_time();
    return own > tick ? own : tick;
}

/* ---- which clock it is ---------------------------------------------------------------------------------------------- */

static const uint32_t g_kinds[] = {
    [MT_ORDER_NONE] = MT_CLOCK_TICK,
    [MT_ORDER_TSC] = MT_CLOCK_TSC,
    [MT_ORDER_COUNTER] = MT_CLOCK_COUNTER,
};

/* For whoever reads the trace while it is written: the scale last, it says that there is a line. */
static void publish_line(struct mt_trace_header *header)
{
    header->line_ticks = g_mt_clock.line.origin.ticks;
    header->line_ns = g_mt_clock.line.origin.ns;
    mt_store_release(&header->line_scale, g_mt_clock.line.scale);
}

/* Events are ordered by it from here on, in this thread and in all that it tells. */
static void publish_order(enum mt_clock_order order)
{
    mt_store_release(&g_mt_clock.order, order);
    mt_store_release(&g_mt_clock.alone, NULL);
    if (g_mt_clock.header != NULL) {
        mt_store_relaxed(&g_mt_clock.header->clock_kind, g_kinds[order]);
    }
}

static void read_page(const volatile uint64_t *page)
{
    g_mt_clock.tick = page != NULL ? page + MT_TICK_CLOCK : &g_no_tick;
    if (page != NULL && g_mt_clock.line.scale == 0) {
        g_mt_clock.line = (struct mt_tsc_line){ .origin = { .ticks = page[MT_TICK_LINE_TICKS], .ns = page[MT_TICK_LINE_NS] },
                                                .scale = page[MT_TICK_LINE_SCALE] };
    }
}

void mt_clock_prepare(const volatile uint64_t *page, bool precise)
{
    g_mt_clock.precise = precise;
    read_page(page);
    if (!mt_os_tsc_is_allowed()) {
        mt_clock_forbid_tsc();
    } else if (page == NULL && g_mt_clock.first.ticks == 0 && mt_tsc_is_a_clock()) {
        g_mt_clock.first = mt_tsc_now();
    }
}

void mt_clock_start(struct mt_trace_header *header, void (*chores)(uint64_t clock))
{
    g_mt_clock.chores = chores;
    g_mt_clock.next_chores = 0;
    g_mt_clock.header = header;
    header->clock_kind = g_kinds[g_mt_clock.order];
    header->clock_shift = MT_CLOCK_SHIFT;
    header->clock_tick_ns = MT_TICK_PERIOD_NS;
    publish_line(header);
}

/* The line, drawn where nobody has, and lifted above everything stamped so far. False: the counter is no clock. */
static bool line_is_drawn(uint64_t least)
{
    struct mt_tsc_line line = g_mt_clock.line;
    if (mt_load_relaxed(&g_mt_clock.tsc_is_forbidden)) {
        return false;
    }
    if (line.scale == 0 && g_mt_clock.first.ticks != 0) {
        line = mt_tsc_line_since(&g_mt_clock.first);
    }
    if (line.scale == 0) {
        return false;
    }
    uint64_t now = mt_tsc_to_ns(&line, mt_tsc_read());
    line.origin.ns += now < least ? least - now : 0;
    if (now < least || g_mt_clock.line.scale == 0) { /* other threads may read the time already */
        g_mt_clock.line.origin = line.origin;
        mt_store_release(&g_mt_clock.line.scale, line.scale);
        if (g_mt_clock.header != NULL) {
            publish_line(g_mt_clock.header);
        }
    }
    return true;
}

void mt_clock_begin_order(uint64_t latest)
{
    uint64_t least = mt_clock_whole_units(latest) + 2 * UNIT_NS;
    bool by_tsc = line_is_drawn(least);
    mt_store_relaxed(&g_counter.clock, least);
    publish_order(by_tsc ? MT_ORDER_TSC : MT_ORDER_COUNTER);
}

void mt_clock_forbid_tsc(void)
{
    if (mt_load_relaxed(&g_mt_clock.order) == MT_ORDER_TSC) {
        uint64_t now = mt_tsc_to_ns(&g_mt_clock.line, mt_tsc_read());
        mt_store_relaxed(&g_counter.clock, mt_clock_whole_units(now + IN_FLIGHT_NS));
        publish_order(MT_ORDER_COUNTER);
    }
    mt_store_relaxed(&g_mt_clock.tsc_is_forbidden, true);
    mt_os_avoid_tsc();
}

bool mt_clock_is_common(void)
{
    return !mt_load_relaxed(&g_mt_clock.tsc_is_forbidden) && g_mt_clock.line.scale != 0;
}

void mt_clock_after_fork(void)
{
    g_mt_clock.header = NULL;
    g_mt_clock.alone = NULL;
    if (g_mt_clock.order != MT_ORDER_TSC) { /* a counter in memory is not the parent's any more */
        g_mt_clock.order = MT_ORDER_NONE;
    }
}
