/* engine_record.c: see engine_record.h; what is rare of it. */
#include "heap/engine_record.h"

#include "heap/totals.h"

void mt_engine_note_rate(struct mt_thread *t, uint64_t rate_bytes)
{
    t->journal.block_rate = rate_bytes;
    if (rate_bytes != 0) {
        mt_encode_ext(&t->journal.encoder, MT_EXT_RATE, t->journal.encoder.clock, rate_bytes);
    }
}

static void track(const void *ptr, const struct mt_sample *sample)
{
    if (!mt_livetab_insert(ptr, sample)) {
        mt_engine_count(MT_COUNTER_LIVE_TABLE_FULL, 1);
        mt_totals_give_up();
    }
}

static void count_in_total(const struct mt_thread *t, unsigned kind, const struct mt_sample *sample)
{
    static const struct mt_sample none = { .size = 0 };
    const struct mt_sample *before = t->sample_goes_on ? &t->realloc_sample : &none;
    mt_totals_allocated(sample, kind == MT_EVENT_REALLOC_NEW ? before : NULL);
}

void mt_engine_record_sample(struct mt_thread *t, unsigned kind, void *ptr, size_t size, enum mt_allocator allocator, uint32_t stack,
                             uint64_t rate_bytes)
{
    if (mt_engine_record_alloc(t, kind, ptr, size, allocator, stack, rate_bytes)) {
        const struct mt_sample sample = { .size = size,
                                          .rate_bytes = rate_bytes,
                                          .birth = { .clock = mt_load_relaxed(&t->clock),
                                                     .stack = stack,
                                                     .stream = t->journal.stream,
                                                     .label = t->journal.block_label,
                                                     .allocator = allocator } };
        track(ptr, &sample);
        if (mt_totals_are_kept()) {
            count_in_total(t, kind, &sample);
        }
    }
}

void mt_engine_record_end(struct mt_thread *t, unsigned kind, void *ptr, const struct mt_sample *was)
{
    mt_engine_record_free(t, kind, ptr);
    if (mt_totals_are_kept()) {
        mt_totals_ended(was, mt_load_relaxed(&t->clock));
    }
}

void mt_engine_record_outcome(struct mt_thread *t, enum mt_ext_kind outcome)
{
    uint64_t clock = mt_load_relaxed(&t->clock) + 1;
    mt_store_relaxed(&t->clock, clock); /* a base that was made since has set it on */
    if (mt_journal_room(t)) {
        mt_encode_empty_ext(&t->journal.encoder, outcome, clock);
        mt_journal_commit(t);
    }
}

void mt_engine_undo_realloc(struct mt_thread *t, void *old)
{
    if (mt_mode() == MT_MODE_AGGREGATE) {
        return;
    }
    if (mt_mode() == MT_MODE_SAMPLE) {
        track(old, &t->realloc_sample);
    }
    mt_engine_record_outcome(t, MT_EXT_REALLOC_FAILED);
}

/* Nobody knows how far it came: it counts as failed. */
void mt_engine_leave_realloc(void)
{
    struct mt_thread *t = t_mt.thread;
    uint32_t planned_in = t->generation;
    bool left = t->realloc_begun && t_mt.ending != 0;
    if (left && mt_section_begins(t) && t->generation == planned_in) {
        mt_engine_undo_realloc(t, (void *)(uintptr_t)(t_mt.ending & ~(uint64_t)7));
    }
    t->realloc_begun = false;
}
