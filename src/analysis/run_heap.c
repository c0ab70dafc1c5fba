/* run_heap.c: what the processes of a run hold together: the peak and the timeline. Context: [tool]. */
#include "analysis/pass.h"

void mt_run_heap_init(struct mt_run_heap *h, unsigned scale_bits, struct mt_timeline_point *timeline, size_t count,
                      uint64_t step_ns)
{
    *h = (struct mt_run_heap){ .scale_bits = scale_bits,
                               .timeline = timeline,
                               .timeline_count = count,
                               .timeline_step_ns = step_ns,
                               .timeline_due_ns = count > 1 ? step_ns : UINT64_MAX };
    h->due_ns = h->timeline_due_ns;
}

static uint64_t mark_due(const struct mt_run_heap *h)
{
    return h->marks != NULL && h->mark_at < h->marks->count ? h->marks->items[h->mark_at].time_ns : UINT64_MAX;
}

static void settle_due(struct mt_run_heap *h)
{
    uint64_t mark_ns = mark_due(h);
    h->due_ns = mark_ns < h->timeline_due_ns ? mark_ns : h->timeline_due_ns;
}

void mt_run_heap_watch(struct mt_run_heap *h, const struct mt_run_marks *marks, struct mt_mark_held *held)
{
    h->marks = marks;
    h->held = held;
    settle_due(h);
}

static void close_interval(struct mt_run_heap *h)
{
    struct mt_timeline_point *point = &h->timeline[h->timeline_at++];
    point->heap_bytes = h->current >> h->scale_bits;
    point->heap_max_bytes = h->timeline_max >> h->scale_bits;
    point->allocations = h->current_count >> h->scale_bits;
    h->timeline_max = h->current;
}

static void note_mark(struct mt_run_heap *h)
{
    h->held[h->mark_at++] = (struct mt_mark_held){ h->current >> h->scale_bits, h->current_count >> h->scale_bits, true };
}

struct mt_timeline_point mt_run_heap_join(const struct mt_timeline_point *first, const struct mt_timeline_point *second)
{
    struct mt_timeline_point joined = *second;
    joined.heap_max_bytes = first->heap_max_bytes > second->heap_max_bytes ? first->heap_max_bytes : second->heap_max_bytes;
    return joined;
}

static void join_pairs(struct mt_run_heap *h)
{
    for (size_t i = 0; i < h->timeline_count / 2; i++) {
        h->timeline[i] = mt_run_heap_join(&h->timeline[2 * i], &h->timeline[2 * i + 1]);
    }
    h->timeline_at = h->timeline_count / 2;
    h->timeline_step_ns *= 2;
}

/* When the next interval ends. */
static uint64_t next_due(struct mt_run_heap *h)
{
    if (h->timeline_grows && h->timeline_at == h->timeline_count) {
        join_pairs(h);
    }
    bool last = !h->timeline_grows && h->timeline_at + 1 >= h->timeline_count; /* it takes the rest */
    return last ? UINT64_MAX : h->timeline_due_ns + h->timeline_step_ns;
}

void mt_run_heap_pass_time(struct mt_run_heap *h, uint64_t now_ns)
{
    while (now_ns > h->due_ns) {
        if (mark_due(h) == h->due_ns) {
            note_mark(h);
        } else {
            close_interval(h);
            h->timeline_due_ns = next_due(h);
        }
        settle_due(h);
    }
}

void mt_run_heap_rise(struct mt_run_heap *h, uint64_t bytes, uint64_t now_ns)
{
    mt_run_heap_pass_time(h, now_ns);
    h->current += bytes;
    h->rise_ns = bytes > 0 ? now_ns : h->rise_ns;
    h->timeline_max = h->current > h->timeline_max ? h->current : h->timeline_max;
}

void mt_run_heap_fall(struct mt_run_heap *h, uint64_t bytes, uint64_t count, uint64_t now_ns)
{
    mt_run_heap_pass_time(h, now_ns + 1); /* at now_ns itself it was still there */
    mt_run_heap_before_fall(h);
    h->current -= bytes;
    h->current_count -= count;
}

void mt_run_heap_finish(struct mt_run_heap *h, uint64_t end_ns, uint64_t stop_ns)
{
    mt_run_heap_pass_time(h, end_ns);
    while (mark_due(h) != UINT64_MAX && mark_due(h) <= stop_ns) {
        note_mark(h);
    }
    mt_run_heap_before_fall(h);
    if (h->timeline_at < h->timeline_count) {
        close_interval(h);
    }
    h->timeline_count = h->timeline_at; /* no interval begins any more */
    h->timeline_due_ns = UINT64_MAX;
    settle_due(h);
}
