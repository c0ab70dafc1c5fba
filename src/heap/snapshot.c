/* snapshot.c: see snapshot.h. */
#include "heap/snapshot.h"

#include "base/tick.h"
#include "heap/marks.h"

static uint64_t g_answered; /* shared: requests on the clock page that have their mark */
static uint64_t g_told_low; /* shared: times that memory was low that have theirs */
static uint32_t g_pending;  /* shared: a signal came in the middle of something */

static uint64_t word_of_page(enum mt_tick_word word)
{
    const volatile uint64_t *page = g_mt.config.tick;
    return page != NULL ? page[word] : 0;
}

static uint64_t asked_for(void)
{
    return word_of_page(MT_TICK_SNAPSHOTS);
}

void mt_snapshot_begin(void)
{
    mt_store_relaxed(&g_answered, asked_for());
    mt_store_relaxed(&g_told_low, word_of_page(MT_TICK_LOW));
    mt_store_relaxed(&g_pending, 0u);
}

static bool take_request(uint64_t asked)
{
    uint64_t answered = mt_load_relaxed(&g_answered);
    return asked != answered && mt_cas_acq_rel(&g_answered, &answered, asked);
}

static bool take_pending(void)
{
    uint32_t pending = mt_load_relaxed(&g_pending);
    return pending != 0 && mt_cas_acq_rel(&g_pending, &pending, 0u);
}

/* The tool may be writing the next one: what is read is at worst a mixture of two texts. */
static void copy_text(char ret[MT_TICK_TEXT_BYTES])
{
    const volatile char *text = (const volatile char *)&g_mt.config.tick[MT_TICK_LOW_TEXT];
    size_t i = 0;
    for (; i + 1 < MT_TICK_TEXT_BYTES && text[i] != '\0'; i++) {
        ret[i] = text[i];
    }
    ret[i] = '\0';
}

static void note_low(uint64_t clock)
{
    char what[MT_TICK_TEXT_BYTES];
    uint64_t told = mt_load_relaxed(&g_told_low), low = word_of_page(MT_TICK_LOW);
    if (low != told && mt_cas_acq_rel(&g_told_low, &told, low)) {
        copy_text(what);
        mt_marks_leave_before(clock, MT_MARK_MEMORY_LOW, word_of_page(MT_TICK_LOW_LEFT), what);
    }
}

void mt_snapshot_look(uint64_t clock)
{
    uint64_t asked = asked_for();
    note_low(clock);
    if (take_request(asked)) {
        mt_marks_leave_before(clock, MT_MARK_SNAPSHOT, asked, "");
    }
    if (take_pending()) {
        mt_marks_leave_before(clock, MT_MARK_SNAPSHOT, 0, "");
    }
}

void mt_engine_snapshot(void)
{
    if (!mt_marks_are_kept()) {
        return;
    }
    if (t_mt.depth != 0 || (t_mt.state & MT_THREAD_HAS_BLOCK) == 0) {
        mt_store_relaxed(&g_pending, 1u);
        return;
    }
    mt_engine_enter();
    mt_marks_leave(MT_MARK_SNAPSHOT, 0, "", 0);
    mt_engine_leave();
}

void mt_engine_snapshot_now(void)
{
    if (mt_marks_are_kept()) {
        mt_marks_leave(MT_MARK_SNAPSHOT, 0, "", 0);
    }
}
