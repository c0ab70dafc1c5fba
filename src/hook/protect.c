/* protect.c: see protect.h. All is recorded after the real call: the range stays the caller's, no other thread can have got
 * it meanwhile. What an allocator does with its own memory is not recorded: none of it is held beside its blocks. */
#include "hook/protect.h"

#include "heap/engine.h"
#include "hook/owner.h"
#include "hook/range.h"

#include <linux/mman.h>

enum { DONTNEED_LOCKED = 24 }; /* since Linux 5.18; not in every header */

struct mt_reserved_hull mt_g_reserved = { UINT64_MAX, 0 };

void mt_protect_note_reserved(uint64_t low, uint64_t bytes)
{
    uint64_t seen = mt_load_relaxed(&mt_g_reserved.low);
    while (low < seen && !mt_cas_acq_rel(&mt_g_reserved.low, &seen, low)) {
    }
    seen = mt_load_relaxed(&mt_g_reserved.high);
    while (low + bytes > seen && !mt_cas_acq_rel(&mt_g_reserved.high, &seen, low + bytes)) {
    }
}

bool mt_protect_empties(int advice)
{
    return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE || advice == DONTNEED_LOCKED;
}

static bool begins(const struct mt_frame_regs *regs)
{
    return mt_owner_kind(regs->pc) == MT_MAP_ANONYMOUS && mt_engine_begin_range() == MT_RECORD;
}

static void ends(int result, void *addr, size_t bytes, enum mt_map_kind kind, const struct mt_frame_regs *regs)
{
    if (result != 0 || bytes == 0) {
        mt_engine_abandon();
        return;
    }
    if (kind == MT_MAP_CLOSED) {
        mt_protect_note_reserved((uint64_t)(uintptr_t)addr, mt_range_pages(bytes));
    }
    mt_engine_end_access(addr, mt_range_pages(bytes), kind, regs);
}

static enum mt_map_kind kind_of(int protection)
{
    return mt_protect_is_usable(protection) ? MT_MAP_OPENED : MT_MAP_CLOSED;
}

MT_NOINLINE int mt_protect_change(void *addr, size_t bytes, int protection, const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    bool recorded = begins(&regs);
    int result = real->mprotect(addr, bytes, protection);
    if (recorded) {
        ends(result, addr, bytes, kind_of(protection), &regs);
    }
    return result;
}

MT_NOINLINE int mt_protect_change_key(void *addr, size_t bytes, int protection, int key, const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    bool recorded = begins(&regs);
    int result = real->pkey_mprotect(addr, bytes, protection, key);
    if (recorded) {
        ends(result, addr, bytes, kind_of(protection), &regs);
    }
    return result;
}

MT_NOINLINE int mt_protect_advise(void *addr, size_t bytes, int advice, const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    bool recorded = begins(&regs);
    if (recorded) {
        mt_engine_note_pages(addr, mt_range_pages(bytes));
    }
    int result = real->madvise(addr, bytes, advice);
    if (recorded) {
        ends(result, addr, bytes, MT_MAP_EMPTIED, &regs);
    }
    return result;
}
