/* shortage.c: see shortage.h. */
#include "heap/shortage.h"

#include "heap/countdown.h"
#include "heap/engine_stack.h"
#include "heap/marks.h"

static uint32_t g_marked_in; /* shared: generation of the trace that has its mark, and 1 */

static bool is_first(const struct mt_thread *t)
{
    uint32_t marked = mt_load_relaxed(&g_marked_in), now = t->generation | 1;
    return marked != now && mt_cas_acq_rel(&g_marked_in, &marked, now);
}

static const char *name_of(enum mt_allocator allocator)
{
    static const char *const names[] = {
#define ALLOCATOR_NAME(name, value, text) [value] = text,
        MT_ALLOCATOR_TABLE(ALLOCATOR_NAME)
#undef ALLOCATOR_NAME
    };
    return names[allocator];
}

static void leave_mark(struct mt_thread *t, size_t size, const char *what, const struct mt_frame_regs *regs)
{
    if (is_first(t)) {
        mt_marks_leave(MT_MARK_OUT_OF_MEMORY, size, what, mt_engine_capture_stack(t, regs));
    }
}

void mt_shortage_note(struct mt_thread *t, size_t size, enum mt_allocator allocator, const struct mt_frame_regs *regs)
{
    if (size > 0) {
        leave_mark(t, size, name_of(allocator), regs);
    }
}

void mt_engine_failed(size_t size, enum mt_allocator allocator, const struct mt_frame_regs *regs)
{
    struct mt_thread *t = t_mt.thread;
    if (mt_section_begins(t)) {
        mt_shortage_note(t, size, allocator, regs);
    }
    mt_countdown_settle();
    mt_section_ends(t, 0);
}

void mt_engine_memory_error(const struct mt_frame_regs *regs)
{
    struct mt_thread *t = t_mt.thread;
    if (!mt_marks_are_kept() || t_mt.depth != 0 || (t_mt.state & MT_THREAD_HAS_BLOCK) == 0) {
        return;
    }
    if (mt_section_begins(t)) {
        leave_mark(t, 0, "MemoryError", regs);
    }
    mt_section_ends(t, 0);
}
