/* thread.c: blocks of threads: made at a thread's first recorded call, given back at its last TSD destructor, reused. */
#include "heap/thread.h"

#include "base/hash.h"
#include "heap/clock.h"
#include "heap/countdown.h"
#include "heap/notes.h"

#include <string.h>

enum { COST_STRIDE = 37 }; /* neighbouring streams begin far apart */
enum { HOLD_NS = 20 * 1000, HOLD_POLLS = 20000 };
enum { REVIVED_MAX = 256 }; /* blocks that are never given back */

static size_t round_up(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

static size_t cache_bytes(void)
{
    return MT_STACK_CACHE_ENTRIES * sizeof(struct mt_stack_cache_entry);
}

/* Layout of a block: struct, stack cache, unwinder, Python walker. */
static struct mt_thread *map_block(void)
{
    size_t head = round_up(sizeof(struct mt_thread));
    size_t unwinder = round_up(mt_unwinder_memory_bytes());
    size_t bytes = head + cache_bytes() + unwinder + round_up(mt_pystack_memory_bytes());
    void *base = NULL;
    if (mt_os_map_anonymous(bytes, &base) != MT_OK) {
        return NULL;
    }
    (void)mt_os_advise_nohugepage(base, bytes);
    struct mt_thread *t = base;
    uint8_t *at = (uint8_t *)base + head;
    t->stack_cache = (struct mt_stack_cache_entry *)(void *)at;
    t->unwinder.frames = NULL;
    mt_unwinder_init(&t->unwinder, at + cache_bytes());
    mt_pystack_init(&t->python, at + cache_bytes() + unwinder);
    return t;
}

static struct mt_thread *pooled_block(void)
{
    struct mt_thread *t = NULL;
    if (mt_spinlock_lock(&g_mt.threads_lock)) {
        t = g_mt.free_blocks;
        if (t != NULL) {
            g_mt.free_blocks = t->next;
        }
        mt_spinlock_unlock(&g_mt.threads_lock);
    }
    return t;
}

static void renew_walkers(struct mt_thread *t)
{
    void *unwinder_memory = (uint8_t *)t->stack_cache + cache_bytes();
    void *python_memory = (uint8_t *)unwinder_memory + round_up(mt_unwinder_memory_bytes());
    mt_unwinder_init(&t->unwinder, unwinder_memory);
    mt_pystack_init(&t->python, python_memory);
}

/* Makes a used block as good as new for the calling thread; native stacks stay in its cache (their numbers are global). */
static void recycle(struct mt_thread *t)
{
    memset(&t->journal, 0, sizeof t->journal);
    t->rate = 0;
    t->name_bytes = 0;
    t->named_within = false;
    t->known = (struct mt_py_thread){ 0 };
    t->renamed_clock = 0;
    if (g_mt.python) {
        memset(t->stack_cache, 0, cache_bytes()); /* its first stacks are new again: then its name is looked at */
    }
    renew_walkers(t);
}

void mt_thread_mend(struct mt_thread *t)
{
    mt_journal_set_aside(t);
    memset(t->stack_cache, 0, cache_bytes()); /* an entry may have the key of one stack and the number of another */
    renew_walkers(t);
    t->rate_generation = 0; /* the countdown may be half set */
    t->timed_from = 0;
}

/* A stream of its own, whose first timed section is anywhere (cost.h). */
static void begin_stream(struct mt_thread *t)
{
    t->journal.stream = mt_fetch_add_relaxed(&g_mt.next_stream, 1u) + 1;
    t->until_timed = (int32_t)(t->journal.stream * COST_STRIDE % MT_COST_EVERY);
}

struct mt_thread *mt_thread_new_block(void)
{
    struct mt_thread *t = pooled_block();
    if (t != NULL) {
        recycle(t);
    } else {
        t = map_block();
    }
    if (t != NULL) {
        uint32_t generation = mt_load_acquire(&g_mt.generation);
        bool goes_on = (generation & 1) == 0 || mt_load_relaxed(&g_mt.held) == MT_HOLD_BASE;
        t->generation = goes_on ? generation & ~1u : 0; /* 0: no trace's */
        begin_stream(t);
        uint64_t id = t->journal.stream;
        mt_sampler_seed(&t->sampler, mt_hash_pair(g_mt.seed, id));
        mt_store_relaxed(&t->clock, mt_clock_of_new_thread());
        t->patience = 0;
        t->rate_generation = 0; /* differs from any running one: draws a step at first use */
    }
    return t;
}

/* ---- held (hold.h) ---------------------------------------------------------------------------------------------------- */

/* Is the trace held, or is it the block's (*ret_same)? Read once more where it has changed between the two words. */
static bool is_held(const struct mt_thread *t, bool *ret_same)
{
    for (;;) {
        uint32_t generation = mt_load_acquire(&g_mt.generation);
        bool held = mt_load_acquire(&g_mt.held) == MT_HOLD_BASE;
        *ret_same = t->generation == generation;
        if ((generation & 1) == 0 || held) {
            return (generation & 1) != 0;
        }
        if (mt_load_acquire(&g_mt.generation) == generation) {
            return false; /* between two traces */
        }
    }
}

/* False: it takes too long. */
static bool wait_while_held(struct mt_thread *t, bool *ret_same)
{
    uint64_t frame = mt_load_relaxed(&t->recording);
    for (int polls = 0; is_held(t, ret_same); polls++) {
        if (polls == HOLD_POLLS) {
            mt_engine_count(MT_COUNTER_DROPPED_EVENTS, 1);
            return false;
        }
        mt_store_release(&t->recording, (uint64_t)0);
        mt_os_pause_ns(HOLD_NS);
        mt_store_relaxed(&t->recording, frame);
        mt_fence_compiler(); /* R1: the flag before the generation */
    }
    return true;
}

/* A signal handler that jumps away would leave a block that is in no section, and has a guard. */
bool mt_hold_wait(struct mt_thread *t)
{
    uint64_t signals;
    bool same;
    if (!is_held(t, &same)) {
        return same;
    }
    bool blocked = mt_os_signals_hold(&signals);
    bool waited = wait_while_held(t, &same);
    if (blocked) {
        mt_os_signals_restore(signals);
    }
    return waited && same;
}

bool mt_thread_adopt(struct mt_thread *t)
{
    uint32_t generation = mt_load_acquire(&g_mt.generation);
    if ((generation & 1) != 0 || mt_mode() == MT_MODE_OFF) {
        return false;
    }
    if (t->generation == generation) { /* it was held a moment ago */
        return true;
    }
    memset(&t->journal, 0, sizeof t->journal); /* mt_engine_finish has closed it */
    begin_stream(t);
    t->generation = generation;
    t->renamed_clock = 0;
    if (t != g_mt.orphan) {
        mt_countdown_settle(); /* the call under way may be a sample of a trace that has ended */
        mt_engine_count(MT_COUNTER_THREADS, 1);
        mt_notes_thread(t);
    }
    return true;
}

/* The clock a new thread starts from: after everything any thread has done so far (pairing C2: thread creation orders
 * the creator's events before this; other threads' clocks may be read late, which only makes the result smaller). */
static uint64_t largest_clock_locked(void)
{
    uint64_t clock = g_mt.start_clock;
    for (const struct mt_thread *t = g_mt.threads; t != NULL; t = t->next) {
        uint64_t seen = mt_load_relaxed(&t->clock);
        clock = seen > clock ? seen : clock;
    }
    return clock;
}

static void begin_order_locked(void)
{
    if (!mt_clock_is_ordered()) {
        mt_clock_begin_order(largest_clock_locked());
    }
}

void mt_thread_begin_order(void)
{
    if (!mt_clock_is_ordered() && mt_spinlock_lock(&g_mt.threads_lock)) {
        begin_order_locked();
        mt_spinlock_unlock(&g_mt.threads_lock);
    }
}

bool mt_thread_others_record(const struct mt_thread *self)
{
    bool found = true;
    if (mt_spinlock_lock(&g_mt.threads_lock)) {
        found = g_mt.orphan != NULL && mt_load_acquire(&g_mt.orphan->recording) != 0;
        for (struct mt_thread *t = g_mt.threads; t != NULL && !found; t = t->next) {
            found = t != self && mt_load_acquire(&t->recording) != 0;
        }
        mt_spinlock_unlock(&g_mt.threads_lock);
    }
    return found;
}

/* Will this thread's TLS outlive its place in the list? The main thread's is never unmapped; others must have announced
 * their end before their first allocation. */
static bool announce_end(void)
{
    int tid = mt_os_tid();
    return (tid > 0 && tid == mt_os_pid()) || (g_mt.announce != NULL && g_mt.announce());
}

void mt_engine_on_thread(bool (*announce)(void))
{
    g_mt.announce = announce;
}

bool mt_thread_attach(void)
{
    bool end_is_announced = announce_end();
    struct mt_thread *t = mt_thread_new_block();
    if (t == NULL || !mt_spinlock_lock(&g_mt.threads_lock)) {
        mt_engine_count(MT_COUNTER_DROPPED_NO_THREAD, 1);
        return false;
    }
    if (g_mt.threads != NULL) {
        begin_order_locked();
    }
    uint64_t clock = largest_clock_locked();
    if (clock > t->clock) {
        mt_store_relaxed(&t->clock, clock);
    }
    t->tls = end_is_announced ? &t_mt : NULL;
    t->next = g_mt.threads;
    g_mt.threads = t;
    mt_spinlock_unlock(&g_mt.threads_lock);
    t_mt.thread = t;
    t_mt.state = MT_THREAD_READY;
    mt_engine_count(MT_COUNTER_THREADS, 1);
    mt_notes_thread(t);
    return true;
}

bool mt_thread_revive(void)
{
    static uint32_t revived;
    struct mt_thread *t = NULL;
    if (mt_load_relaxed(&revived) < REVIVED_MAX) {
        (void)mt_fetch_add_relaxed(&revived, 1u);
        t = mt_thread_new_block();
    }
    if (t == NULL) {
        mt_engine_count(MT_COUNTER_DROPPED_EVENTS, 1);
        mt_engine_count(MT_COUNTER_DROPPED_NO_THREAD, 1);
        return false;
    }
    if (mt_spinlock_lock(&g_mt.threads_lock)) { /* so that a new trace finds its journal */
        t->tls = NULL;
        t->next = g_mt.threads;
        g_mt.threads = t;
        mt_spinlock_unlock(&g_mt.threads_lock);
    }
    t_mt.thread = t;
    t_mt.state = MT_THREAD_READY;
    mt_notes_thread(t);
    return true;
}

static void unlink_locked(struct mt_thread *t)
{
    struct mt_thread **at = &g_mt.threads;
    while (*at != NULL && *at != t) {
        at = &(*at)->next;
    }
    if (*at == t) {
        *at = t->next;
    }
}

void mt_engine_thread_exit(void)
{
    struct mt_thread *t = t_mt.thread;
    t_mt.depth++;
    if (t != NULL && (t_mt.state & MT_THREAD_HAS_BLOCK) != 0) {
        uint32_t depth = t_mt.depth;
        if (mt_section_begins_as_is(t)) {
            mt_notes_thread(t);
            mt_journal_close(t);
        }
        mt_section_ends(t, depth);
        if (mt_spinlock_lock(&g_mt.threads_lock)) {
            unlink_locked(t);
            g_mt.ended_clock = t->clock > g_mt.ended_clock ? t->clock : g_mt.ended_clock;
            t->next = g_mt.free_blocks;
            g_mt.free_blocks = t;
            mt_spinlock_unlock(&g_mt.threads_lock);
        }
    }
    t_mt.thread = NULL;
    t_mt.state = MT_THREAD_DEAD;
    t_mt.left = 0;
    t_mt.depth--;
}

void mt_thread_forget_all_but(struct mt_thread *self)
{
    mt_spinlock_reset(&g_mt.threads_lock);
    mt_spinlock_reset(&g_mt.orphan_lock);
    g_mt.threads = NULL;
    g_mt.orphan = NULL; /* its slot is gone; a new one is made when needed */
    if (self != NULL) {
        self->next = NULL;
        g_mt.threads = self;
    }
}
