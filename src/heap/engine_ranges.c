/* engine_ranges.c: the half of the engine for address ranges: mappings, their ends and what their protection makes of them. See
 * engine.h for the contract. These are rare beside blocks; the order of every function is that of engine.c.
 */
#include "heap/aggregate.h"
#include "heap/clock.h"
#include "heap/engine_stack.h"
#include "heap/gate.h"
#include "heap/rangelog.h"
#include "heap/touch.h"

enum mt_verdict mt_engine_begin_range(void)
{
    if (!mt_gate_enter(mt_engine_frame_of_caller())) {
        return MT_SKIP;
    }
    t_mt.guard = mt_engine_frame();
    t_mt.depth = 1;
    return MT_RECORD;
}

static void record_map(struct mt_thread *t, void *addr, size_t bytes, enum mt_map_kind kind, uint32_t stack)
{
    uint64_t clock = mt_clock_stamp(t);
    mt_rangelog_map(t, clock, (uint64_t)(uintptr_t)addr, bytes, kind, stack);
}

static void record_unmap(struct mt_thread *t, void *addr, size_t bytes, enum mt_map_kind kind)
{
    uint64_t clock = mt_clock_stamp(t);
    mt_rangelog_unmap(t, clock, (uint64_t)(uintptr_t)addr, bytes, kind);
}

struct remap {
    void *old;
    size_t old_bytes;
    void *addr;
    size_t bytes;
};

/* Reserved; and whatever of it is touched from here on is heap. */
static void record_untouched(struct mt_thread *t, void *addr, size_t bytes, uint32_t stack)
{
    bool watched = mt_touch_watch((uint64_t)(uintptr_t)addr, bytes, stack);
    record_map(t, addr, bytes, watched ? MT_MAP_RESERVED : MT_MAP_ANONYMOUS, stack);
}

/* A watched mapping moves with what is touched of it. */
static void record_watched_remap(struct mt_thread *t, const struct remap *r)
{
    uint32_t stack = mt_touch_stack((uint64_t)(uintptr_t)r->old);
    mt_touch_forget((uint64_t)(uintptr_t)r->old, r->old_bytes);
    record_unmap(t, r->old, r->old_bytes, MT_MAP_ANONYMOUS);
    record_untouched(t, r->addr, r->bytes, stack);
    mt_touch_look(t, (uint64_t)(uintptr_t)r->addr, r->bytes);
}

static void record_remap(struct mt_thread *t, const struct remap *r, uint32_t stack)
{
    if (mt_touch_watches((uint64_t)(uintptr_t)r->old, r->old_bytes)) {
        record_watched_remap(t, r);
        return;
    }
    if (mt_mode() == MT_MODE_AGGREGATE) {
        uint64_t addr = (uint64_t)(uintptr_t)r->addr;
        mt_aggregate_remap(mt_clock_stamp(t), (uint64_t)(uintptr_t)r->old, r->old_bytes, addr, r->bytes, stack);
        return;
    }
    record_unmap(t, r->old, r->old_bytes, MT_MAP_MREMAP);
    record_map(t, r->addr, r->bytes, MT_MAP_MREMAP, stack);
}

void mt_engine_end_map(void *addr, size_t bytes, enum mt_map_kind kind, const struct mt_frame_regs *regs)
{
    struct mt_thread *t = t_mt.thread;
    if (mt_section_begins(t)) {
        mt_touch_forget((uint64_t)(uintptr_t)addr, bytes); /* a fixed map over it */
        record_map(t, addr, bytes, kind, mt_engine_capture_stack(t, regs));
    }
    mt_section_ends(t, 0);
}

void mt_engine_end_map_untouched(void *addr, size_t bytes, const struct mt_frame_regs *regs)
{
    struct mt_thread *t = t_mt.thread;
    if (mt_section_begins(t)) {
        mt_touch_forget((uint64_t)(uintptr_t)addr, bytes);
        record_untouched(t, addr, bytes, mt_engine_capture_stack(t, regs));
    }
    mt_section_ends(t, 0);
}

void mt_engine_end_access(void *addr, size_t bytes, enum mt_map_kind kind, const struct mt_frame_regs *regs)
{
    struct mt_thread *t = t_mt.thread;
    if (mt_section_begins(t)) {
        if (kind != MT_MAP_OPENED || !mt_touch_watches((uint64_t)(uintptr_t)addr, bytes)) {
            record_map(t, addr, bytes, kind, mt_engine_capture_stack(t, regs));
        }
        if (kind == MT_MAP_EMPTIED) {
            mt_touch_emptied(t, (uint64_t)(uintptr_t)addr, bytes);
        }
    }
    mt_section_ends(t, 0);
}

void mt_engine_note_pages(void *addr, size_t bytes)
{
    struct mt_thread *t = t_mt.thread;
    if (mt_section_begins(t)) {
        mt_touch_look(t, (uint64_t)(uintptr_t)addr, bytes);
    }
    mt_section_ends(t, 1);
}

void mt_engine_end_remap(void *old_addr, size_t old_bytes, void *addr, size_t bytes, const struct mt_frame_regs *regs)
{
    struct mt_thread *t = t_mt.thread;
    if (mt_section_begins(t)) {
        record_remap(t, &(struct remap){ old_addr, old_bytes, addr, bytes }, mt_engine_capture_stack(t, regs));
    }
    mt_section_ends(t, 0);
}

void mt_engine_note_unmap(void *addr, size_t bytes)
{
    struct mt_thread *t = t_mt.thread;
    if (mt_section_begins(t)) {
        mt_touch_look(t, (uint64_t)(uintptr_t)addr, bytes);
        mt_touch_forget((uint64_t)(uintptr_t)addr, bytes);
        record_unmap(t, addr, bytes, MT_MAP_ANONYMOUS);
    }
    mt_section_ends(t, 1);
}
