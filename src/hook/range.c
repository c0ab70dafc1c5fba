/* range.c: mmap, munmap, mremap, brk, sbrk as the program calls them; libc's own mappings for its heap and its stacks do
 * not come here (their users are counted as malloc).
 *
 * Decides: the kind of a mapping and the page-rounded length the kernel gives it. A mapping is recorded after the real
 * call, an unmapping before it, so that a range reused by another thread is never recorded in the wrong order. MAP_FIXED
 * replaces what was there; that is the reader's business.
 */
#include "hook/range.h"

#include "base/atomic.h"
#include "base/os.h"
#include "heap/engine.h"

#include <linux/mman.h>

static uint64_t g_arenas_low; /* pairing H2: high is stored first, low last with release; low is read with acquire */
static uint64_t g_arenas_high;

void mt_range_arenas_of(uint64_t low, uint64_t high)
{
    mt_store_release(&g_arenas_low, UINT64_MAX);
    mt_store_release(&g_arenas_high, high);
    mt_store_release(&g_arenas_low, low);
}

static size_t whole_pages(size_t bytes)
{
    size_t mask = mt_os_page_bytes() - 1;
    return (bytes + mask) & ~mask;
}

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
    bool arena = regs->pc >= mt_load_acquire(&g_arenas_low) && regs->pc < mt_load_relaxed(&g_arenas_high);
    return arena ? MT_MAP_ARENA : MT_MAP_ANONYMOUS;
}

void *mt_range_map(const struct mt_map_call *call, const struct mt_frame_regs *regs)
{
    enum mt_verdict verdict = mt_engine_begin_range();
    void *addr = call->real(call->addr, call->bytes, call->protection, call->flags, call->fd, call->offset);
    if (!failed(addr) && (call->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) == MAP_FIXED) {
        mt_unwind_forget_range((uint64_t)(uintptr_t)addr, whole_pages(call->bytes));
    }
    if (verdict == MT_SKIP) {
        return addr;
    }
    if (failed(addr)) {
        mt_engine_abandon();
    } else {
        mt_engine_end_map(addr, whole_pages(call->bytes), kind_of(call, regs), regs);
    }
    return addr;
}

MT_NOINLINE int mt_range_unmap(void *addr, size_t bytes, const struct mt_originals *real)
{
    if (bytes == 0 || !is_page_aligned(addr) || whole_pages(bytes) < bytes) {
        return real->munmap(addr, bytes); /* will fail */
    }
    mt_unwind_forget_range((uint64_t)(uintptr_t)addr, whole_pages(bytes));
    if (mt_engine_begin_range() == MT_SKIP) {
        return real->munmap(addr, bytes);
    }
    mt_engine_note_unmap(addr, whole_pages(bytes));
    int result = real->munmap(addr, bytes);
    mt_engine_abandon();
    return result;
}

/* old_bytes 0 duplicates a shared mapping, MREMAP_DONTUNMAP leaves the old range mapped: only the new one is recorded. */
MT_NOINLINE void *mt_range_remap(void *old, size_t old_bytes, size_t bytes, int flags, void *addr,
                                 const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    enum mt_verdict verdict = mt_engine_begin_range();
    void *result = real->mremap(old, old_bytes, bytes, flags, addr);
    if (!failed(result)) {
        mt_unwind_forget_range((uint64_t)(uintptr_t)old, whole_pages(old_bytes));
    }
    if (verdict == MT_SKIP) {
        return result;
    }
    if (failed(result)) {
        mt_engine_abandon();
    } else if (old_bytes == 0 || (flags & MREMAP_DONTUNMAP) != 0) {
        mt_engine_end_map(result, whole_pages(bytes), MT_MAP_MREMAP, &regs);
    } else {
        mt_engine_end_remap(old, whole_pages(old_bytes), result, whole_pages(bytes), &regs);
    }
    return result;
}

/* The break moved from before to after. */
static void record_break(char *before, char *after, const struct mt_frame_regs *regs)
{
    if (after > before) {
        mt_engine_end_map(before, (size_t)(after - before), MT_MAP_BRK, regs);
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
    return mt_bank0_sbrk(0);
}

MT_NOINLINE int mt_range_brk(void *addr, const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    if (mt_engine_begin_range() == MT_SKIP) {
        return real->brk(addr);
    }
    char *before = current_break();
    int result = real->brk(addr);
    record_break(before, current_break(), &regs);
    return result;
}

MT_NOINLINE void *mt_range_sbrk(intptr_t increment, const struct mt_originals *real)
{
    MT_CAPTURE_CALLER(regs);
    if (increment == 0 || mt_engine_begin_range() == MT_SKIP) {
        return real->sbrk(increment);
    }
    char *before = real->sbrk(increment);
    if (failed(before)) {
        mt_engine_abandon();
    } else {
        record_break(before, before + increment, &regs);
    }
    return before;
}
