/* protect.h: hooks of mprotect, pkey_mprotect and madvise, shared by all banks.
 *
 * Decides: which of these calls say something about memory held. Making memory usable matters where something is reserved;
 * one comparison with the hull of all reservations so far sends every other call straight on. Making it unusable, and
 * giving its pages back, is always recorded: the reader knows what lies there.
 * Context: [hook]; errno is left as the real function leaves it.
 */
#ifndef MT_HOOK_PROTECT_H
#define MT_HOOK_PROTECT_H

#include "base/atomic.h"
#include "hook/table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From the lowest to the highest address that was ever reserved or made unusable; empty at first. Grows only, before the
 * call that reserved returns, so that whoever got the address from it sees it inside. Writers: any, by CAS. */
struct mt_reserved_hull {
    uint64_t low, high;
};
extern struct mt_reserved_hull mt_g_reserved MT_HIDDEN;

/* [low, low + bytes) is reserved. */
void mt_protect_note_reserved(uint64_t low, uint64_t bytes);
MT_INLINE bool mt_protect_meets_reserved(uint64_t low, uint64_t bytes)
{
    return low < mt_load_relaxed(&mt_g_reserved.high) && low + bytes > mt_load_relaxed(&mt_g_reserved.low);
}

/* PROT_READ, PROT_WRITE and PROT_EXEC; none of them: unusable. */
MT_INLINE bool mt_protect_is_usable(int protection)
{
    return (protection & 7) != 0;
}

MT_INLINE bool mt_protect_matters(const void *addr, size_t bytes, int protection)
{
    return !mt_protect_is_usable(protection) || mt_protect_meets_reserved((uint64_t)(uintptr_t)addr, bytes);
}

/* In a fork child, from the atfork handler: what was reserved so far is in the parent's trace only. Context: [fork-child]. */
void mt_protect_after_fork(void);

/* Does this advice give pages back? */
bool mt_protect_empties(int advice);

/* These are entered by a tail jump from their hooks, when the call matters. */
int mt_protect_change(void *addr, size_t bytes, int protection, const struct mt_originals *real);
int mt_protect_change_key(void *addr, size_t bytes, int protection, int key, const struct mt_originals *real);
int mt_protect_advise(void *addr, size_t bytes, int advice, const struct mt_originals *real);

#endif
