/* patch.h: code of ours near a loaded object, and jumps to it over the first instructions of the object's functions.
 *
 * Decides: where such pages may lie (a 5-byte jump reaches 2 GiB), and that entries are written all or none, through
 * /proc/self/mem, so that no page of the program's is ever writable and executable. What is written is planned by detour.h.
 * Invariant: the caller knows that no thread is inside the instructions that are replaced. Context: [agent] start, loader hooks.
 */
#ifndef MT_HOOK_PATCH_H
#define MT_HOOK_PATCH_H

#include "hook/detour.h"

#include <link.h>

/* One entry to be patched. */
struct mt_patch {
    uint64_t place;
    uint8_t before[MT_DETOUR_JUMP_BYTES], jump[MT_DETOUR_JUMP_BYTES];
};

/* A function and the slot of code that its entry is to jump to: a stub first, its moved instructions behind that. */
enum { MT_PATCH_SLOT_BYTES = 128, MT_PATCH_MOVED_AT = 32 };

/* Writable pages near the object, zero; NULL when all is taken. Given back with mt_os_unmap. */
uint8_t *mt_patch_map_near(const struct dl_phdr_info *info, size_t bytes);
/* Moves the first instructions of the function at address, `bytes` long, into its slot and plans the jump there. False: they
 * cannot be moved. The stub is the caller's. */
bool mt_patch_plan(uint64_t address, size_t bytes, uint8_t *slot, struct mt_patch *ret);
/* All entries, or none. The slots must be executable by now. */
bool mt_patch_write(const struct mt_patch *patches, size_t count);

#endif
