/* bank0.c: the first bank of hooks, and the symbols a preloaded agent puts in front of libc's: aliases of its hooks.
 * operator new and delete are exported by cxx.c. */
#define MT_BANK 0
#include "hook/bank.h"

#define EXPORTED(result, name, parameters, arguments)                                                                  \
    MT_EXPORT result name parameters __attribute__((alias("mt_bank0_" #name)));
MT_HOOK_ALLOC_TABLE(EXPORTED)
MT_HOOK_RANGE_TABLE(EXPORTED)
MT_HOOK_LOADER_TABLE(EXPORTED)
MT_HOOK_END_TABLE(EXPORTED)
MT_HOOK_PARTING_TABLE(EXPORTED)
