/* engine_stack.c: the cold halves of engine_stack.h. */
#include "heap/engine_stack.h"

#include "heap/notes.h"

uint32_t mt_engine_new_stack(struct mt_thread *t, uint64_t key, const struct mt_capture *capture)
{
    uint32_t stack = mt_intern_stack(key, capture);
    if (stack != 0) {
        t->stack_cache[key >> MT_STACK_CACHE_SHIFT] = (struct mt_stack_cache_entry){ .key = key, .stack = stack };
    }
    if (capture->python != NULL) {
        mt_notes_thread_within(t);
    }
    return stack;
}

void mt_engine_count_trouble(enum mt_unwind_result native, enum mt_pystack_result python)
{
    mt_engine_count(MT_COUNTER_BROKEN_STACKS, native == MT_UNWIND_BROKEN);
    mt_engine_count(MT_COUNTER_TRUNCATED_STACKS, native == MT_UNWIND_TRUNCATED || python == MT_PYSTACK_TRUNCATED);
    mt_engine_count(MT_COUNTER_PYTHON_WALK_ERRORS, python == MT_PYSTACK_BROKEN);
}
