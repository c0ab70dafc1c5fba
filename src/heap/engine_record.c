/* engine_record.c: see engine_record.h; what is rare of it. */
#include "heap/engine_record.h"

void mt_engine_note_rate(struct mt_thread *t, uint64_t rate_bytes)
{
    t->journal.block_rate = rate_bytes;
    if (rate_bytes != 0) {
        mt_encode_ext(&t->journal.encoder, MT_EXT_RATE, t->journal.encoder.clock, rate_bytes);
    }
}

void mt_engine_record_outcome(struct mt_thread *t, enum mt_ext_kind outcome)
{
    uint64_t clock = mt_load_relaxed(&t->clock) + 1;
    mt_store_relaxed(&t->clock, clock);
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
        mt_engine_track(old, t->realloc_sample.size, t->realloc_sample.rate_bytes);
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
