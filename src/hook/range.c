/* range.c: mmap, munmap, mremap, brk, sbrk as the program calls them; libc's own mappings for its heap and its stacks do
 * not come here (their users are counted as malloc).
 *
 * Decides: the kind of a mapping and the page-rounded length the kernel gives it. A mapping is recorded after the real
 * call, an unmapping before it, so that a range reused by another thread is never recorded in the wrong order. MAP_FIXED
 * replaces what was there; that is the reader's business.
 */
#include "hook/range.h"

#include "base/os.h"
#include "heap/engine.h"
#include "hook/loader.h"
#include "hook/originals.h"
#include "hook/owner.h"
#include "hook/protect.h"

#include <errno.h>
#include <linux/mman.h>

static bool is_page_aligned(const void *addr)
{
    return ((uintptr_t)addr & (mt_os_page_bytes() - 1)) == 0;
}

static bool failed(const void *addr)
{
    return addr == (const void *)-1; /* MAP_FAILED, and sbrk's error */
}

static enum mt_map_kind kind_of(const struct mt_map_call *call, const struct mt_frame_regs *regs)
{
    if (call->fd >= 0 && (call->flags & MAP_ANONYMOUS) == 0) {
        return MT_MAP_FILE;
    }
    if ((call->flags & MAP_STACK) != 0) {
        return MT_MAP_STACK;
    }
    enum mt_map_kind owner = mt_owner_kind(regs->pc);
    return owner == MT_MAP_ANONYMOUS && !mt_protect_is_usable(call->protection) ? MT_MAP_RESERVED : owner;
}

/* Usable at once, and promised to nobody before it is touched: what runtimes and allocators reserve by the gigabyte. */
static bool is_untouched(const struct mt_map_call *call)
{
    const int need = MAP_NORESERVE | MAP_PRIVATE | MAP_ANONYMOUS;
    const int none = MAP_POPULATE | MAP_LOCKED | MAP_HUGETLB;
    return (call->flags & (need | none)) == need && mt_protect_is_usable(call->protection) &&
           call->bytes >= MT_TOUCH_LEAST_BYTES;
}

static void record_map(const struct mt_map_call *call, void *addr, const struct mt_frame_regs *regs)
{
    enum mt_map_kind kind = kind_of(call, regs);
    size_t bytes = mt_range_pages(call->bytes);
    if (kind == MT_MAP_ANONYMOUS && is_untouched(call)) {
        mt_engine_end_map_untouched(addr, bytes, regs);
        return;
    }
    if (kind == MT_MAP_RESERVED) {
        mt_protect_note_reserved((uint64_t)(uintptr_t)addr, bytes);
    }
    mt_engine_end_map(addr, bytes, kind, regs);
}

/* Was it memory that the program cannot do without? Huge pages, places below 2 GiB and reservations are tried for; what an
 * allocator does not get fails the call it is for. */
static bool is_shortage(const struct mt_map_call *call, const struct mt_frame_regs *regs)
{
    return errno == ENOMEM && (call->flags & (MAP_HUGETLB | MAP_32BIT)) == 0 && kind_of(call, regs) == MT_MAP_ANONYMOUS &&
           !is_untouched(call);
}

/* A guard that was stepped out of; depth 0: none was. */
struct guard {
    uint64_t frame;
    uint32_t depth;
};

/* What an allocator maps inside a call that is being recorded is a record of its own, as Python's arenas are (pymem.c): the
 * recorder is not in the middle of one there. Returns the guard to go back to. */
static struct guard step_out(uint64_t pc)
{
    struct guard guard = { t_mt.guard, 0 };
    if (t_mt.depth == 1 && (t_mt.state & MT_THREAD_HAS_BLOCK) != 0 && mt_owner_kind(pc) == MT_MAP_ALLOCATOR) {
        guard.depth = t_mt.depth;
        t_mt.depth = 0;
    }
    return guard;
}

static void step_back(struct guard guard)
{
    if (guard.depth != 0) {
        t_mt.guard = guard.frame;
        t_mt.depth = guard.depth;
    }
}

static void *map(const struct mt_map_call *call, const struct mt_frame_regs *regs)
{
    enum mt_verdict verdict = mt_engine_begin_range();
    bool replaces = (call->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) == MAP_FIXED;
    if (replaces && verdict == MT_RECORD) {
        mt_engine_note_pages(call->addr, mt_range_pages(call->bytes));
    }
    void *addr = call->real(call->addr, call->bytes, call->protection, call->flags, call->fd, call->offset);
    if (replaces && !failed(addr)) {
        mt_unwind_forget_range((uint64_t)(uintptr_t)addr, mt_range_pages(call->bytes));
    }
    if (verdict == MT_SKIP) {
        return addr;
    }
    if (!failed(addr)) {
        record_map(call, addr, regs);
    } else if (is_shortage(call, regs)) {
        mt_engine_failed(mt_range_pages(call->bytes), MT_ALLOCATOR_MMAP, regs);
    } else {
        mt_engine_abandon();
    }
    return addr;
}

void *mt_range_map(const struct mt_map_call *call, const struct mt_frame_regs *regs)
{
    mt_loader_before_map(regs->pc);
    struct guard guard = step_out(regs->pc);
    void *addr = map(call, regs);
    step_back(guard);
    return addr;
}

static int unmap(void *addr, size_t bytes, const struct mt_originals *real)
{
    if (bytes == 0 || !is_page_aligned(addr) || mt_range_pages(bytes) < bytes) {
        return real->munmap(addr, bytes); /* will fail */
    }
    mt_unwind_forget_range((uint64_t)(uintptr_t)addr, mt_range_pages(bytes));
    if (mt_engine_begin_range() == MT_SKIP) {
        return real->munmap(addr, bytes);
    }
    mt_engine_note_unmap(addr, mt_range_pages(bytes));
    int result = real->munmap(addr, bytes);
    mt_engine_abandon();
    return result;
}

MT_NOINLINE int mt_range_unmap(void *addr, size_t bytes, const struct mt_originals *real)
{
    struct guard guard = step_out((uint64_t)(uintptr_t)__builtin_return_address(0));
    int result = unmap(addr, bytes, real);
    step_back(guard);
    return result;
}

struct remap_call {
    void *old;
    size_t old_bytes, bytes;
    int flags;
    void *addr;
    void *(*real)(void *old, size_t old_bytes, size_t bytes, int flags, void *addr);
};

/* What an allocator moves is its own, also where its mapping was made inside a recorded call and went unrecorded. */
static void record_move(const struct remap_call *call, void *addr, const struct mt_frame_regs *regs)
{
    enum mt_map_kind owner = mt_owner_kind(regs->pc);
    size_t old_bytes = mt_range_pages(call->old_bytes);
    size_t bytes = mt_range_pages(call->bytes);
    if (owner != MT_MAP_ANONYMOUS) {
        mt_engine_note_unmap(call->old, old_bytes);
        mt_engine_end_map(addr, bytes, owner, regs);
        return;
    }
    if (mt_protect_meets_reserved((uint64_t)(uintptr_t)call->old, old_bytes)) {
        mt_protect_note_reserved((uint64_t)(uintptr_t)addr, bytes);
    }
    mt_engine_end_remap(call->old, old_bytes, addr, bytes, regs);
}

/* Growing in place is tried for. */
static void end_failed_remap(const struct remap_call *call, const struct mt_frame_regs *regs)
{
    if (errno == ENOMEM && (call->flags & MREMAP_MAYMOVE) != 0 && call->bytes > call->old_bytes &&
        mt_owner_kind(regs->pc) == MT_MAP_ANONYMOUS) {
        mt_engine_failed(mt_range_pages(call->bytes), MT_ALLOCATOR_MMAP, regs);
    } else {
        mt_engine_abandon();
    }
}

/* old_bytes 0 duplicates a shared mapping, MREMAP_DONTUNMAP leaves the old range mapped: only the new one is recorded. */
static void *remap(const struct remap_call *call, const struct mt_frame_regs *regs)
{
    enum mt_verdict verdict = mt_engine_begin_range();
    if (verdict == MT_RECORD) {
        mt_engine_note_pages(call->old, mt_range_pages(call->old_bytes));
    }
    void *result = call->real(call->old, call->old_bytes, call->bytes, call->flags, call->addr);
    if (!failed(result)) {
        mt_unwind_forget_range((uint64_t)(uintptr_t)call->old, mt_range_pages(call->old_bytes));
    }
    if (verdict == MT_SKIP) {
        return result;
    }
    if (failed(result)) {
        end_failed_remap(call, regs);
    } else if (call->old_bytes == 0 || (call->flags & MREMAP_DONTUNMAP) != 0) {
        mt_engine_end_map(result, mt_range_pages(call->bytes), MT_MAP_MREMAP, regs);
    } else {
        record_move(call, result, regs);
    }
    return result;
}

MT_NOINLINE void *mt_range_remap(void *old, size_t old_bytes, size_t bytes, int flags, void *addr,
                                 const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    struct remap_call call = { old, old_bytes, bytes, flags, addr, real->mremap };
    struct guard guard = step_out(regs.pc);
    void *result = remap(&call, &regs);
    step_back(guard);
    return result;
}

/* The break moved from before to after. */
static void record_break(char *before, char *after, const struct mt_frame_regs *regs)
{
    if (after > before) {
        enum mt_map_kind owner = mt_owner_kind(regs->pc);
        mt_engine_end_map(before, (size_t)(after - before), owner == MT_MAP_ANONYMOUS ? MT_MAP_BRK : owner, regs);
        return;
    }
    if (after < before) {
        mt_engine_note_unmap(after, (size_t)(before - after));
    }
    mt_engine_abandon();
}

/* The real sbrk of the bank the call came through may be unknown (only brk was patched): bank 0's always is. */
static char *current_break(void)
{
    return mt_g_originals[0].sbrk(0);
}

static int move_break(void *addr, const struct mt_frame_regs *regs, const struct mt_originals *real)
{
    if (mt_engine_begin_range() == MT_SKIP) {
        return real->brk(addr);
    }
    char *before = current_break();
    int result = real->brk(addr);
    record_break(before, current_break(), regs);
    return result;
}

MT_NOINLINE int mt_range_brk(void *addr, const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    struct guard guard = step_out(regs.pc);
    int result = move_break(addr, &regs, real);
    step_back(guard);
    return result;
}

static char *grow_break(intptr_t increment, const struct mt_frame_regs *regs, const struct mt_originals *real)
{
    if (increment == 0 || mt_engine_begin_range() == MT_SKIP) {
        return real->sbrk(increment);
    }
    char *before = real->sbrk(increment);
    if (failed(before)) {
        mt_engine_abandon();
    } else {
        record_break(before, before + increment, regs);
    }
    return before;
}

MT_NOINLINE void *mt_range_sbrk(intptr_t increment, const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    struct guard guard = step_out(regs.pc);
    void *before = grow_break(increment, &regs, real);
    step_back(guard);
    return before;
}
