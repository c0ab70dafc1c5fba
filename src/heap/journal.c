/* journal.c: one event stream: fills a slot in place, turns a full slot into a block.
 *
 * Invariant: `seq_committed` only ever names whole records, and a slot's content is discarded only after the block with
 * the same seq is in the file, so a kill at any point loses nothing that was committed.
 */
#include "heap/bound.h"
#include "heap/label.h"
#include "heap/meta.h"
#include "heap/notes.h"
#include "heap/thread.h"

static bool large_slots_wanted(void)
{
    return mt_mode() == MT_MODE_EXACT;
}

/* A block that is no thread's has none. */
static struct mt_labels *labels_of(const struct mt_thread *t)
{
    return t == t_mt.thread ? t_mt.labels : NULL;
}

static uint8_t *limit_of(const struct mt_journal *j)
{
    return j->base + j->slot.bytes - sizeof(struct mt_block_header) - 2 * MT_EVENT_MAX_BYTES;
}

/* Starts the next block in the slot. */
static void begin_block(struct mt_thread *t)
{
    struct mt_journal *j = &t->journal;
    j->base = (uint8_t *)(j->slot.header + 1);
    j->limit = labels_of(t) != NULL ? NULL : limit_of(j); /* a block begins without a label */
    j->block_clock = mt_load_relaxed(&t->clock) - 1; /* the record that comes has been stamped: it costs no delta */
    j->block_rate = 0;
    j->block_label = 0;
    mt_encode_begin(&j->encoder, j->base, j->block_clock);
    j->encoder.clock_shift = MT_CLOCK_SHIFT;
    j->slot.header->clock_first = j->block_clock;
    mt_store_release(&j->slot.header->seq_committed, (uint64_t)j->seq << 32);
}

/* Turns the slot's content into a block. What cannot be written may stay where it is if that is in the file; in memory it waits. */
static mt_status write_block(struct mt_thread *t)
{
    struct mt_journal *j = &t->journal;
    size_t bytes = (size_t)(j->encoder.at - j->base);
    struct mt_block_header block = {
        .type = MT_BLOCK_EVENTS,
        .stream = j->stream,
        .clock_first = j->block_clock,
        .clock_last = j->encoder.clock,
        .seq_committed = (uint64_t)j->seq << 32,
        .events = j->encoder.events,
    };
    mt_engine_count(MT_COUNTER_FLUSHES, 1);
    uint64_t from_ns = mt_engine_work_begins();
    mt_status status = mt_tracefile_append(&block, j->base, bytes);
    if (status != MT_OK && j->slot.in_memory) {
        status = mt_tracefile_append_later(&block, j->base, bytes, status);
    }
    (void)mt_engine_work_ends(from_ns);
    return status;
}

void mt_journal_flush(struct mt_thread *t)
{
    struct mt_journal *j = &t->journal;
    if (j->base == NULL || j->encoder.at == j->base) {
        return;
    }
    mt_bound_await();
    mt_status status = write_block(t);
    if (status == MT_OK) {
        mt_slot_move_to_file(&j->slot, j->stream, MT_BLOCK_EVENTS, j->seq + 1);
    } else {
        status = mt_slot_leave(&j->slot, status, j->stream, MT_BLOCK_EVENTS, j->seq + 1);
    }
    if (status != MT_OK) {
        mt_state_give_up(status); /* the slot keeps its content; nothing more can be recorded anywhere */
        return;
    }
    j->seq++;
    begin_block(t);
    mt_bound_look();
}

bool mt_journal_turn(struct mt_thread *t, uint64_t clock)
{
    struct mt_journal *j = &t->journal;
    mt_store_relaxed(&t->clock, clock);
    if (j->base == NULL) {
        return true;
    }
    if (j->slot.in_memory || (j->encoder.at != j->base && write_block(t) != MT_OK)) {
        return false;
    }
    j->seq += j->encoder.at != j->base;
    begin_block(t);
    j->limit = NULL; /* the label that is in force is said again */
    return true;
}

static bool acquire_slot(struct mt_thread *t)
{
    struct mt_journal *j = &t->journal;
    mt_status status = mt_slot_acquire(j->stream, MT_BLOCK_EVENTS, large_slots_wanted(), j->seq, &j->slot);
    if (status != MT_OK) {
        mt_engine_count(MT_COUNTER_DROPPED_NO_SPACE, 1);
        if (status != MT_E_BUSY) { /* only this event is lost where a lock was not had in time */
            mt_state_give_up(status);
        }
        return false;
    }
    begin_block(t);
    return true;
}

static bool flush_full_slot(struct mt_thread *t)
{
    mt_notes_thread(t);
    mt_journal_flush(t);
    if (mt_mode() == MT_MODE_OFF) {
        mt_engine_count(MT_COUNTER_DROPPED_NO_SPACE, 1);
        return false;
    }
    return true;
}

bool mt_journal_room_slow(struct mt_thread *t)
{
    struct mt_journal *j = &t->journal;
    if (mt_mode() == MT_MODE_OFF || (j->base == NULL && !acquire_slot(t))) {
        return false;
    }
    if (j->encoder.at > limit_of(j) && !flush_full_slot(t)) {
        return false;
    }
    j->limit = limit_of(j);
    mt_fence_compiler(); /* a label that a signal handler sets from here on is looked at next time */
    mt_label_note(t, labels_of(t));
    return true;
}

void mt_journal_set_aside(struct mt_thread *t)
{
    struct mt_journal *j = &t->journal;
    if (j->base == NULL) {
        return;
    }
    mt_engine_count(MT_COUNTER_DROPPED_EVENTS, j->slot.in_memory ? j->encoder.events : 0); /* in memory alone: lost */
    mt_os_unmap(j->slot.header, j->slot.bytes);
    j->base = NULL;
    j->limit = NULL;
    j->slot.header = NULL;
    j->seq++;
}

void mt_journal_close(struct mt_thread *t)
{
    struct mt_journal *j = &t->journal;
    if (j->base == NULL) {
        return;
    }
    bool empty = j->encoder.at == j->base;
    if (!empty && write_block(t) != MT_OK) {
        mt_journal_set_aside(t);
        return;
    }
    mt_slot_release(&j->slot);
    j->base = NULL;
    j->limit = NULL;
    j->slot.header = NULL;
    j->seq++;
}

static bool is_in_memory_alone(const struct mt_journal *j)
{
    return j->slot.in_memory && j->base != NULL && j->encoder.at != j->base;
}

/* Slots that are not part of the file: the calling thread's is written. Another thread may be writing to its own, which is lost
 * if it does not end first. */
static void settle_slots(void)
{
    if (!mt_spinlock_lock(&g_mt.threads_lock)) {
        return;
    }
    for (struct mt_thread *t = g_mt.threads; t != NULL; t = t->next) {
        if (is_in_memory_alone(&t->journal) && t == t_mt.thread) {
            mt_journal_flush(t);
        } else if (is_in_memory_alone(&t->journal)) {
            mt_state_lost_from(t->journal.block_clock, MT_E_NOSPACE);
        }
    }
    mt_spinlock_unlock(&g_mt.threads_lock);
}

void mt_journal_settle(void)
{
    t_mt.depth++; /* a signal handler that allocates now must not come between */
    settle_slots();
    mt_meta_settle();
    t_mt.depth--;
    struct mt_waiting_loss loss = mt_tracefile_settle();
    if (loss.why != MT_OK) {
        mt_engine_count(MT_COUNTER_DROPPED_EVENTS, loss.events);
        mt_state_lost_from(loss.clock, loss.why);
    }
}
