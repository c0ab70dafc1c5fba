/* rangelog.c: see rangelog.h. */
#include "heap/rangelog.h"

#include "heap/account.h"
#include "heap/aggregate.h"
#include "heap/bound.h"
#include "heap/maplog.h"
#include "heap/totals.h"

/* In a trace that is kept below a size: what its next base has to say. */
static void remember(struct mt_thread *t, uint64_t clock, uint64_t addr, uint64_t bytes, enum mt_map_kind kind, uint32_t stack, bool ends)
{
    if (!mt_bound_is_on()) {
        return;
    }
    const struct mt_mapping_record record = { .low = addr,
                                              .bytes = bytes,
                                              .clock = clock,
                                              .stack = stack,
                                              .stream = t->journal.stream,
                                              .label = t->journal.block_label,
                                              .kind = kind == MT_MAP_MREMAP && !ends ? t->moved_kind : (uint16_t)kind,
                                              .ends = ends };
    bool moves = ends && kind == MT_MAP_MREMAP;
    if (ends) {
        mt_totals_unmapped(clock, addr, bytes);
    } else {
        const struct mt_birth birth = { .clock = clock, .stack = stack, .stream = record.stream, .label = record.label };
        mt_totals_mapped(&birth, addr, bytes, (enum mt_map_kind)record.kind);
    }
    if ((moves && !mt_maplog_moved_kind(addr, bytes, &t->moved_kind)) || !mt_maplog_note(&record)) {
        mt_bound_forbid();
    }
}

void mt_rangelog_map(struct mt_thread *t, uint64_t clock, uint64_t addr, uint64_t bytes, enum mt_map_kind kind,
                     uint32_t stack)
{
    if (mt_mode() == MT_MODE_AGGREGATE) {
        mt_aggregate_map(clock, addr, bytes, kind, stack);
    } else if (mt_journal_room(t)) {
        mt_encode_map(&t->journal.encoder, kind, clock, addr, bytes, stack);
        mt_journal_commit(t);
        remember(t, clock, addr, bytes, kind, stack, false);
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
        remember(t, clock, addr, bytes, kind, 0, true);
    } else {
        mt_engine_count(MT_COUNTER_DROPPED_EVENTS, 1);
    }
}
