/* engine.c: the hot half of the engine: decides and records one allocator call. See engine.h for the contract. Address ranges:
 * engine_ranges.c, reallocs: engine_realloc.c.
 *
 * Order of every function here: guard first (t_mt.depth), then state, then the thread's own memory only. Shared state is
 * reached through the clock, the live table, stack interning (first sight only) and slot flushes.
 */
#include "heap/engine.h"

#include "heap/aggregate.h"
#include "heap/bound.h"
#include "heap/checkpoint.h"
#include "heap/countdown.h"
#include "heap/engine_record.h"
#include "heap/engine_stack.h"
#include "heap/gate.h"
#include "heap/shortage.h"

/* ---- deciding ------------------------------------------------------------------------------------------------------ */

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
    restore_countdown(mt_engine_records_all(), size);
    if (!mt_gate_enter(frame)) {
        return MT_SKIP;
    }
    if (mt_engine_records_all()) {
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

/* kind: in sample mode; where all is recorded this is an allocation whatever made it. */
static MT_NOINLINE void end_alloc_carefully(unsigned kind, void *ptr, size_t size, enum mt_allocator allocator,
                                            const struct mt_frame_regs *regs)
{
    struct mt_thread *t = t_mt.thread;
    if (mt_mode() == MT_MODE_SAMPLE && t->sampled_in != t->generation) {
        return; /* begun when another trace was recorded: not a sample of this one */
    }
    if (MT_UNLIKELY(mt_load_relaxed(&mt_g_bound_is_due))) {
        mt_checkpoint_make(t);
    }
    uint32_t stack = mt_engine_capture_stack(t, regs);
    if (mt_mode() == MT_MODE_AGGREGATE) {
        mt_aggregate_alloc(mt_clock_stamp(t), (uint64_t)(uintptr_t)ptr, size, allocator,
                           stack);
    } else if (mt_mode() == MT_MODE_SAMPLE) {
        mt_account_add_sample(!mt_clock_is_ordered());
        if (kind == MT_EVENT_ALLOC) { /* growth is counted by mt_engine_end_growth */
            mt_cost_add_sample(t);
        }
        mt_engine_record_sample(t, kind, ptr, size, allocator, stack, t->rate);
    } else {
        (void)mt_engine_record_alloc(t, MT_EVENT_ALLOC, ptr, size, allocator, stack, 0);
    }
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
        uint64_t clock = mt_clock_stamp(t); /* first: an ordered reading takes as long as the stack does, and they overlap */
        (void)mt_engine_record_stamped_alloc(t, clock, MT_EVENT_ALLOC, ptr, size, allocator, mt_engine_capture_stack(t, regs), 0);
    } else {
        if (begun) {
            end_alloc_carefully(MT_EVENT_ALLOC, ptr, size, allocator, regs);
        }
        mt_countdown_settle();
    }
    mt_section_ends(t, 0);
}

void mt_engine_end_growth(void *ptr, size_t size, enum mt_realloc_way way, enum mt_allocator allocator,
                          const struct mt_frame_regs *regs)
{
    struct mt_thread *t = t_mt.thread;
    if (mt_section_begins(t)) {
        end_alloc_carefully(way == MT_REALLOC_RENEWS ? MT_EVENT_ALLOC : MT_EVENT_REALLOC_NEW, ptr, size, allocator, regs);
        if (way == MT_REALLOC_GROWS && mt_mode() == MT_MODE_SAMPLE) {
            mt_cost_add_growth(t, t->counted);
        }
    }
    mt_countdown_settle();
    mt_section_ends(t, 0);
}

void mt_engine_abandon(void)
{
    if (t_mt.thread != NULL) { /* an exception also passes operators of threads that record nothing */
        mt_countdown_settle();
    }
    t_mt.depth = 0;
}

static void record_free(struct mt_thread *t, void *ptr)
{
    struct mt_sample was;
    if (mt_mode() != MT_MODE_SAMPLE) {
        mt_engine_record_free(t, MT_EVENT_FREE, ptr);
    } else if (mt_livetab_remove(ptr, &was)) {
        mt_engine_record_end(t, MT_EVENT_FREE, ptr, &was);
    }
}

static void orphan_free_locked(struct mt_thread *orphan, void *ptr)
{
    uint32_t depth = t_mt.depth;
    if (mt_section_begins(orphan)) {
        mt_thread_begin_order();
        record_free(orphan, ptr);
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

bool mt_engine_ends_beside(const void *ptr)
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
    } else if (begun) {
        record_free(t, ptr);
    }
    mt_section_ends(t, depth);
}

/* Not the plain exact case. Its own frame is below the hook's, which is good enough to tell that a guard was left. */
MT_NOINLINE void mt_engine_free_carefully(void *ptr)
{
    if (mt_gate_mode() == MT_MODE_SAMPLE && !mt_livetab_contains(ptr)) {
        return; /* it only shares a byte of the filter with a sample */
    }
    if (MT_UNLIKELY(t_mt.state == MT_THREAD_DEAD)) {
        orphan_free(ptr);
        return;
    }
    mt_gate_end_left_guard(mt_engine_frame());
    if (mt_engine_ends_beside(ptr)) {
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
        mt_engine_free_carefully(ptr);
        return;
    }
    struct mt_thread *t = t_mt.thread;
    if (MT_LIKELY(mt_section_begins(t))) {
        mt_engine_record_free(t, MT_EVENT_FREE, ptr);
    }
    mt_section_ends(t, 0);
}
