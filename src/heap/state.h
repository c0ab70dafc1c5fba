/* state.h: what all of the engine shares: g_mt, the mode as everybody sees it, and the request to stop.
 *
 * Decides: who may change the mode. States: OFF -> (SAMPLE | EXACT | AGGREGATE) by lifecycle.c -> OFF by mt_engine_stop. Only
 * the thread that starts a trace may publish a mode; any thread may stop it, the first one wins (exchange). Hooks read the
 * mode relaxed: an event that races with a stop is recorded or not, both are right.
 * Nothing here acts: a part that cannot go on (a journal without room, a tick that says stop) asks for the end of the
 * recording, which only turns the hooks off; what has to be done then is done by lifecycle.c and restart.c.
 * Internal to heap/. Contexts: [hook] with the guard set unless said otherwise.
 */
#ifndef MT_HEAP_STATE_H
#define MT_HEAP_STATE_H

#include "base/lock.h"
#include "base/os.h"
#include "heap/engine.h"

#define MT_RATE_PAUSED UINT64_MAX /* sampling rate: no samples */

/* Who has made the generation odd: a base (hold.h), the end of a trace. */
enum mt_hold { MT_HOLD_NONE, MT_HOLD_BASE, MT_HOLD_END };

/* One per process; zero in a process that does not record. */
struct mt_engine {
    struct mt_engine_config config;
    const uint32_t *live_mode; /* shared: enum mt_engine_mode as hooks see it, in a WIPEONFORK page so that it reads OFF in
                                  a fork child; a constant OFF before the first start */
    enum mt_engine_mode mode;  /* shared: the same for everybody else, not wiped */
    bool native, python;
    uint64_t rate;             /* shared */
    uint32_t rate_generation;  /* shared */
    uint32_t next_stream;      /* shared, fetch_add */
    uint32_t generation;       /* shared: even: number of the trace; odd: between two traces; pairing R1 */
    uint32_t held;             /* shared: enum mt_hold */
    bool unfinished;           /* a trace was started and not closed */
    bool may_restart;          /* recording may begin (again) later: countdowns stay at 0 while it is off */
    bool (*announce)(void);    /* see mt_engine_on_thread */
    uint64_t start_clock;
    struct mt_trace_header *header;
    uint32_t *mode_page;       /* the page behind live_mode: mode, and 1: this process made it; both 0 in fork children */
    void (*restart_after_fork)(void);
    bool restart_pending; /* a fork child that has not recorded anything yet */
    struct mt_spinlock threads_lock; /* guards threads, ended_clock, free_blocks */
    struct mt_thread *threads;
    uint64_t ended_clock; /* threads_lock: the last one that a thread had which has ended */
    struct mt_thread *free_blocks;
    struct mt_spinlock orphan_lock;
    struct mt_thread *orphan; /* stream of threads past their end */
    uint64_t seed;
    uint64_t key_salt; /* differs for every trace: stack caches of the parent's trace never match in a fork child */
};
extern struct mt_engine g_mt MT_HIDDEN;

MT_INLINE enum mt_engine_mode mt_mode(void)
{
    return mt_load_relaxed(&g_mt.mode);
}

/* No atfork handler ran (_Fork, clone), and this process has its parent's memory: the page has been wiped. */
MT_INLINE bool mt_is_unnoticed_child(void)
{
    uint32_t *page = mt_load_acquire(&g_mt.header) != NULL ? mt_load_acquire(&g_mt.mode_page) : NULL;
    return page != NULL && mt_load_relaxed(&page[1]) == 0;
}

/* The trace whose header this is, NULL: none. Counts go with it. Context: [agent], [fork-child]. */
void mt_state_set_header(struct mt_trace_header *header);
/* The recording cannot go on: asks for its end and leaves the reason in the trace; the first one counts. */
void mt_state_give_up(mt_status why);
/* The recording has ended, and blocks from this clock on could not be written: so it ended there. Context: [agent]. */
void mt_state_lost_from(uint64_t clock, mt_status why);
/* Makes the page that hooks read the mode from; the kernel zeroes it (OFF) in every fork child. Before there is a header: other threads
 * may look at both. Context: [agent]. */
void mt_state_make_mode_page(void);
void mt_state_publish_mode(enum mt_engine_mode mode);

#endif
