/* ownspeech.h: allocators that are known by their messages alone, in objects whose names were stripped.
 * Context: [agent] start, loader hooks. */
#ifndef MT_HOOK_OWNSPEECH_H
#define MT_HOOK_OWNSPEECH_H

#include <link.h>
#include <stdbool.h>

/* True when the object's constant data hold a message that only the source of an allocator has. They are read from its file: looking
 * through those in memory would make all their pages the process's; only where the file is gone that is done. */
bool mt_own_speaks(const struct dl_phdr_info *info, bool executable);

#endif
