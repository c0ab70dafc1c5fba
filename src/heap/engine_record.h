/* engine_record.h: the records of one block: it began, it ended.
 *
 * Decides: a record has its stamp before it has room, so that a record that finds none has been counted at its time; in sample
 * mode every block of a journal says the rate of its samples. Internal to engine*.c. Context: [hook] in a recording section.
 */
#ifndef MT_HEAP_ENGINE_RECORD_H
#define MT_HEAP_ENGINE_RECORD_H

#include "heap/clock.h"
#include "heap/livetab.h"
#include "heap/thread.h"

MT_INLINE bool mt_engine_records_all(void)
{
    return mt_mode() == MT_MODE_EXACT || mt_mode() == MT_MODE_AGGREGATE;
}

/* The rate of the samples that follow. That has no time of its own: a packer may leave it out. Cold half. */
MT_NOINLINE void mt_engine_note_rate(struct mt_thread *t, uint64_t rate_bytes);

/* clock: the stamp; no other event of the thread was stamped since. rate_bytes: of this sample; 0 where all is recorded. False:
 * it is dropped. */
MT_INLINE bool mt_engine_record_stamped_alloc(struct mt_thread *t, uint64_t clock, unsigned kind, void *ptr, size_t size,
                                              enum mt_allocator allocator, uint32_t stack, uint64_t rate_bytes)
{
    if (MT_UNLIKELY(!mt_journal_room(t))) {
        mt_engine_count(MT_COUNTER_DROPPED_EVENTS, 1);
        return false;
    }
    if (MT_UNLIKELY(rate_bytes != t->journal.block_rate)) {
        mt_engine_note_rate(t, rate_bytes);
    }
    mt_encode_alloc(&t->journal.encoder, kind, allocator, clock, (uint64_t)(uintptr_t)ptr, size, stack);
    mt_journal_commit(t);
    return true;
}

MT_INLINE bool mt_engine_record_alloc(struct mt_thread *t, unsigned kind, void *ptr, size_t size, enum mt_allocator allocator,
                                      uint32_t stack, uint64_t rate_bytes)
{
    return mt_engine_record_stamped_alloc(t, mt_clock_stamp(t), kind, ptr, size, allocator, stack, rate_bytes);
}

/* Sample mode: a record of a block, which is remembered with it. One that finds no room is not: nobody would know of its end. */
void mt_engine_record_sample(struct mt_thread *t, unsigned kind, void *ptr, size_t size, enum mt_allocator allocator, uint32_t stack,
                             uint64_t rate_bytes);

MT_INLINE void mt_engine_record_free(struct mt_thread *t, unsigned kind, void *ptr)
{
    uint64_t clock = mt_clock_stamp(t);
    if (MT_UNLIKELY(!mt_journal_room(t))) {
        mt_engine_count(MT_COUNTER_DROPPED_EVENTS, 1);
        return;
    }
    mt_encode_free(&t->journal.encoder, kind, clock, (uint64_t)(uintptr_t)ptr);
    mt_journal_commit(t);
}

/* Sample mode: the end of a block that has left the table; was: what it was. */
void mt_engine_record_end(struct mt_thread *t, unsigned kind, void *ptr, const struct mt_sample *was);

/* What a REALLOC_OLD led to, where that is no record of its own; its time means nothing, it only follows. */
void mt_engine_record_outcome(struct mt_thread *t, enum mt_ext_kind outcome);
/* The real realloc failed: the old block lives on. */
void mt_engine_undo_realloc(struct mt_thread *t, void *old);
/* A guarded call ends another block than its own. */
bool mt_engine_ends_beside(const void *ptr);
/* Not the plain exact case of mt_engine_free. */
MT_NOINLINE void mt_engine_free_carefully(void *ptr);

#endif
