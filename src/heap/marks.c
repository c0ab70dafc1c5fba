/* marks.c: see marks.h.
 *
 * Within a thread clocks may be a unit (MT_CLOCK_SHIFT) coarser in the file than they are here, so a mark takes a whole unit
 * for itself.
 */
#include "heap/marks.h"

#include "heap/clock.h"
#include "heap/notes.h"

#include <string.h>

bool mt_marks_are_kept(void)
{
    return mt_mode() != MT_MODE_OFF && g_mt.header != NULL && !mt_is_unnoticed_child();
}

static uint64_t clock_between(struct mt_thread *t)
{
    const uint64_t unit = (uint64_t)1 << MT_CLOCK_SHIFT;
    uint64_t clock = (mt_clock_stamp(t) | (unit - 1)) + 1;
    mt_store_relaxed(&t->clock, clock + unit);
    return clock;
}

void mt_marks_leave(enum mt_mark_kind kind, uint64_t value, const char *text, uint32_t stack)
{
    bool has_block = (t_mt.state & MT_THREAD_HAS_BLOCK) != 0;
    const struct mt_record_mark mark = { .clock = has_block ? clock_between(t_mt.thread) : mt_clock_now(),
                                         .stream = has_block ? t_mt.thread->journal.stream : 0,
                                         .kind = (uint32_t)kind,
                                         .value = value,
                                         .text = { text, strlen(text) },
                                         .placed = stack != 0,
                                         .stack = stack };
    mt_notes_mark(&mark);
}

/* What the thread did in the same unit of time comes after it, as the file does not tell them apart. */
void mt_marks_leave_before(uint64_t clock, enum mt_mark_kind kind, uint64_t value, const char *text)
{
    const struct mt_record_mark mark = { .clock = mt_clock_whole_units(clock) - 1,
                                         .kind = (uint32_t)kind,
                                         .value = value,
                                         .text = { text, strlen(text) } };
    mt_notes_mark(&mark);
}
