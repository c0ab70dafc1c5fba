/* intervals.h: from overlapping address intervals to one answer for each address.
 *
 * Decides: who owns an address that several intervals cover: the one that starts last (for properly nested intervals, the
 * innermost), and of those that start together the one of the highest rank. The result is a sorted array of disjoint
 * segments, so that a look-up is one binary search. Functions and inlined calls, compilation units, line sequences and
 * symbols all come to this form; hostile input (partial overlaps, a million nested ones) costs O(n log n) like any other.
 *
 *     A  |---------------------|        segments:  A | B | C | B | A | -
 *     B      |-----------|
 *     C         |---|
 *
 * Context: [tool].
 */
#ifndef MT_SYMBOL_INTERVALS_H
#define MT_SYMBOL_INTERVALS_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

#define MT_SEGMENT_NONE UINT32_MAX

struct mt_interval {
    uint64_t low;   /* first address */
    uint64_t high;  /* one past the last; an interval with high <= low is ignored */
    uint32_t value; /* the answer, not MT_SEGMENT_NONE */
    uint32_t rank;  /* nesting depth: larger is inner */
};

struct mt_intervals { /* a growing list */
    struct mt_interval *items;
    size_t count;
    size_t capacity;
};

struct mt_segment {
    uint64_t low; /* up to the next segment's low */
    uint32_t value;
};

struct mt_segments {
    struct mt_segment *items; /* ascending by low; the last one's value is MT_SEGMENT_NONE */
    size_t count;
};

/* MT_E_NOMEM leaves the list as it was. */
mt_status mt_intervals_add(struct mt_intervals *list, struct mt_interval item) MT_CHECKED;
void mt_intervals_fini(struct mt_intervals *list);
/* Sorts the list in place and fills *ret (to be freed with mt_segments_fini). An empty list gives zero segments. */
mt_status mt_segments_build(struct mt_intervals *list, struct mt_segments *ret) MT_CHECKED;
void mt_segments_fini(struct mt_segments *segments);
/* The value at an address, or MT_SEGMENT_NONE. */
uint32_t mt_segments_find(const struct mt_segments *segments, uint64_t address);

/* Room for one more item in a growing array: returns the array (moved or not), or NULL when out of memory. */
void *mt_array_reserve(void *items, size_t count, size_t *capacity, size_t item_bytes);

#endif
