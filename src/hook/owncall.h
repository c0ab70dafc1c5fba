/* owncall.h: what a function whose entry was patched (own.c) does first.
 *
 * A patched entry jumps to a few bytes of its own, which push the function's number and jump to mt_own_entry. Registers are
 * then as the caller left them, and are so again when it returns, all but rax: a compiler that sees both caller and
 * callee (gcc -fipa-ra) keeps values in registers that the callee is seen not to touch. Registers wider than 16 bytes
 * are not kept: that needs a caller that keeps a vector across a call of an allocator it knows inside out.
 * The real function is always called under the guard: what it calls or maps on its way is part of the call.
 * Context: [hook]. errno is left as the real function leaves it.
 */
#ifndef MT_HOOK_OWNCALL_H
#define MT_HOOK_OWNCALL_H

#include "base/status.h"
#include "hook/owntable.h"

enum { MT_OWN_FUNCTIONS_MAX = 1024 };

struct mt_own_function {
    const struct mt_own_name *name;
    uint64_t moved; /* its first instructions at their new place: the real function */
};
/* By number. Writers: own.c, one at a time, before the entry that leads to it is patched. */
extern struct mt_own_function mt_g_own_functions[MT_OWN_FUNCTIONS_MAX] MT_HIDDEN;

/* Where patched functions go, by a jump and with their number pushed; not to be called. */
extern const char mt_own_entry[] MT_HIDDEN;

#endif
