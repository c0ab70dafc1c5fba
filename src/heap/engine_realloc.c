/* engine_realloc.c: the half of the engine for blocks that get another size. See engine.h for the contract; the order of every
 * function is that of engine.c.
 *
 * Where all is recorded a realloc is an end and a beginning. In sample mode it is neither: a block that was no sample becomes
 * one when a mark lies in what it grew by, which the hook counts and mt_engine_end_growth records; one that was stays one
 * while it grows, and is kept with probability p(new) / p(old) when it shrinks, p(s) = 1 - exp(-s / rate). So a block of any
 * size is a sample with the probability that its weight divides by, whatever its sizes were before (docs/sampling.md).
 * A sample keeps the rate it was taken at.
 */
#include "heap/aggregate.h"
#include "heap/countdown.h"
#include "heap/engine_record.h"
#include "heap/engine_stack.h"
#include "heap/gate.h"
#include "heap/shortage.h"

/* A sample whose size changes by less than this part of it is not recorded anew. */
enum { SMALL_CHANGE_SHIFT = 6 };

/* ---- the beginning --------------------------------------------------------------------------------------------------- */

/* A block of the program's is given another size inside work of ours (CPython does that to frames it keeps), or in a guarded
 * call about another block: it ends here, what becomes of it is not recorded. */
static MT_COLD void end_unseen(void *old)
{
    bool sample_of_own = mt_own_depth() != 0 && mt_gate_mode() == MT_MODE_SAMPLE;
    if ((sample_of_own || mt_engine_ends_beside(old)) && mt_engine_may_track(old)) {
        mt_engine_free_carefully(old);
    }
}

static bool is_small_change(uint64_t from, uint64_t to)
{
    uint64_t change = to > from ? to - from : from - to;
    return change <= from >> SMALL_CHANGE_SHIFT;
}

static enum mt_verdict find_sample(struct mt_thread *t, void *old, size_t size, enum mt_realloc_way way)
{
    if (!mt_livetab_find(old, &t->realloc_sample)) {
        return MT_SKIP;
    }
    bool watch = way != MT_REALLOC_RENEWS && is_small_change(t->realloc_sample.size, size);
    return watch ? MT_WATCH : MT_RECORD;
}

/* In sample mode. RECORD: a sample that changes. As often timed as a section. */
static enum mt_verdict look_at_sample(struct mt_thread *t, void *old, size_t size, enum mt_realloc_way way)
{
    if (MT_UNLIKELY(--t->until_timed < 0)) {
        mt_cost_begin(t);
    }
    enum mt_verdict verdict = find_sample(t, old, size, way);
    if (MT_UNLIKELY(t->timed_from != 0)) {
        mt_cost_end_look(t);
    }
    return verdict;
}

/* A sample leaves the table before its address can be another block's. */
static enum mt_verdict begin_change(struct mt_thread *t, void *old)
{
    bool begun = mt_section_begins(t) && (mt_engine_records_all() || mt_livetab_remove(old, &t->realloc_sample));
    t->realloc_begun = begun;
    if (!begun) {
        mt_section_ends(t, 0);
        return MT_SKIP;
    }
    t_mt.ending = (uint64_t)(uintptr_t)old;
    t->realloc_old = (uint64_t)(uintptr_t)old;
    if (mt_mode() == MT_MODE_SAMPLE) {
        mt_engine_record_end(t, MT_EVENT_REALLOC_OLD, old, &t->realloc_sample);
    } else if (mt_mode() != MT_MODE_AGGREGATE) {
        mt_engine_record_free(t, MT_EVENT_REALLOC_OLD, old);
    }
    mt_section_ends(t, 1);
    return MT_RECORD;
}

enum mt_verdict mt_engine_begin_realloc(void *old, size_t size, enum mt_realloc_way way)
{
    if (!mt_gate_enter(mt_engine_frame_of_caller())) {
        end_unseen(old);
        return MT_SKIP;
    }
    struct mt_thread *t = t_mt.thread;
    enum mt_verdict verdict = MT_RECORD;
    if (mt_engine_records_all()) {
        t_mt.left = 0; /* the trace may have begun since */
    } else {
        verdict = look_at_sample(t, old, size, way);
    }
    if (verdict == MT_RECORD) {
        t_mt.guard = mt_engine_frame();
        verdict = begin_change(t, old);
    }
    return verdict;
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

/* What became of the old block. */
struct outcome {
    void *block;
    size_t size;
    enum mt_realloc_way way;
    enum mt_allocator allocator;
    const struct mt_frame_regs *regs;
};

/* The block is another one: it has its own chance to be a sample. */
static void finish_renewed(struct mt_thread *t, const struct outcome *o)
{
    mt_engine_record_outcome(t, MT_EXT_REALLOC_GONE);
    if (mt_engine_counts(o->size) && mt_countdown_ended(t, o->size)) {
        mt_account_add_sample(!mt_clock_is_ordered());
        mt_engine_record_sample(t, MT_EVENT_ALLOC, o->block, o->size, o->allocator, mt_engine_capture_stack(t, o->regs), t->rate);
    }
}

static void finish_sample(struct mt_thread *t, const struct outcome *o)
{
    const struct mt_sample *was = &t->realloc_sample;
    if (o->way == MT_REALLOC_RENEWS) {
        finish_renewed(t, o);
    } else if (o->size >= was->size || mt_sampler_keeps(&t->sampler, was->size, o->size, was->rate_bytes)) {
        uint32_t stack = mt_engine_capture_stack(t, o->regs);
        mt_engine_record_sample(t, MT_EVENT_REALLOC_NEW, o->block, o->size, o->allocator, stack, was->rate_bytes);
    } else {
        mt_engine_record_outcome(t, MT_EXT_REALLOC_THINNED);
    }
}

static void finish(struct mt_thread *t, void *old, const struct outcome *o)
{
    if (mt_mode() == MT_MODE_SAMPLE) {
        finish_sample(t, o);
        return;
    }
    uint32_t stack = mt_engine_capture_stack(t, o->regs);
    if (mt_mode() == MT_MODE_AGGREGATE) {
        uint64_t clock = mt_clock_stamp(t);
        mt_aggregate_free(clock, (uint64_t)(uintptr_t)old);
        mt_aggregate_alloc(clock + 1, (uint64_t)(uintptr_t)o->block, o->size, o->allocator, stack);
    } else {
        (void)mt_engine_record_alloc(t, MT_EVENT_REALLOC_NEW, o->block, o->size, o->allocator, stack, 0);
    }
}

void mt_engine_end_realloc(void *old, void *new_ptr, size_t size, enum mt_realloc_way way, enum mt_allocator allocator,
                           const struct mt_frame_regs *regs)
{
    struct mt_thread *t = t_mt.thread;
    uint32_t planned_in = t->generation;
    bool begun = mt_section_begins(t) && t->generation == planned_in; /* else the plan was for another trace */
    if (begun && new_ptr == NULL) {
        mt_engine_undo_realloc(t, old);
        mt_shortage_note(t, size, allocator, regs);
    } else if (begun) {
        const struct outcome outcome = { new_ptr, size, way, allocator, regs };
        t->sample_goes_on = true;
        finish(t, old, &outcome);
        t->sample_goes_on = false;
    }
    t->realloc_begun = false;
    t_mt.ending = 0;
    mt_countdown_settle();
    mt_section_ends(t, 0);
}

/* Its old address may be another block's by now, and that one may even have been taken for this sample and ended: then it has
 * left the table, and only its new place is recorded. */
void mt_engine_end_watched(void *old, void *new_ptr, size_t size, enum mt_realloc_way way, enum mt_allocator allocator,
                           const struct mt_frame_regs *regs)
{
    if (!mt_gate_enter(0)) {
        return;
    }
    struct mt_thread *t = t_mt.thread;
    uint32_t planned_in = t->generation;
    if (mt_section_begins(t) && t->generation == planned_in && mt_mode() == MT_MODE_SAMPLE) {
        t->sample_goes_on = mt_livetab_remove_found(old, &t->realloc_sample);
        if (t->sample_goes_on) {
            mt_engine_record_end(t, MT_EVENT_REALLOC_OLD, old, &t->realloc_sample);
        }
        const struct outcome outcome = { new_ptr, size, way, allocator, regs };
        finish_sample(t, &outcome);
        t->sample_goes_on = false;
    }
    mt_countdown_settle();
    mt_section_ends(t, 0);
}
