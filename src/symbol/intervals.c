/* intervals.c: a sweep over sorted starts with a stack of open intervals; see intervals.h. */
#include "symbol/intervals.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void *mt_array_reserve(void *items, size_t count, size_t *capacity, size_t item_bytes)
{
    if (count < *capacity) {
        return items;
    }
    size_t wanted = *capacity < 16 ? 16 : *capacity + *capacity / 2;
    void *moved = reallocarray(items, wanted, item_bytes);
    if (moved != NULL) {
        *capacity = wanted;
    }
    return moved;
}

mt_status mt_intervals_add(struct mt_intervals *list, struct mt_interval item)
{
    struct mt_interval *items = mt_array_reserve(list->items, list->count, &list->capacity, sizeof *items);
    if (items == NULL) {
        return MT_E_NOMEM;
    }
    list->items = items;
    items[list->count++] = item;
    return MT_OK;
}

void mt_intervals_fini(struct mt_intervals *list)
{
    free(list->items);
    memset(list, 0, sizeof *list);
}

/* By start; of equal starts the outer one (lower rank, then longer) first, so that the inner one is pushed last. */
static int by_start(const void *left, const void *right)
{
    const struct mt_interval *a = left, *b = right;
    if (a->low != b->low) {
        return a->low < b->low ? -1 : 1;
    }
    if (a->rank != b->rank) {
        return a->rank < b->rank ? -1 : 1;
    }
    if (a->high != b->high) {
        return a->high > b->high ? -1 : 1;
    }
    return a->value < b->value ? -1 : a->value > b->value;
}

/* Lists made of a sorted table mostly are. */
static bool is_sorted(const struct mt_intervals *list)
{
    size_t i = 1;
    while (i < list->count && by_start(&list->items[i - 1], &list->items[i]) <= 0) {
        i++;
    }
    return i >= list->count;
}

struct sweep {
    const struct mt_interval *items;
    uint32_t *open; /* stack of indices into items; the top owns the current address */
    size_t depth;
    struct mt_segments out;
};

/* From address on, value owns. At most two calls an interval, so the output array of 2n never overflows. */
static void emit(struct sweep *s, uint64_t address, uint32_t value)
{
    struct mt_segment *last = s->out.count > 0 ? &s->out.items[s->out.count - 1] : NULL;
    if (last != NULL && last->low == address) {
        last->value = value;
    } else if (last == NULL || last->value != value) {
        s->out.items[s->out.count++] = (struct mt_segment){.low = address, .value = value};
    }
}

/* Ends every open interval that ends at or before limit. */
static void close_until(struct sweep *s, uint64_t limit)
{
    while (s->depth > 0) {
        uint64_t end = s->items[s->open[s->depth - 1]].high;
        if (end > limit) {
            return;
        }
        while (s->depth > 0 && s->items[s->open[s->depth - 1]].high <= end) {
            s->depth--;
        }
        emit(s, end, s->depth > 0 ? s->items[s->open[s->depth - 1]].value : MT_SEGMENT_NONE);
    }
}

mt_status mt_segments_build(struct mt_intervals *list, struct mt_segments *ret)
{
    memset(ret, 0, sizeof *ret);
    if (list->count == 0) {
        return MT_OK;
    }
    if (list->count >= UINT32_MAX) {
        return MT_E_FULL;
    }
    struct sweep s = {.items = list->items};
    s.open = calloc(list->count, sizeof *s.open);
    s.out.items = calloc(list->count * 2, sizeof *s.out.items);
    if (s.open == NULL || s.out.items == NULL) {
        free(s.open);
        free(s.out.items);
        return MT_E_NOMEM;
    }
    if (!is_sorted(list)) {
        qsort(list->items, list->count, sizeof *list->items, by_start);
    }
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].high > list->items[i].low) {
            close_until(&s, list->items[i].low);
            s.open[s.depth++] = (uint32_t)i;
            emit(&s, list->items[i].low, list->items[i].value);
        }
    }
    close_until(&s, UINT64_MAX);
    free(s.open);
    struct mt_segment *fitted = reallocarray(s.out.items, s.out.count + 1, sizeof *fitted);
    *ret = (struct mt_segments){.items = fitted != NULL ? fitted : s.out.items, .count = s.out.count};
    return MT_OK;
}

void mt_segments_fini(struct mt_segments *segments)
{
    free(segments->items);
    memset(segments, 0, sizeof *segments);
}

uint32_t mt_segments_find(const struct mt_segments *segments, uint64_t address)
{
    size_t low = 0, high = segments->count; /* the answer is the last item with item.low <= address, in [low, high) */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (segments->items[middle].low <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? MT_SEGMENT_NONE : segments->items[low - 1].value;
}
