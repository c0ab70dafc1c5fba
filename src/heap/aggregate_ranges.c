/* aggregate_ranges.c: the mappings of a recording that counts them itself: which row each belongs to, and what became of its parts.
 *
 * Invariant: ranges are sorted and disjoint. What is not heap (files, stacks, reservations) is kept without a row, so that
 * a part of a reservation that is opened can be told from anything else. The lock of who counts is held everywhere.
 */
#include "heap/aggregate_private.h"

#include "base/atomic.h"
#include "base/os.h"

#include <string.h>

enum { RANGES_FIRST = 256 };

/* A mapping, or what is left of one. Bits of its state: */
enum {
    RANGE_CLOSED = 1u << 0,  /* must not be touched */
    RANGE_EMPTIED = 1u << 1, /* its pages were given back */
    RANGE_RESERVED = 1u << 2,
    RANGE_PART = 1u << 3,  /* another piece, before it, stands for the allocation */
    RANGE_SPLIT = 1u << 4, /* there are or were such pieces behind it */
    RANGE_GIVEN_UP = RANGE_CLOSED | RANGE_EMPTIED,
};
struct range {
    uint64_t low, high;
    uint64_t allocation; /* its pieces have one number */
    uint32_t row;        /* MT_AGGREGATE_NO_ROW: not heap */
    uint32_t state;
};

static struct {
    struct range *ranges;
    uint64_t count, capacity;
    uint64_t allocations;
    const struct mt_range_books *books;
} g_ranges;

/* Index of the first range that ends behind addr. */
static uint64_t first_range(uint64_t addr)
{
    uint64_t low = 0;
    uint64_t high = g_ranges.count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (g_ranges.ranges[middle].high <= addr) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool grow_ranges_locked(void)
{
    uint64_t capacity = g_ranges.capacity == 0 ? RANGES_FIRST : g_ranges.capacity * 2;
    void *base = NULL;
    if (!mt_aggregate_map_array(capacity * sizeof(struct range), &base)) {
        return false;
    }
    struct range *old = g_ranges.ranges;
    uint64_t old_bytes = g_ranges.capacity * sizeof *old;
    if (old != NULL) {
        memcpy(base, old, g_ranges.count * sizeof *old);
    }
    g_ranges.ranges = base;
    g_ranges.capacity = capacity;
    mt_fence_compiler();
    if (old != NULL) { /* last: another thread may fork at any time */
        mt_os_unmap(old, old_bytes);
    }
    return true;
}

static bool insert_range_locked(uint64_t at, struct range range)
{
    if (g_ranges.count == g_ranges.capacity && !grow_ranges_locked()) {
        return false;
    }
    memmove(&g_ranges.ranges[at + 1], &g_ranges.ranges[at], (g_ranges.count - at) * sizeof(struct range));
    g_ranges.ranges[at] = range;
    g_ranges.count++;
    return true;
}

static void remove_range_locked(uint64_t at)
{
    g_ranges.count--;
    memmove(&g_ranges.ranges[at], &g_ranges.ranges[at + 1], (g_ranges.count - at) * sizeof(struct range));
}

/* Has the allocation ended with this piece? If it stood for it the next one does now. */
static bool ends_locked(uint64_t at)
{
    const struct range *gone = &g_ranges.ranges[at];
    if ((gone->state & RANGE_PART) != 0) {
        return false;
    }
    for (uint64_t i = at + 1; (gone->state & RANGE_SPLIT) != 0 && i < g_ranges.count; i++) {
        struct range *heir = &g_ranges.ranges[i];
        if (heir->allocation == gone->allocation && heir->row == gone->row) {
            heir->state = (heir->state & ~(uint32_t)RANGE_PART) | RANGE_SPLIT;
            return false;
        }
    }
    return true;
}

/* Bytes of a range are gone; whole: all that was left of it. */
static void lose_locked(uint64_t at, uint64_t clock, uint64_t bytes, bool whole)
{
    if (g_ranges.ranges[at].row != MT_AGGREGATE_NO_ROW) {
        g_ranges.books->shrink(g_ranges.ranges[at].row, clock, bytes, whole && ends_locked(at) ? 1 : 0);
    }
}

/* Takes [low, high) out of one range that overlaps it; returns the index to go on at. */
static uint64_t cut_range_locked(uint64_t clock, uint64_t at, uint64_t low, uint64_t high)
{
    struct range *range = &g_ranges.ranges[at];
    struct range old = *range;
    uint64_t from = low > old.low ? low : old.low;
    uint64_t to = high < old.high ? high : old.high;
    bool whole = from == old.low && to == old.high;
    lose_locked(at, clock, to - from, whole);
    if (whole) {
        remove_range_locked(at);
        return at;
    }
    if (from == old.low) {
        range->low = to;
        return at + 1;
    }
    range->high = from;
    if (to < old.high) { /* split: the piece behind keeps the row; without room it is forgotten */
        struct range behind = old;
        behind.low = to;
        behind.state |= RANGE_PART;
        range->state |= RANGE_SPLIT;
        if (!insert_range_locked(at + 1, behind)) {
            lose_locked(at, clock, old.high - to, false);
        }
    }
    return at + 1;
}

void mt_aggregate_unmap_locked(uint64_t clock, uint64_t low, uint64_t high)
{
    for (uint64_t at = first_range(low); at < g_ranges.count && g_ranges.ranges[at].low < high;) {
        at = cut_range_locked(clock, at, low, high);
    }
}

static bool is_heap(enum mt_map_kind kind)
{
    return kind == MT_MAP_ANONYMOUS || kind == MT_MAP_BRK || kind == MT_MAP_MREMAP;
}

bool mt_aggregate_map_locked(uint64_t clock, uint64_t low, uint64_t high, enum mt_map_kind kind, uint32_t stack)
{
    struct range range = { .low = low, .high = high, .state = kind == MT_MAP_RESERVED ? RANGE_RESERVED : 0 };
    range.allocation = ++g_ranges.allocations;
    mt_aggregate_unmap_locked(clock, low, high);
    if (is_heap(kind)) {
        range.row = g_ranges.books->row(stack, kind == MT_MAP_BRK ? MT_ALLOCATOR_SBRK : MT_ALLOCATOR_MMAP);
    }
    if ((is_heap(kind) && range.row == MT_AGGREGATE_NO_ROW) || !insert_range_locked(first_range(low), range)) {
        return false;
    }
    if (range.row != MT_AGGREGATE_NO_ROW) {
        g_ranges.books->grow(range.row, clock, high - low, 1);
    }
    return true;
}

/* ---- parts of ranges ------------------------------------------------------------------------------------------------ */

/* Sees to it that no range goes across addr. */
static bool split_range_locked(uint64_t addr)
{
    uint64_t at = first_range(addr);
    if (at == g_ranges.count || g_ranges.ranges[at].low >= addr) {
        return true;
    }
    struct range behind = g_ranges.ranges[at];
    behind.low = addr;
    behind.state |= RANGE_PART;
    if (!insert_range_locked(at + 1, behind)) {
        return false;
    }
    g_ranges.ranges[at].high = addr;
    g_ranges.ranges[at].state |= RANGE_SPLIT;
    return true;
}

/* Reserved memory becomes heap; allocation: the one it is part of has not been counted yet. */
static void open_locked(struct range *range, uint64_t clock, uint32_t row, bool allocation)
{
    g_ranges.allocations += allocation;
    range->allocation = g_ranges.allocations;
    range->row = row;
    range->state = allocation ? RANGE_SPLIT : RANGE_PART; /* others may follow */
    g_ranges.books->grow(row, clock, range->high - range->low, allocation ? 1 : 0);
}

static bool open_all_locked(uint64_t clock, uint64_t at, uint64_t high, uint32_t stack)
{
    uint32_t row = MT_AGGREGATE_NO_ROW;
    for (; at < g_ranges.count && g_ranges.ranges[at].low < high; at++) {
        struct range *range = &g_ranges.ranges[at];
        range->state &= ~(uint32_t)RANGE_GIVEN_UP;
        if ((range->state & RANGE_RESERVED) == 0) {
            continue;
        }
        bool first = row == MT_AGGREGATE_NO_ROW;
        row = first ? g_ranges.books->row(stack, MT_ALLOCATOR_MMAP) : row;
        if (row == MT_AGGREGATE_NO_ROW) {
            return false;
        }
        open_locked(range, clock, row, first);
    }
    return true;
}

static void give_up_all_locked(uint64_t clock, uint64_t at, uint64_t high, uint32_t state)
{
    for (; at < g_ranges.count && g_ranges.ranges[at].low < high; at++) {
        struct range *range = &g_ranges.ranges[at];
        range->state |= state;
        if (range->row != MT_AGGREGATE_NO_ROW && (range->state & RANGE_GIVEN_UP) == RANGE_GIVEN_UP) {
            lose_locked(at, clock, range->high - range->low, true);
            range->row = MT_AGGREGATE_NO_ROW;
            range->state = RANGE_RESERVED;
        }
    }
}

bool mt_aggregate_access_locked(uint64_t clock, uint64_t low, uint64_t high, enum mt_map_kind kind, uint32_t stack)
{
    if (!split_range_locked(low) || !split_range_locked(high)) {
        return false;
    }
    if (kind == MT_MAP_OPENED) {
        return open_all_locked(clock, first_range(low), high, stack);
    }
    give_up_all_locked(clock, first_range(low), high, kind == MT_MAP_CLOSED ? RANGE_CLOSED : RANGE_EMPTIED);
    return true;
}

/* What a range is that begins at addr and is moved away. */
enum mt_map_kind mt_aggregate_kind_moved_locked(uint64_t addr)
{
    uint64_t at = first_range(addr);
    if (at == g_ranges.count || g_ranges.ranges[at].low > addr || g_ranges.ranges[at].row != MT_AGGREGATE_NO_ROW) {
        return MT_MAP_MREMAP;
    }
    return (g_ranges.ranges[at].state & RANGE_RESERVED) != 0 ? MT_MAP_RESERVED : MT_MAP_FILE;
}

void mt_aggregate_begin_ranges(const struct mt_range_books *books)
{
    g_ranges.count = 0;
    g_ranges.books = books;
}
