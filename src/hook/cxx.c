/* cxx.c: operator new and delete.
 *
 * Decides: when they are counted. libstdc++'s and libc++'s call malloc, which is hooked and counts them once. Only where
 * the object that defines operator new also defines malloc (jemalloc, tcmalloc), they do not pass through a hookable
 * malloc and are counted here. The exported operators are therefore one indirect jump: to the next definition, or to the
 * counting hook of bank 0. The GOT patcher leaves operators that call malloc alone altogether.
 * A program's own operator new precedes ours and is not seen here; it gets its memory somewhere that is.
 *
 * Exceptions: the real operator new may throw std::bad_alloc through our frame, and the guard must then be taken down.
 * A cleanup handler would need the C++ runtime (DT_NEEDED is libc alone), calling the nothrow operator first would run the
 * program's new handler twice. So the recorded frames name a personality routine of our own: the unwinder calls it while
 * it passes (Itanium C++ ABI, level I, 1.6) and all it does is to leave the guard.
 */
#include "heap/engine.h"
#include "hook/alloc.h"
#include "hook/elf.h"
#include "hook/guard.h"
#include "hook/originals.h"

/* ---- recorded calls ------------------------------------------------------------------------------------------------- */

/* Values of the Itanium C++ ABI. */
enum { UNWIND_ACTION_CLEANUP = 2, UNWIND_CONTINUE = 8 };

int mt_cxx_personality(int version, int actions, uint64_t exception_class, void *exception, void *context) MT_HIDDEN;
__attribute__((used)) int mt_cxx_personality(int version, int actions, uint64_t exception_class, void *exception,
                                             void *context)
{
    (void)version;
    (void)exception_class;
    (void)exception;
    (void)context;
    if ((actions & UNWIND_ACTION_CLEANUP) != 0) {
        mt_engine_abandon();
    }
    return UNWIND_CONTINUE;
}

/* Guarded even when it is not recorded: some operators (jemalloc before 5.3) do reach the hooked malloc. */
#define RECORDED_NEW(allocator, name, parameters, arguments)                                                           \
    MT_NOINLINE void *mt_cxx_recorded_##name(MT_STRIP parameters, const struct mt_originals *real)                     \
    {                                                                                                                  \
        MT_LEAVE_GUARD_WHEN_THROWN_THROUGH();                                                                          \
        MT_CAPTURE_CALLER(regs);                                                                                       \
        bool recorded = mt_engine_counts(size) && mt_engine_begin(size) == MT_RECORD;                                  \
        if (!recorded) {                                                                                               \
            mt_engine_enter();                                                                                         \
        }                                                                                                              \
        uint64_t left = mt_guard_save();                                                                               \
        void *ptr = real->name arguments;                                                                              \
        mt_guard_restore(left);                                                                                        \
        if (recorded) {                                                                                                \
            mt_engine_end_alloc(ptr, size, allocator, &regs);                                                          \
        } else {                                                                                                       \
            mt_engine_leave();                                                                                         \
        }                                                                                                              \
        return ptr;                                                                                                    \
    }
#define RECORDED_SCALAR(result, name, parameters, arguments)                                                           \
    RECORDED_NEW(MT_ALLOCATOR_NEW, name, parameters, arguments)
#define RECORDED_ARRAY(result, name, parameters, arguments)                                                            \
    RECORDED_NEW(MT_ALLOCATOR_NEW_ARRAY, name, parameters, arguments)
MT_HOOK_NEW_TABLE(RECORDED_SCALAR)
MT_HOOK_NEW_ARRAY_TABLE(RECORDED_ARRAY)

#define RECORDED_DELETE(result, name, parameters, arguments)                                                           \
    MT_NOINLINE void mt_cxx_recorded_##name(MT_STRIP parameters, const struct mt_originals *real)                      \
    {                                                                                                                  \
        if (ptr != NULL) {                                                                                             \
            mt_engine_free(ptr);                                                                                       \
        }                                                                                                              \
        mt_engine_enter_end(ptr, 0); /* it may reach free through a hooked slot */                                     \
        real->name arguments;                                                                                          \
        mt_engine_leave_end();                                                                                         \
    }
MT_HOOK_DELETE_TABLE(RECORDED_DELETE)

/* ---- the exported operators ----------------------------------------------------------------------------------------- */

struct cxx_targets {
#define TARGET_MEMBER(result, name, parameters, arguments) result(*name) parameters;
    MT_HOOK_CXX_TABLE(TARGET_MEMBER)
#undef TARGET_MEMBER
};

static struct cxx_targets g_targets;

/* Where an exported operator jumps: decided at its first call, because libstdc++ may arrive late. Before the hooks are known
 * (constructors that run before the agent's) every call looks anew. */
static mt_function decide(enum mt_hook_index index, bool *ret_for_ever)
{
    bool beside_malloc = false;
    void *next = mt_elf_next(mt_hook_row(index)->name, false, &beside_malloc);
    if (next == NULL) {
        return NULL;
    }
    if (mt_originals_get(0, index) == 0) {
        mt_originals_set(0, index, (uint64_t)(uintptr_t)next);
    }
    mt_function hook = mt_originals_hook(0, index);
    *ret_for_ever = hook != NULL;
    return beside_malloc && hook != NULL ? hook : (mt_function)(uintptr_t)next;
}

/* No definition anywhere: the caller was linked against nothing but us. */
static void *undefined_new(size_t size)
{
    return mt_g_originals[0].malloc(size);
}

static void undefined_delete(void *ptr)
{
    mt_g_originals[0].free(ptr);
}

#define FIRST_CALL(fallback, result, name, parameters, arguments)                                                      \
    static result first_call_##name parameters                                                                         \
    {                                                                                                                  \
        bool for_ever = false;                                                                                         \
        result(*target) parameters = (result(*) parameters)decide(MT_HOOK_##name, &for_ever);                          \
        if (target == NULL) {                                                                                          \
            return fallback;                                                                                           \
        }                                                                                                              \
        if (for_ever) {                                                                                                \
            mt_store_release(&g_targets.name, target);                                                                 \
        }                                                                                                              \
        return target arguments;                                                                                       \
    }
#define FIRST_NEW(result, name, parameters, arguments)                                                                 \
    FIRST_CALL(undefined_new(size), result, name, parameters, arguments)
#define FIRST_DELETE(result, name, parameters, arguments)                                                              \
    FIRST_CALL(undefined_delete(ptr), result, name, parameters, arguments)
MT_HOOK_NEW_TABLE(FIRST_NEW)
MT_HOOK_NEW_ARRAY_TABLE(FIRST_NEW)
MT_HOOK_DELETE_TABLE(FIRST_DELETE)

static struct cxx_targets g_targets = {
#define TARGET_START(result, name, parameters, arguments) .name = first_call_##name,
    MT_HOOK_CXX_TABLE(TARGET_START)
#undef TARGET_START
};

#define EXPORTED(result, name, parameters, arguments)                                                                  \
    MT_EXPORT result name parameters;                                                                                  \
    result name parameters                                                                                             \
    {                                                                                                                  \
        return g_targets.name arguments;                                                                               \
    }
MT_HOOK_CXX_TABLE(EXPORTED)
