/* clock.h: the clocks of events (docs/formats/trace.md 4).
 *
 * Decides: what time an event has, so that the events of all threads, merged by it, are in an order that agrees with every
 * handover between the threads. An event is stamped while the hook runs: a free before the real free, an allocation after
 * the real one. So all that is needed is a clock that never shows less to the later of two threads that know of each other.
 *   One thread: nothing has to be ordered. The tick is read (a load) and events are counted between its steps.
 *   More: an ordered reading of the time stamp counter, or, where that is no clock or may not be read, a counter in memory
 *   that every event of every thread adds to. docs/decisions/0011 has the prices and what was rejected.
 * The switch is made by the thread that starts the second one, or another process, before it does. A thread that has been the only
 * one to record for a while counts again until another one comes (clock_alone.c). Clocks are ns; all but those that count
 * between ticks are multiples of 8, which is what a journal writes (MT_CLOCK_SHIFT): the shortest handover ever seen took 13.
 * Internal to heap/. Contexts: [hook] with the guard set unless said otherwise.
 */
#ifndef MT_HEAP_CLOCK_H
#define MT_HEAP_CLOCK_H

#include "base/atomic.h"
#include "base/tick.h"
#include "base/tsc.h"
#include "heap/thread.h"
#include "wire/format.h"

enum mt_clock_order {
    MT_ORDER_NONE = 0, /* one thread */
    MT_ORDER_TSC = 1,
    MT_ORDER_COUNTER = 2,
};

struct mt_clock {
    const volatile uint64_t *tick; /* the tool's word, or one of ours that is always 0: then every stamp looks */
    const struct mt_thread *alone; /* shared: the thread that counts between ticks; NULL: nobody does. Pairing C4 */
    const struct mt_thread *noted; /* shared: the last of the threads whose events are ordered to note that it records */
    bool may_be_alone;             /* shared: there is a barrier for it, and no other process to be in order with */
    bool is_shared;                /* shared: there is one, or was */
    enum mt_clock_order order;     /* shared; leaves NONE before a second thread or process starts, and TSC for COUNTER;
                                      a fork child keeps TSC only. Pairing C3 */
    bool tsc_is_forbidden;         /* shared */
    uint64_t next_chores;          /* shared: when memory is measured again, and the tool asked whether to stop */
    struct mt_tsc_line line;       /* scale 0: not drawn (yet). Written before order is TSC */
    struct mt_tsc_moment first;    /* where the line will begin; ticks 0: the counter is no clock */
    bool precise;                  /* without a tool and a line: readings may cost more than an event does */
    struct mt_trace_header *header; /* of the trace, where the kind of clock is said; NULL: none */
    void (*chores)(uint64_t clock);
};
extern struct mt_clock g_mt_clock MT_HIDDEN;

/* A trace is about to begin: mt_clock_now can be asked. page: of the tool, or NULL. precise: events are rare. Context: [agent]. */
void mt_clock_prepare(const volatile uint64_t *page, bool precise);
/* It begins: fills what its header says of the clocks. chores is called about twenty times a second with a stamp. */
void mt_clock_start(struct mt_trace_header *header, void (*chores)(uint64_t clock));
/* Events have to be ordered from here on, behind the latest so far. Once; others are kept out by the caller. */
void mt_clock_begin_order(uint64_t latest);
/* The program takes away its right to read the time stamp counter; before it does. */
void mt_clock_forbid_tsc(void);
void mt_clock_after_fork(void);

/* Would ordered events of this process be in order with those of the other processes of the run? */
bool mt_clock_is_common(void);

MT_INLINE bool mt_clock_is_ordered(void)
{
    return mt_load_acquire(&g_mt_clock.order) != MT_ORDER_NONE;
}

/* 2^-32 ns a tick of the counter, 0: nobody has measured that. */
MT_INLINE uint64_t mt_clock_scale(void)
{
    return mt_load_acquire(&g_mt_clock.line.scale);
}

/* Where a new thread starts from. */
uint64_t mt_clock_of_new_thread(void);
/* Now, for records that are no events. While one thread runs, events may be as many ns ahead of it as there were in a tick. */
uint64_t mt_clock_now(void);

/* The slow halves of a stamp: the tick has moved, or stood still for long; events are ordered. clock: the least it may be. */
uint64_t mt_clock_look(struct mt_thread *t, uint64_t clock);
uint64_t mt_clock_ordered(struct mt_thread *t, uint64_t clock);

/* ---- clock_alone.c ------------------------------------------------------------------------------------------------ */

/* There may be phases with one recording thread: asks the kernel for what their beginning needs. While the process has one
 * thread: with several it would take milliseconds. */
void mt_clock_allow_alone(void);
/* Other processes are to be in order with this one: no more such phases. */
void mt_clock_forbid_alone(void);
/* An ordered event of t at this time, the first in a while: may be the first of such a phase. Returns the time. */
MT_COLD uint64_t mt_clock_note(struct mt_thread *t, uint64_t clock);
enum { MT_CLOCK_NOTE_NS = MT_TICK_PERIOD_NS };

/* What time it is, in order: no smaller than that of any event this one comes after. */
uint64_t mt_clock_ordered_time(void);

MT_INLINE uint64_t mt_clock_whole_units(uint64_t ns)
{
    return ns & ~(uint64_t)((1u << MT_CLOCK_SHIFT) - 1);
}

/* The reading of the counter in order; false: it is not what orders. That is looked at again after the reading: one made while
 * another thread forbids the counter is not used. */
MT_INLINE bool mt_clock_read_ordered(uint64_t *ret_ns)
{
    if (MT_UNLIKELY(mt_load_acquire(&g_mt_clock.order) != MT_ORDER_TSC)) {
        return false;
    }
    *ret_ns = mt_clock_whole_units(mt_tsc_to_ns(&g_mt_clock.line, mt_tsc_read()));
    return MT_LIKELY(mt_load_relaxed(&g_mt_clock.order) == MT_ORDER_TSC);
}

/* Stamps an event of the calling thread, in its recording section: later than everything it did. */
MT_INLINE uint64_t mt_clock_stamp(struct mt_thread *t)
{
    uint64_t now, clock = mt_load_relaxed(&t->clock) + 1;
    const struct mt_thread *alone = mt_load_relaxed(&g_mt_clock.alone);
    if (MT_LIKELY(alone == t)) {
        if (MT_UNLIKELY(clock - *g_mt_clock.tick >= t->patience)) { /* also when the tick is ahead: the difference wraps */
            clock = mt_clock_look(t, clock);
        }
    } else if (MT_LIKELY(alone == NULL && mt_clock_read_ordered(&now) && now > clock &&
                         now - t->noted_clock < MT_CLOCK_NOTE_NS)) {
        clock = now;
    } else {
        clock = mt_clock_ordered(t, clock);
    }
    mt_store_relaxed(&t->clock, clock);
    return clock;
}

/* The next event of the thread gets a clock that is no smaller when it is written: clocks that jump are written in whole units,
 * rounded down, and could be equal to one that another stream has from this stamp. */
MT_INLINE void mt_clock_close_unit(struct mt_thread *t)
{
    mt_store_relaxed(&t->clock, mt_load_relaxed(&t->clock) | ((1u << MT_CLOCK_SHIFT) - 1));
}

#endif
