/* originals.h: where the hooks of each bank forward to.
 *
 * Decides: which definition a bank's hook calls. Bank 0 starts with bootstrap functions that find the next definition at
 * their first call (the loader itself calls malloc before any constructor ran), so that a hook never tests for NULL; the
 * other banks are filled by the GOT patcher, one target address a bank and function.
 * Invariant: an original is published before any slot that leads to its hook. Writers: bootstrap (any thread, all write
 * the same value) and the GOT patcher (one at a time). Pairing H1: release store here, and the store of the patched slot
 * after it; a caller reaches the hook only through that slot.
 */
#ifndef MT_HOOK_ORIGINALS_H
#define MT_HOOK_ORIGINALS_H

#include "hook/table.h"

extern struct mt_originals mt_g_originals[MT_BANKS] MT_HIDDEN;

/* One hooked function. */
struct mt_hook_row {
    const char *name;
    uint32_t offset; /* in struct mt_originals, bytes */
    uint32_t hash;   /* GNU hash of name; 0 until mt_originals_resolve */
};

const struct mt_hook_row *mt_hook_row(enum mt_hook_index index);

/* A bank's hook; NULL until mt_originals_early_end. */
mt_function mt_originals_hook(unsigned bank, enum mt_hook_index index);

/* The address a bank forwards to; 0 when it has none yet (bootstrap functions count as none). */
uint64_t mt_originals_get(unsigned bank, enum mt_hook_index index);
void mt_originals_set(unsigned bank, enum mt_hook_index index, uint64_t address);
/* Finds bank 0's originals that are not known yet. Context: [agent] start. */
void mt_originals_resolve(void);
/* From here on lookups take the loader's lock: the process may have threads. hooks (kept; NULL: none): each function's by bank,
 * told by who stands above the banks, so that nothing that these stand on needs them by name. Context: [agent] start. */
void mt_originals_early_end(const mt_function (*hooks)[MT_BANKS]);

#endif
