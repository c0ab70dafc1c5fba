/* rows.h: the hooks of every bank in one table: the only place that needs them all by name. */
#ifndef MT_HOOK_ROWS_H
#define MT_HOOK_ROWS_H

#include "hook/table.h"

extern const mt_function mt_g_hooks[MT_HOOK__COUNT][MT_BANKS] MT_HIDDEN;

#endif
