/* rows.c: see rows.h. */
#include "hook/rows.h"

#include <assert.h>

const mt_function mt_g_hooks[MT_HOOK__COUNT][MT_BANKS] = {
#define HOOKS(result, name, parameters, arguments)                                                                     \
    { (mt_function)mt_bank0_##name, (mt_function)mt_bank1_##name, (mt_function)mt_bank2_##name },
    MT_HOOK_TABLE(HOOKS)
#undef HOOKS
};
static_assert(MT_BANKS == 3, "each bank has its hook");
