/* run_marks.c: see run_marks.h. */
#include "model/run_marks.h"

#include "util/memory.h"

#include <stdlib.h>

static bool is_asked_about(uint32_t kind)
{
    return kind == MT_MARK_SNAPSHOT || kind == MT_MARK_PHASE || kind == MT_MARK_MEMORY_LOW || kind == MT_MARK_OUT_OF_MEMORY;
}

static int by_time(const void *left, const void *right)
{
    const struct mt_run_mark *a = left, *b = right;
    if (a->time_ns != b->time_ns) {
        return a->time_ns < b->time_ns ? -1 : 1;
    }
    return a->trace_idx < b->trace_idx ? -1 : a->trace_idx > b->trace_idx;
}

/* The snapshot of the same request that came before; NULL: it is the first of its own. */
static const struct mt_run_mark *same_request(const struct mt_run_marks *marks, size_t at)
{
    uint64_t request = marks->items[at].mark->value;
    for (size_t i = at; request != 0 && i-- > 0;) {
        if (marks->items[i].number != 0 && marks->items[i].mark->value == request) {
            return &marks->items[i];
        }
    }
    return NULL;
}

static void number_snapshots(struct mt_run_marks *marks)
{
    uint32_t count = 0;
    for (size_t i = 0; i < marks->count; i++) {
        if (marks->items[i].mark->kind == MT_MARK_SNAPSHOT) {
            const struct mt_run_mark *first = same_request(marks, i);
            marks->items[i].number = first != NULL ? first->number : ++count;
        }
    }
}

void mt_run_marks_find(const struct mt_trace_set *set, const struct mt_axis *axis, struct mt_run_marks *ret)
{
    size_t capacity = 0;
    *ret = (struct mt_run_marks){ 0 };
    for (uint32_t t = 0; t < set->count; t++) {
        size_t count;
        const struct mt_trace_mark *marks = mt_trace_marks(set->traces[t], &count);
        for (size_t i = 0; i < count; i++) {
            if (is_asked_about(marks[i].kind)) {
                ret->items = mt_alloc_grow(ret->items, &capacity, ret->count + 1, sizeof *ret->items);
                ret->items[ret->count++] = (struct mt_run_mark){
                    .trace_idx = t, .mark = &marks[i], .time_ns = mt_span_time(&axis->spans[t], marks[i].clock)
                };
            }
        }
    }
    if (ret->count > 0) {
        qsort(ret->items, ret->count, sizeof *ret->items, by_time);
    }
    number_snapshots(ret);
}

void mt_run_marks_fini(struct mt_run_marks *marks)
{
    free(marks->items);
    *marks = (struct mt_run_marks){ 0 };
}

const struct mt_run_mark *mt_run_marks_oom(const struct mt_run_marks *marks)
{
    for (size_t i = 0; i < marks->count; i++) {
        if (marks->items[i].mark->kind == MT_MARK_OUT_OF_MEMORY) {
            return &marks->items[i];
        }
    }
    return NULL;
}

uint32_t mt_run_marks_snapshots(const struct mt_run_marks *marks)
{
    uint32_t count = 0;
    for (size_t i = 0; i < marks->count; i++) {
        count = marks->items[i].number > count ? marks->items[i].number : count;
    }
    return count;
}

const struct mt_run_mark *mt_run_marks_snapshot(const struct mt_run_marks *marks, uint64_t number)
{
    uint64_t wanted = number != 0 ? number : mt_run_marks_snapshots(marks);
    for (size_t i = 0; i < marks->count && wanted != 0; i++) {
        if (marks->items[i].number == wanted) {
            return &marks->items[i];
        }
    }
    return NULL;
}

const char *mt_mark_word(uint32_t kind)
{
    static const char *const words[] = {
#define MARK_WORD(name, value, text) [value] = text,
        MT_MARK_TABLE(MARK_WORD)
#undef MARK_WORD
    };
    return kind < MT_COUNTOF(words) ? words[kind] : NULL;
}
