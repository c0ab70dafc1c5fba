/* rangelog.c: see rangelog.h. */
#include "heap/rangelog.h"

#include "heap/account.h"
#include "heap/aggregate.h"

void mt_rangelog_map(struct mt_thread *t, uint64_t clock, uint64_t addr, uint64_t bytes, enum mt_map_kind kind,
                     uint32_t stack)
{
    if (mt_mode() == MT_MODE_AGGREGATE) {
        mt_aggregate_map(clock, addr, bytes, kind, stack);
    } else if (mt_journal_room(t)) {
        mt_encode_map(&t->journal.encoder, kind, clock, addr, bytes, stack);
        mt_journal_commit(t);
    } else {
        mt_engine_count(MT_COUNTER_DROPPED_EVENTS, 1);
    }
}

void mt_rangelog_unmap(struct mt_thread *t, uint64_t clock, uint64_t addr, uint64_t bytes, enum mt_map_kind kind)
{
    if (mt_mode() == MT_MODE_AGGREGATE) {
        mt_aggregate_unmap(clock, addr, bytes);
    } else if (mt_journal_room(t)) {
        mt_encode_unmap(&t->journal.encoder, kind, clock, addr, bytes);
        mt_journal_commit(t);
    } else {
        mt_engine_count(MT_COUNTER_DROPPED_EVENTS, 1);
    }
}
