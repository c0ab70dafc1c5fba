/* objects.h: walking the loader's list of objects.
 *
 * Decides: whether dl_iterate_phdr may be called at all. It takes the loader's list lock, and glibc (seen up to 2.41) does
 * not make that lock free in a fork child: when another thread of the parent held it (a dlopen or dlclose under way), it
 * is held for ever. A program that does not touch the loader in such a child would hang because of us. So the lock's
 * address is learnt at start, looked at in the child, and if it is held there the list is never walked in that process.
 * Everything in the agent that walks the list comes here. Never inside an allocator hook.
 */
#ifndef MT_BASE_OBJECTS_H
#define MT_BASE_OBJECTS_H

#include "base/status.h"

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int (*mt_objects_visitor)(struct dl_phdr_info *info, size_t bytes, void *context);

/* dl_iterate_phdr; false when the list must not be walked in this process: visit was not called. */
bool mt_objects_walk(mt_objects_visitor visit, void *context);
/* Would mt_objects_walk walk? Any context. */
bool mt_objects_walkable(void);
/* The addresses from an object's first segment to behind its last; low UINT64_MAX and high 0 without any. Any context. */
void mt_objects_extent(const struct dl_phdr_info *info, uint64_t *ret_low, uint64_t *ret_high);
/* Does address lie in one of the object's segments? Any context. */
bool mt_objects_hold(const struct dl_phdr_info *info, uint64_t address);
/* Finds the list lock in the loader's variables (glibc's _rtld_global: low, bytes). Without it, fork children never walk.
 * Context: [agent] start. */
void mt_objects_learn_lock(const void *low, size_t bytes);
/* Context: [fork-child], before anything walks. */
void mt_objects_after_fork(void);

#endif
