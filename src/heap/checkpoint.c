/* checkpoint.c: see checkpoint.h. When, and in which order; what is said: alive.c, carry.c. */
#include "heap/checkpoint.h"

#include "base/fpu.h"
#include "heap/alive.h"
#include "heap/base.h"
#include "heap/bound.h"
#include "heap/carry.h"
#include "heap/hold.h"
#include "heap/intern.h"
#include "heap/meta.h"

enum { FAILURES_MAX = 8, RSS_KEPT = 2048, ROOM_PART = 8, RETRY_PART = 16, SOON_PART = 256, URGENT_PART = 4 };

static struct {
    uint32_t is_busy;       /* shared: a thread makes one */
    uint32_t trace;         /* generation of the trace that the next two are of */
    uint32_t failures;      /* in a row */
    uint64_t given_back_to; /* what is in front of it was given back; 0: nothing was, or tried */
} g_checkpoint;

/* ---- one checkpoint ------------------------------------------------------------------------------------------------- */

struct checkpoint {
    uint64_t horizon;
    struct mt_alive alive;
    struct mt_totals_copy totals;
    uint32_t folded; /* number of the stack that totals are folded into; 0: they are not */
    struct mt_meta_extent metadata;
    struct mt_base base;
    bool held; /* so that it was not for others that it failed */
};

/* Later than all that was recorded, in whole units: what comes is behind it. */
static uint64_t latest_locked(void)
{
    uint64_t orphan = g_mt.orphan != NULL ? mt_load_relaxed(&g_mt.orphan->clock) : 0;
    uint64_t clock = orphan > g_mt.ended_clock ? orphan : g_mt.ended_clock;
    for (const struct mt_thread *t = g_mt.threads; t != NULL; t = t->next) {
        uint64_t own = mt_load_relaxed(&t->clock);
        clock = own > clock ? own : clock;
    }
    return (clock | ((1u << MT_CLOCK_SHIFT) - 1)) + 1;
}

static bool turn_thread(struct checkpoint *c, struct mt_thread *t)
{
    return mt_journal_turn(t, c->horizon + 1) && mt_alive_take_thread(&c->alive, t, c->horizon);
}

static bool turn_journals_locked(struct checkpoint *c)
{
    bool turned = g_mt.orphan == NULL || turn_thread(c, g_mt.orphan);
    for (struct mt_thread *t = g_mt.threads; t != NULL && turned; t = t->next) {
        turned = turn_thread(c, t);
    }
    return turned;
}

static bool turn_metadata(struct checkpoint *c)
{
    if (!mt_meta_lock()) {
        return false;
    }
    bool turned = mt_meta_turn_locked(&c->metadata);
    mt_meta_unlock();
    return turned;
}

static bool has_room(uint64_t room)
{
    return mt_bound_used() + room <= mt_bound_budget();
}

/* While nobody else records. */
static bool take_state(struct checkpoint *c)
{
    if (!mt_spinlock_lock(&g_mt.threads_lock)) {
        return false;
    }
    c->horizon = latest_locked();
    bool taken = turn_journals_locked(c);
    mt_spinlock_unlock(&g_mt.threads_lock);
    taken = taken && turn_metadata(c) && mt_alive_take_all(&c->alive) && mt_totals_take(&c->totals, c->folded, c->horizon);
    uint64_t room = taken ? c->metadata.bytes + mt_alive_room(&c->alive) + mt_carry_room(&c->totals) : 0;
    if (!taken || !has_room(room)) {
        return false;
    }
    mt_base_begin(&c->base, room, c->horizon, c->metadata.blocks + mt_alive_blocks(&c->alive));
    return c->base.status == MT_OK;
}

/* A thread that is not running may be in its section for a while: there is time until the trace is nearly as large as it may be. */
static bool hold_and_take_state(struct mt_thread *t, struct checkpoint *c)
{
    c->held = mt_hold_begin(t, mt_bound_used() > mt_bound_budget() / URGENT_PART * (URGENT_PART - 1));
    if (!c->held) {
        return false;
    }
    bool taken = take_state(c);
    mt_bound_set_writing(taken);
    mt_hold_end();
    return taken;
}

static bool put_all(struct checkpoint *c, uint8_t *buffer)
{
    uint64_t age = c->horizon - g_mt.start_clock;
    size_t streams = 0;
    const uint32_t *named = mt_alive_sort(&c->alive, &streams);
    const struct mt_carry carry = { named, streams, age / RSS_KEPT, &c->totals };
    mt_carry_metadata(&c->base, &carry, c->metadata.blocks, c->metadata.largest, buffer);
    mt_base_number(&c->base, 0, c->metadata.next_seq);
    mt_alive_put(&c->alive, &c->base, buffer);
    return mt_base_finish(&c->base) == MT_OK;
}

static bool write_base(struct checkpoint *c)
{
    void *buffer = NULL;
    size_t bytes = mt_carry_buffer_bytes(c->metadata.largest, &c->totals) + MT_ALIVE_BUFFER_BYTES;
    bool written = mt_os_map_anonymous(bytes, &buffer) == MT_OK && put_all(c, buffer);
    if (buffer != NULL) {
        mt_os_unmap(buffer, bytes);
    }
    return written;
}

/* The metadata of the base is where the next one is copied from. */
static void move_metadata(const struct checkpoint *c)
{
    size_t count = 0;
    while (count < c->base.count && c->base.blocks[count].header.type == MT_BLOCK_META) {
        count++;
    }
    if (!mt_meta_lock()) {
        mt_bound_forbid();
        return;
    }
    mt_meta_move_locked(c->metadata.blocks, c->base.blocks, count);
    mt_meta_unlock();
}

/* What could not be given back is tried again with the next base. */
static bool begin_there(const struct checkpoint *c)
{
    uint64_t sparse = c->base.end - c->base.at - sizeof(struct mt_block_header), from = g_checkpoint.given_back_to;
    if (mt_mode() != MT_MODE_SAMPLE || mt_tracefile_begin_at(c->base.offset) != MT_OK) {
        return false;
    }
    move_metadata(c);
    bool given_back = mt_tracefile_punch(from, c->base.offset) == MT_OK;
    g_checkpoint.given_back_to = given_back ? c->base.offset : from;
    mt_slots_set_holes(sparse, c->base.offset - g_checkpoint.given_back_to);
    return given_back;
}

static bool can_give_back(void)
{
    if (g_checkpoint.given_back_to != 0) {
        return true;
    }
    g_checkpoint.given_back_to = MT_TRACE_HEADER_BYTES;
    if (!mt_tracefile_can_punch()) {
        mt_engine_note("warning", "the file system cannot give back parts of a file: the recording ends when the trace has the size "
                                  "of --max-file");
        mt_bound_forbid();
        return false;
    }
    return true;
}

static bool write_and_begin(struct checkpoint *c)
{
    uint64_t from_ns = mt_engine_work_begins();
    bool made = write_base(c) && begin_there(c);
    (void)mt_engine_work_ends(from_ns);
    return made;
}

/* A base that nobody begins at stays as so much that is stepped over. */
static bool make(struct mt_thread *t, struct checkpoint *c)
{
    c->folded = mt_totals_will_fold() ? mt_intern_folded() : 0;
    bool made = can_give_back() && mt_alive_begin(&c->alive) && mt_totals_begin(&c->totals) && hold_and_take_state(t, c) &&
                write_and_begin(c);
    mt_base_free(&c->base);
    mt_alive_free(&c->alive);
    mt_totals_free(&c->totals);
    return made;
}

/* The next one, when enough was added that it is worth while. */
static void plan_next(bool made, bool held)
{
    uint64_t part = made ? ROOM_PART : held ? RETRY_PART : SOON_PART;
    g_checkpoint.failures = made ? 0 : g_checkpoint.failures + held;
    mt_bound_set_next(mt_bound_used() + mt_bound_budget() / part);
    if (g_checkpoint.failures == FAILURES_MAX) {
        mt_bound_forbid();
    }
}

/* The first one of a trace. */
static void begin_trace(const struct mt_thread *t)
{
    if (g_checkpoint.trace != t->generation) {
        g_checkpoint.trace = t->generation;
        g_checkpoint.failures = 0;
        g_checkpoint.given_back_to = 0;
    }
}

void mt_checkpoint_make(struct mt_thread *t)
{
    uint32_t idle = 0;
    uint64_t signals;
    if (!mt_bound_is_on() || !mt_waiting_is_empty() || !mt_cas_acq_rel(&g_checkpoint.is_busy, &idle, 1u)) {
        return;
    }
    mt_store_relaxed(&mt_g_bound_is_due, false);
    begin_trace(t);
    if (mt_os_signals_hold(&signals)) {
        struct checkpoint c = { .horizon = 0 };
        uint32_t program = mt_fpu_enter();
        bool made = make(t, &c);
        mt_fpu_leave(program);
        mt_bound_set_writing(false);
        plan_next(made, c.held);
        mt_os_signals_restore(signals);
    } else {
        mt_bound_forbid();
    }
    mt_store_release(&g_checkpoint.is_busy, 0u);
}
