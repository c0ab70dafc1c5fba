/* protect.c: see protect.h. All is recorded after the real call: the range stays the caller's, no other thread can have got
 * it meanwhile. What an allocator does with its own memory is not recorded: none of it is held beside its blocks. */
#include "hook/protect.h"

#include "base/os.h"
#include "heap/engine.h"
#include "hook/owner.h"
#include "hook/range.h"

#include <linux/mman.h>

enum { DONTNEED_LOCKED = 24 }; /* since Linux 5.18; not in every header */

struct mt_reserved_hull mt_g_reserved = { UINT64_MAX, 0 };
static struct mt_reserved_hull g_inherited = { UINT64_MAX, 0 }; /* of the parent, when this child was forked */

void mt_protect_note_reserved(uint64_t low, uint64_t bytes)
{
    uint64_t seen = mt_load_relaxed(&mt_g_reserved.low);
    while (low < seen && !mt_cas_acq_rel(&mt_g_reserved.low, &seen, low)) {
    }
    seen = mt_load_relaxed(&mt_g_reserved.high);
    while (low + bytes > seen && !mt_cas_acq_rel(&mt_g_reserved.high, &seen, low + bytes)) {
    }
}

void mt_protect_after_fork(void)
{
    g_inherited = mt_g_reserved;
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

/* ---- what a fork child makes usable of its parent's ------------------------------------------------------------------- */

/* The reservation is in the parent's trace and not in the child's: to make pages of it usable is to the child as good as to map
 * them. Which these are is seen beforehand: they cannot be read. Beyond a bound the rest counts as the last page looked at. */
enum { RUNS_MAX = 16, PAGES_MAX = 1 << 16 };

struct runs {
    size_t count;
    struct {
        uint64_t low, high;
    } run[RUNS_MAX];
};

static void add_page(struct runs *runs, uint64_t low, uint64_t high)
{
    bool goes_on = runs->count > 0 && (runs->run[runs->count - 1].high == low || runs->count == RUNS_MAX);
    if (goes_on) {
        runs->run[runs->count - 1].high = high;
    } else {
        runs->run[runs->count].low = low;
        runs->run[runs->count++].high = high;
    }
}

static MT_NOINLINE void find_unusable(uint64_t low, uint64_t high, struct runs *ret)
{
    size_t page = mt_os_page_bytes();
    size_t left = mt_os_is_restricted() ? 0 : PAGES_MAX;
    for (uint64_t at = low; at < high && left > 0; at += page, left--) {
        if (!mt_os_is_readable(at)) {
            add_page(ret, at, left == 1 ? high : at + page);
        }
    }
}

static bool is_of_parent(const void *addr, size_t bytes, int protection)
{
    uint64_t low = (uint64_t)(uintptr_t)addr;
    return mt_protect_is_usable(protection) && low < g_inherited.high && low + bytes > g_inherited.low;
}

static void map_runs(const struct runs *runs, const struct mt_frame_regs *regs)
{
    for (size_t i = 0; i < runs->count; i++) {
        if (mt_engine_begin_range() == MT_RECORD) {
            mt_engine_end_map((void *)(uintptr_t)runs->run[i].low, runs->run[i].high - runs->run[i].low, MT_MAP_ANONYMOUS, regs);
        }
    }
}

/* ---- the calls ---------------------------------------------------------------------------------------------------------- */

static enum mt_map_kind kind_of(int protection)
{
    return mt_protect_is_usable(protection) ? MT_MAP_OPENED : MT_MAP_CLOSED;
}

struct change {
    void *addr;
    size_t bytes;
    int protection;
    bool recorded;
    struct runs unusable; /* filled in fork children only */
};

static void before(struct change *c, const struct mt_frame_regs *regs)
{
    c->recorded = begins(regs);
    if (c->recorded && MT_UNLIKELY(is_of_parent(c->addr, c->bytes, c->protection))) {
        uint64_t low = (uint64_t)(uintptr_t)c->addr;
        find_unusable(low, low + mt_range_pages(c->bytes), &c->unusable);
    }
}

static void after(const struct change *c, int result, const struct mt_frame_regs *regs)
{
    if (c->recorded) {
        ends(result, c->addr, c->bytes, kind_of(c->protection), regs);
    }
    if (c->recorded && result == 0) {
        map_runs(&c->unusable, regs);
    }
}

MT_NOINLINE int mt_protect_change(void *addr, size_t bytes, int protection, const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    struct change change = { addr, bytes, protection, false, { .count = 0 } };
    before(&change, &regs);
    int result = real->mprotect(addr, bytes, protection);
    after(&change, result, &regs);
    return result;
}

MT_NOINLINE int mt_protect_change_key(void *addr, size_t bytes, int protection, int key, const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    struct change change = { addr, bytes, protection, false, { .count = 0 } };
    before(&change, &regs);
    int result = real->pkey_mprotect(addr, bytes, protection, key);
    after(&change, result, &regs);
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
