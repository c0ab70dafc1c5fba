/* engine_stack.h: the number of the stack that the present event is recorded with.
 *
 * Decides: which parts a stack has (native, Python), and that a stack met before costs its walks and one look into the thread's
 * own cache. Internal to heap/. Context: [hook] in a recording section.
 */
#ifndef MT_HEAP_ENGINE_STACK_H
#define MT_HEAP_ENGINE_STACK_H

#include "base/hash.h"
#include "heap/intern.h"
#include "heap/thread.h"

/* Cold halves: a stack that is not in the thread's cache; a walk that did not come to its end. */
MT_COLD uint32_t mt_engine_new_stack(struct mt_thread *t, uint64_t key, const struct mt_capture *capture);
MT_COLD void mt_engine_count_trouble(enum mt_unwind_result native, enum mt_pystack_result python);

/* Number of the present stack. Both hashes are well mixed, so adding them apart keeps them so. */
MT_INLINE uint32_t mt_engine_capture_stack(struct mt_thread *t, const struct mt_frame_regs *regs)
{
    enum mt_unwind_result native = MT_UNWIND_COMPLETE;
    enum mt_pystack_result python = MT_PYSTACK_NONE;
    uint64_t hash = 0;
    if (g_mt.native) {
        native = mt_unwind_capture(&t->unwinder, regs);
        hash = t->unwinder.hash;
    }
    if (g_mt.python) {
        python = mt_pystack_capture(&t->python);
        hash += t->python.leaf->hash * MT_FILTER_MULTIPLIER; /* 0 without frames */
    }
    if (MT_UNLIKELY(native != MT_UNWIND_COMPLETE || python > MT_PYSTACK_COMPLETE)) {
        mt_engine_count_trouble(native, python);
    }
    if (MT_UNLIKELY(hash == 0)) {
        return 0;
    }
    uint64_t key = (hash ^ g_mt.key_salt) | 1;
    const struct mt_stack_cache_entry *entry = &t->stack_cache[key >> MT_STACK_CACHE_SHIFT];
    if (MT_LIKELY(entry->key == key)) {
        return entry->stack;
    }
    const struct mt_capture capture = {
        .native = g_mt.native ? &t->unwinder : NULL,
        .python = g_mt.python ? &t->python : NULL,
        .innermost_sp = regs->sp,
        .native_truncated = native == MT_UNWIND_TRUNCATED,
        .python_truncated = python == MT_PYSTACK_TRUNCATED,
    };
    return mt_engine_new_stack(t, key, &capture);
}

#endif
