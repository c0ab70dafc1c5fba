/* merge.c: see merge.h. Context: [tool]. */
#include "analysis/merge.h"

#include "util/memory.h"

#include <stdlib.h>

enum { BATCH_ALONE = 1024, BATCH_AMONG_OTHERS = 256, PROGRESS_EVENTS = 65536 };

/* ---- the order ---------------------------------------------------------------------------------------------------- */

static bool before(const struct mt_lane *a, const struct mt_lane *b)
{
    return a->due_ns < b->due_ns || (a->due_ns == b->due_ns && a < b);
}

static void sift_down(struct mt_merge *m, size_t at)
{
    struct mt_lane *moving = m->order[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= m->order_count) {
            break;
        }
        if (child + 1 < m->order_count && before(m->order[child + 1], m->order[child])) {
            child++;
        }
        if (!before(m->order[child], moving)) {
            break;
        }
        m->order[at] = m->order[child];
        at = child;
    }
    m->order[at] = moving;
}

/* The first lane may run up to this time before another is due, or before those that ended let go. */
static uint64_t run_limit(const struct mt_merge *m)
{
    uint64_t limit = m->ending_count > 0 ? m->ending_ns : UINT64_MAX;
    for (size_t i = 1; i < m->order_count && i <= 2; i++) {
        const struct mt_lane *other = m->order[i];
        uint64_t last = other > m->order[0] ? other->due_ns : other->due_ns - 1;
        limit = last < limit ? last : limit;
    }
    return limit;
}

/* ---- the ends ----------------------------------------------------------------------------------------------------- */

/* All events up to the moment that LIVE is of have been applied. */
static void hold(struct mt_merge *m, struct mt_lane *lane)
{
    uint64_t time_ns = mt_span_time(&lane->span, lane->moment.clock);
    lane->live_at = (struct mt_live_at){ time_ns, m->options->live_at };
    lane->moment.clock = UINT64_MAX;
    if (!lane->aggregate) {
        mt_pass_hold(&lane->pass, time_ns);
    }
}

static void end_moment(struct mt_merge *m, struct mt_lane *lane)
{
    if (lane->moment.clock != UINT64_MAX) {
        hold(m, lane);
    }
    if (!lane->moment.certain && !lane->aggregate) {
        mt_pass_hold_unless_it_went_on(&lane->pass);
    }
    bool held = lane->aggregate ? lane->live_at.moment != MT_MOMENT_EXIT : lane->pass.held != NULL;
    if (!held) {
        lane->live_at = (struct mt_live_at){ lane->end_ns, MT_MOMENT_EXIT };
    }
}

static void end_lane(struct mt_merge *m, struct mt_lane *lane)
{
    lane->end_ns = lane->span.live ? m->end_ns : lane->end_ns;
    end_moment(m, lane);
    if (lane->aggregate) {
        mt_run_heap_fall(&m->heap, mt_aggregate_peak(lane->trace) << m->heap.scale_bits, 0, m->ending_ns);
        lane->died_number = m->heap.peak_number;
    } else {
        mt_pass_end(&lane->pass, lane->end_ns);
    }
}

static void end_all(struct mt_merge *m)
{
    for (size_t i = 0; i < m->ending_count; i++) {
        end_lane(m, m->ending[i]);
    }
    m->ending_count = 0;
}

/* Everything known of a process has been read. A live one holds what it holds to the end of the run, as does one that
 * is looked at before its end. */
static void begin_end(const struct mt_merge *m, struct mt_lane *lane)
{
    uint64_t stop = m->options->stop_ns;
    bool more = lane->cursor != NULL && mt_cursor_has_more(lane->cursor);
    uint64_t end = lane->end_ns > lane->span.end_ns ? lane->end_ns : lane->span.end_ns;
    lane->end_ns = more || end > stop ? stop : end;
    lane->due_ns = lane->span.live ? UINT64_MAX : lane->end_ns;
    lane->state = MT_LANE_ENDING;
    free(lane->batch);
    lane->batch = NULL;
}

static void finish_end(struct mt_merge *m, struct mt_lane *lane)
{
    m->ending_ns = lane->due_ns;
    m->end_ns = lane->end_ns > m->end_ns ? lane->end_ns : m->end_ns;
    m->ending[m->ending_count++] = lane;
    m->order[0] = m->order[--m->order_count];
}

/* ---- events ------------------------------------------------------------------------------------------------------- */

static void begin_aggregate(struct mt_merge *m, struct mt_lane *lane)
{
    uint64_t peak_clock = mt_trace_info(lane->trace)->counters[MT_COUNTER_PEAK_CLOCK];
    lane->born_number = m->heap.peak_number;
    mt_run_heap_rise(&m->heap, mt_aggregate_peak(lane->trace) << m->heap.scale_bits, lane->span.start_ns);
    m->heap.rise_ns = mt_span_time(&lane->span, peak_clock);
    begin_end(m, lane);
}

static mt_status fetch(const struct mt_merge *m, struct mt_lane *lane)
{
    lane->at = 0;
    lane->count = mt_cursor_next(lane->cursor, lane->batch, m->batch_events);
    if (lane->count == 0) {
        begin_end(m, lane);
        return mt_cursor_status(lane->cursor);
    }
    lane->due_ns = mt_span_time(&lane->span, lane->batch[0].clock);
    return MT_OK;
}

/* Behind a moment of the process. */
static void begin_window(const struct mt_merge *m, struct mt_lane *lane)
{
    if (m->options->window_from_moment) {
        struct mt_moment_mark from = mt_moment_find(lane->trace, m->options->window_from);
        lane->pass.window_start_ns = from.clock != UINT64_MAX ? mt_span_time(&lane->span, from.clock) + 1 : UINT64_MAX;
    }
}

static void tell_own_apart(const struct mt_merge *m, struct mt_lane *lane)
{
    uint8_t *const *own = m->options->own_stacks;
    const uint8_t *stacks = own != NULL ? own[lane - m->lanes] : NULL;
    if (lane->pass.stack_count == 0 && stacks != NULL) {
        lane->pass.own_stacks = stacks;
        lane->pass.own_count = (uint32_t)mt_trace_stack_count(lane->trace);
    }
}

static mt_status open_lane(struct mt_merge *m, struct mt_lane *lane)
{
    if (lane->aggregate) {
        begin_aggregate(m, lane);
        return MT_OK;
    }
    mt_status status =
        mt_cursor_new(lane->trace, mt_span_clock(&lane->span, m->options->stop_ns), &lane->cursor);
    if (status != MT_OK) {
        return status;
    }
    lane->batch = mt_alloc(m->batch_events * sizeof *lane->batch);
    lane->state = MT_LANE_READING;
    lane->opened = true;
    m->heap.alone = m->lane_count == 1;
    mt_pass_init(&lane->pass, lane->trace, m->options, &m->heap, &lane->span);
    begin_window(m, lane);
    tell_own_apart(m, lane);
    return fetch(m, lane);
}

/* How many events of the batch are not after the limit, nor behind the moment to be held; at least one. */
static size_t run_length(const struct mt_lane *lane, uint64_t limit)
{
    size_t at = lane->at + 1;
    if (limit == UINT64_MAX && lane->batch[lane->count - 1].clock <= lane->moment.clock) {
        return lane->count - lane->at;
    }
    while (at < lane->count && mt_span_time(&lane->span, lane->batch[at].clock) <= limit &&
           lane->batch[at].clock <= lane->moment.clock) {
        at++;
    }
    return at - lane->at;
}

static mt_status read_lane(struct mt_merge *m, struct mt_lane *lane)
{
    if (lane->batch[lane->at].clock > lane->moment.clock) {
        hold(m, lane);
    }
    size_t count = run_length(lane, run_limit(m));
    mt_pass_apply(&lane->pass, lane->batch + lane->at, count);
    lane->at += count;
    lane->end_ns = lane->pass.now_ns;
    if (lane->at == lane->count) {
        return fetch(m, lane);
    }
    lane->due_ns = mt_span_time(&lane->span, lane->batch[lane->at].clock);
    return MT_OK;
}

static bool report_progress(const struct mt_merge *m)
{
    uint64_t done = 0;
    if (m->options->progress == NULL) {
        return true;
    }
    for (size_t i = 0; i < m->lane_count; i++) {
        done += m->lanes[i].cursor != NULL ? mt_cursor_done_bytes(m->lanes[i].cursor) : 0;
    }
    return m->options->progress(m->options->context, done, m->total_bytes);
}

static mt_status step(struct mt_merge *m)
{
    struct mt_lane *top = m->order[0];
    mt_status status = MT_OK;
    if (top->due_ns > m->ending_ns) {
        end_all(m);
    }
    if (top->state == MT_LANE_WAITING) {
        status = open_lane(m, top);
    } else if (top->state == MT_LANE_READING) {
        status = read_lane(m, top);
    } else {
        finish_end(m, top);
    }
    if (m->order_count > 0) {
        sift_down(m, 0);
    }
    return status;
}

/* ---- all together ------------------------------------------------------------------------------------------------- */

static unsigned scale_of(const struct mt_trace_set *set)
{
    bool sampled = false;
    for (size_t i = 0; i < set->count; i++) {
        sampled = sampled || mt_pass_is_sampled(set->traces[i]);
    }
    return sampled ? MT_WEIGHT_SCALE_BITS : 0;
}

/* Of an aggregate trace, only one that is certain: the table was left alone from then on. */
static struct mt_moment_mark moment_of(const struct mt_trace *trace, const struct mt_analysis_options *options)
{
    const struct mt_moment_mark none = { UINT64_MAX, true };
    bool aggregate = (mt_trace_info(trace)->flags & MT_TRACE_AGGREGATE) != 0;
    struct mt_moment_mark found = options->stop_ns == UINT64_MAX ? mt_moment_find(trace, options->live_at) : none;
    return aggregate && !found.certain ? none : found;
}

void mt_merge_init(struct mt_merge *m, const struct mt_trace_set *set, const struct mt_axis *axis,
                   const struct mt_analysis_options *options)
{
    *m = (struct mt_merge){ .options = options, .lane_count = set->count };
    m->batch_events = set->count > 1 ? BATCH_AMONG_OTHERS : BATCH_ALONE;
    m->lanes = mt_alloc_zero(set->count + 1, sizeof *m->lanes);
    m->order = mt_alloc((set->count + 1) * sizeof(struct mt_lane *));
    m->ending = mt_alloc((set->count + 1) * sizeof(struct mt_lane *));
    mt_run_heap_init(&m->heap, scale_of(set), NULL, 0, 0);
    for (size_t i = 0; i < set->count; i++) {
        const struct mt_trace_info *info = mt_trace_info(set->traces[i]);
        struct mt_lane *lane = &m->lanes[i];
        *lane = (struct mt_lane){ .trace = set->traces[i],
                                  .span = axis->spans[i],
                                  .due_ns = axis->spans[i].start_ns,
                                  .end_ns = axis->spans[i].start_ns,
                                  .moment = moment_of(set->traces[i], options),
                                  .live_at = { axis->spans[i].end_ns, MT_MOMENT_EXIT },
                                  .aggregate = (info->flags & MT_TRACE_AGGREGATE) != 0 };
        m->total_bytes += info->event_bytes;
        if (lane->due_ns <= options->stop_ns) {
            m->order[m->order_count++] = lane;
        }
    }
    for (size_t i = m->order_count / 2; i-- > 0;) {
        sift_down(m, i);
    }
}

mt_status mt_merge_run(struct mt_merge *m)
{
    mt_status status = MT_OK;
    uint64_t asked_at = 0, events = 0;
    while (m->order_count > 0 && status == MT_OK) {
        struct mt_lane *top = m->order[0];
        uint64_t had = top->pass.events;
        status = step(m);
        events += top->pass.events - had;
        if (events - asked_at >= PROGRESS_EVENTS) {
            asked_at = events;
            status = status == MT_OK && !report_progress(m) ? MT_E_INTERRUPTED : status;
        }
    }
    mt_run_heap_finish(&m->heap, m->end_ns, m->options->stop_ns);
    end_all(m);
    return status;
}

void mt_merge_fini(struct mt_merge *m)
{
    for (size_t i = 0; i < m->lane_count; i++) {
        mt_cursor_free(m->lanes[i].cursor);
        free(m->lanes[i].batch);
        if (m->lanes[i].opened) {
            mt_pass_fini(&m->lanes[i].pass);
        }
    }
    free(m->lanes);
    free(m->order);
    free(m->ending);
}
