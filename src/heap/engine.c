/* engine.c: the hot half of the engine: decides and records one allocator call. See engine.h for the contract. Address ranges:
 * engine_ranges.c.
 *
 * Order of every function here: guard first (t_mt.depth), then state, then the thread's own memory only. Shared state is
 * reached through the clock, the live table, stack interning (first sight only) and slot flushes.
 */
#include "heap/engine.h"

#include "heap/aggregate.h"
#include "heap/clock.h"
#include "heap/countdown.h"
#include "heap/engine_stack.h"
#include "heap/gate.h"
#include "heap/livetab.h"
#include "heap/shortage.h"
#include "heap/thread.h"

/* ---- deciding ------------------------------------------------------------------------------------------------------ */

static bool records_all(void)
{
    return mt_mode() == MT_MODE_EXACT || mt_mode() == MT_MODE_AGGREGATE;
}

/* The fast path took size off the countdown before anybody looked: put right what does not count. A nested call is part
 * of the outer one; in exact mode and in threads without a block the countdown stays 0. */
static void restore_countdown(bool exact, size_t size)
{
    if (exact || (t_mt.state & MT_THREAD_HAS_BLOCK) == 0) {
        t_mt.left = 0;
    } else if (t_mt.depth != 0) {
        t_mt.left += size;
    }
}

/* Not the plain exact case. guard: as t_mt.guard; a frame of this function's own may lie below one of a nested hook. */
static MT_NOINLINE enum mt_verdict begin_carefully(size_t size, uint64_t frame, uint64_t guard)
{
    restore_countdown(records_all(), size);
    if (!mt_gate_enter(frame)) {
        return MT_SKIP;
    }
    if (records_all()) {
        t_mt.left = 0; /* again: the trace may have begun since */
    } else if (!mt_countdown_ended(t_mt.thread, size)) {
        return MT_SKIP;
    }
    t_mt.guard = guard;
    t_mt.depth = 1;
    return MT_RECORD;
}

enum mt_verdict mt_engine_begin(size_t size)
{
    if (MT_LIKELY(mt_gate_mode() == MT_MODE_EXACT && mt_gate_is_open())) {
        t_mt.left = 0;
        t_mt.guard = mt_engine_frame();
        t_mt.depth = 1;
        return MT_RECORD;
    }
    return begin_carefully(size, mt_engine_frame_of_caller(), mt_engine_frame());
}

/* ---- recording ------------------------------------------------------------------------------------------------------ */

/* In sample mode every block says which rate its samples were taken at. That has no time of its own: a packer may leave it
 * out. */
static MT_NOINLINE void note_sample(struct mt_thread *t)
{
    mt_account_add_sample(!mt_clock_is_ordered());
    if (t->journal.block_rate != t->rate) {
        t->journal.block_rate = t->rate;
        mt_encode_ext(&t->journal.encoder, MT_EXT_RATE, t->journal.encoder.clock, t->rate);
    }
}

MT_INLINE void record_alloc(struct mt_thread *t, unsigned kind, void *ptr, size_t size, enum mt_allocator allocator,
                         uint32_t stack)
{
    uint64_t clock = mt_clock_stamp(t);
    if (MT_UNLIKELY(!mt_journal_room(t))) {
        mt_engine_count(MT_COUNTER_DROPPED_EVENTS, 1);
        return;
    }
    if (MT_UNLIKELY(mt_mode() == MT_MODE_SAMPLE)) {
        note_sample(t);
    }
    mt_encode_alloc(&t->journal.encoder, kind, allocator, clock, (uint64_t)(uintptr_t)ptr, size, stack);
    mt_journal_commit(t);
}

MT_INLINE void record_free(struct mt_thread *t, unsigned kind, void *ptr)
{
    uint64_t clock = mt_clock_stamp(t);
    if (MT_UNLIKELY(!mt_journal_room(t))) {
        mt_engine_count(MT_COUNTER_DROPPED_EVENTS, 1);
        return;
    }
    mt_encode_free(&t->journal.encoder, kind, clock, (uint64_t)(uintptr_t)ptr);
    mt_journal_commit(t);
}

/* Sample mode: remembers the block. */
static void track_sample(const void *ptr, size_t size)
{
    if (mt_mode() == MT_MODE_SAMPLE && !mt_livetab_insert(ptr, size)) {
        mt_engine_count(MT_COUNTER_LIVE_TABLE_FULL, 1);
    }
}

static MT_NOINLINE void end_alloc_carefully(void *ptr, size_t size, enum mt_allocator allocator,
                                            const struct mt_frame_regs *regs)
{
    struct mt_thread *t = t_mt.thread;
    if (mt_mode() == MT_MODE_SAMPLE && t->sampled_in != t->generation) {
        return; /* begun when another trace was recorded: not a sample of this one */
    }
    uint32_t stack = mt_engine_capture_stack(t, regs);
    if (mt_mode() == MT_MODE_AGGREGATE) {
        mt_aggregate_alloc(mt_clock_stamp(t), (uint64_t)(uintptr_t)ptr, size, allocator,
                           stack);
        return;
    }
    track_sample(ptr, size);
    record_alloc(t, MT_EVENT_ALLOC, ptr, size, allocator, stack);
}

void mt_engine_end_alloc(void *ptr, size_t size, enum mt_allocator allocator, const struct mt_frame_regs *regs)
{
    if (MT_UNLIKELY(ptr == NULL)) {
        mt_engine_failed(size, allocator, regs);
        return;
    }
    struct mt_thread *t = t_mt.thread;
    bool begun = mt_section_begins(t);
    if (MT_LIKELY(begun && mt_gate_mode() == MT_MODE_EXACT)) {
        record_alloc(t, MT_EVENT_ALLOC, ptr, size, allocator, mt_engine_capture_stack(t, regs));
    } else {
        if (begun) {
            end_alloc_carefully(ptr, size, allocator, regs);
        }
        mt_countdown_settle();
    }
    mt_section_ends(t, 0);
}

void mt_engine_abandon(void)
{
    if (t_mt.thread != NULL) { /* an exception also passes operators of threads that record nothing */
        mt_countdown_settle();
    }
    t_mt.depth = 0;
}

static void orphan_free_locked(struct mt_thread *orphan, void *ptr)
{
    uint32_t depth = t_mt.depth;
    if (mt_section_begins(orphan) && (mt_mode() != MT_MODE_SAMPLE || mt_livetab_remove(ptr, NULL))) {
        mt_thread_begin_order();
        record_free(orphan, MT_EVENT_FREE, ptr);
    }
    mt_section_ends(orphan, depth);
}

/* Frees by threads past their end share one stream. */
static MT_COLD void orphan_free(void *ptr)
{
    if (t_mt.depth != 0 || mt_gate_mode() == MT_MODE_OFF) {
        return;
    }
    t_mt.depth++;
    if (mt_spinlock_lock(&g_mt.orphan_lock)) {
        if (g_mt.orphan == NULL) {
            g_mt.orphan = mt_thread_new_block();
        }
        if (g_mt.orphan != NULL) {
            orphan_free_locked(g_mt.orphan, ptr);
        }
        mt_spinlock_unlock(&g_mt.orphan_lock);
    } else {
        mt_engine_count(MT_COUNTER_DROPPED_EVENTS, 1);
    }
    t_mt.depth--;
}

/* A guarded call ends another block than its own. */
static bool ends_beside(const void *ptr)
{
    bool guarded = (t_mt.depth & (MT_DEPTH_OWN - 1)) != 0 && (t_mt.depth & (uint32_t)MT_DEPTH_RECORDING) == 0;
    return guarded && (t_mt.state & MT_THREAD_HAS_BLOCK) != 0 && mt_gate_mode() != MT_MODE_OFF && !mt_engine_is_ending(ptr);
}

/* Records the end of a block; the depth is left as it was. */
static void record_end(void *ptr, uint32_t depth)
{
    struct mt_thread *t = t_mt.thread;
    bool begun = mt_section_begins(t);
    if (begun && mt_mode() == MT_MODE_AGGREGATE) {
        mt_aggregate_free(mt_clock_stamp(t), (uint64_t)(uintptr_t)ptr);
    } else if (begun && (mt_mode() != MT_MODE_SAMPLE || mt_livetab_remove(ptr, NULL))) {
        record_free(t, MT_EVENT_FREE, ptr);
    }
    mt_section_ends(t, depth);
}

/* Not the plain exact case. Its own frame is below the hook's, which is good enough to tell that a guard was left. */
static MT_NOINLINE void free_carefully(void *ptr)
{
    if (mt_gate_mode() == MT_MODE_SAMPLE && !mt_livetab_contains(ptr)) {
        return; /* it only shares a byte of the filter with a sample */
    }
    if (MT_UNLIKELY(t_mt.state == MT_THREAD_DEAD)) {
        orphan_free(ptr);
        return;
    }
    mt_gate_end_left_guard(mt_engine_frame());
    if (ends_beside(ptr)) {
        record_end(ptr, t_mt.depth);
        return;
    }
    uint32_t own = mt_own_depth();
    t_mt.depth -= own;
    if (!mt_gate_enter(0)) {
        t_mt.depth += own;
        return;
    }
    record_end(ptr, own);
}

void mt_engine_free(void *ptr)
{
    if (MT_UNLIKELY(!(mt_gate_mode() == MT_MODE_EXACT && mt_gate_is_open()))) {
        free_carefully(ptr);
        return;
    }
    struct mt_thread *t = t_mt.thread;
    if (MT_LIKELY(mt_section_begins(t))) {
        record_free(t, MT_EVENT_FREE, ptr);
    }
    mt_section_ends(t, 0);
}

/* ---- realloc --------------------------------------------------------------------------------------------------------- */

/* Bits of a thread's realloc_plan, between begin and end of a realloc. */
enum { REALLOC_OLD_TRACKED = 1, REALLOC_NEW_SAMPLED = 2 };

/* A block of the program's is given another size inside work of ours (CPython does that to frames it keeps), or in a guarded
 * call about another block: it ends here, what becomes of it is not recorded. */
static MT_COLD void end_unseen(void *old)
{
    bool sample_of_own = mt_own_depth() != 0 && mt_gate_mode() == MT_MODE_SAMPLE;
    if ((sample_of_own || ends_beside(old)) && mt_engine_may_track(old)) {
        free_carefully(old);
    }
}

enum mt_verdict mt_engine_begin_realloc(void *old, size_t size, bool counted)
{
    bool exact = records_all();
    if (counted || exact) {
        restore_countdown(exact, size);
    }
    if (!mt_gate_enter(mt_engine_frame_of_caller())) {
        end_unseen(old);
        return MT_SKIP;
    }
    struct mt_thread *t = t_mt.thread;
    t->realloc_plan = 0;
    exact = records_all();
    t_mt.left = exact ? 0 : t_mt.left; /* the trace may have begun since */
    if (exact || (counted && mt_countdown_ended(t, size))) {
        t->realloc_plan |= REALLOC_NEW_SAMPLED;
    }
    bool begun = mt_section_begins(t);
    if (begun && (exact || (mt_engine_may_track(old) && mt_livetab_contains(old) && mt_livetab_remove(old, NULL)))) {
        t->realloc_plan |= REALLOC_OLD_TRACKED;
    }
    if (t->realloc_plan == 0) {
        mt_section_ends(t, 0);
        return MT_SKIP;
    }
    t_mt.ending = (uint64_t)(uintptr_t)old;
    t_mt.guard = mt_engine_frame();
    if ((t->realloc_plan & REALLOC_OLD_TRACKED) != 0 && mt_mode() != MT_MODE_AGGREGATE) {
        record_free(t, MT_EVENT_REALLOC_OLD, old);
    }
    mt_section_ends(t, 1);
    return MT_RECORD;
}

/* The time of an outcome means nothing, it only follows its REALLOC_OLD. */
static void record_realloc_outcome(struct mt_thread *t, enum mt_ext_kind outcome)
{
    uint64_t clock = mt_load_relaxed(&t->clock) + 1;
    mt_store_relaxed(&t->clock, clock);
    if (mt_journal_room(t)) {
        mt_encode_empty_ext(&t->journal.encoder, outcome, clock);
        mt_journal_commit(t);
    }
}

/* The real realloc failed: the old block lives on. */
static void undo_realloc(struct mt_thread *t, void *old)
{
    if ((t->realloc_plan & REALLOC_OLD_TRACKED) == 0 || mt_mode() == MT_MODE_AGGREGATE) {
        return;
    }
    if (mt_mode() == MT_MODE_SAMPLE && !mt_livetab_insert(old, 0)) {
        mt_engine_count(MT_COUNTER_LIVE_TABLE_FULL, 1);
    }
    record_realloc_outcome(t, MT_EXT_REALLOC_FAILED);
}

static void finish_realloc(struct mt_thread *t, void *old, void *new_ptr, size_t size, enum mt_allocator allocator,
                           const struct mt_frame_regs *regs)
{
    bool old_tracked = (t->realloc_plan & REALLOC_OLD_TRACKED) != 0;
    if ((t->realloc_plan & REALLOC_NEW_SAMPLED) == 0) {
        record_realloc_outcome(t, MT_EXT_REALLOC_GONE); /* the old sample ends; the new block is not one */
        return;
    }
    uint32_t stack = mt_engine_capture_stack(t, regs);
    if (mt_mode() == MT_MODE_AGGREGATE) {
        uint64_t clock = mt_clock_stamp(t);
        mt_aggregate_free(clock, (uint64_t)(uintptr_t)old);
        mt_aggregate_alloc(clock + 1, (uint64_t)(uintptr_t)new_ptr, size, allocator, stack);
        return;
    }
    track_sample(new_ptr, size);
    record_alloc(t, old_tracked ? MT_EVENT_REALLOC_NEW : MT_EVENT_ALLOC, new_ptr, size, allocator, stack);
}

/* Nobody knows how far it came: it counts as failed. */
void mt_engine_leave_realloc(void)
{
    struct mt_thread *t = t_mt.thread;
    uint32_t planned_in = t->generation;
    bool left = t->realloc_plan != 0 && t_mt.ending != 0;
    if (left && mt_section_begins(t) && t->generation == planned_in) {
        undo_realloc(t, (void *)(uintptr_t)(t_mt.ending & ~(uint64_t)7));
    }
    t->realloc_plan = 0;
}

void mt_engine_end_realloc(void *old, void *new_ptr, size_t size, enum mt_allocator allocator,
                           const struct mt_frame_regs *regs)
{
    struct mt_thread *t = t_mt.thread;
    uint32_t planned_in = t->generation;
    bool begun = mt_section_begins(t) && t->generation == planned_in; /* else the plan was for another trace */
    if (begun && new_ptr == NULL) {
        undo_realloc(t, old);
        mt_shortage_note(t, size, allocator, regs);
    } else if (begun) {
        finish_realloc(t, old, new_ptr, size, allocator, regs);
    }
    t->realloc_plan = 0;
    t_mt.ending = 0;
    mt_countdown_settle();
    mt_section_ends(t, 0);
}
