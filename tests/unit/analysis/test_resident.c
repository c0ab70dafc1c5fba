/* test_resident.c: an analysis that is kept: at the end of a trace it is that of one reading, and its timeline, whose intervals grow with the
 * process's age, is that of a replay of the events for each interval. */
#include "harness.h"

#include "analysis/random_events.h"
#include "analysis/resident.h"

struct scene {
    struct builder b;
    struct mt_trace *trace;
    struct mt_trace_set set;
    struct mt_resident *resident;
};

static void scene_open(struct scene *s)
{
    builder_finish(&s->b);
    assert_int_equal(mt_trace_open_memory(s->b.file, s->b.file_bytes, &s->trace, NULL), MT_OK);
    s->set = (struct mt_trace_set){ &s->trace, 1 };
    s->resident = mt_resident_new(s->trace);
    assert_true(mt_resident_refresh(s->resident));
}

static void scene_fini(struct scene *s)
{
    mt_resident_free(s->resident);
    mt_trace_close(s->trace);
    builder_fini(&s->b);
}

static struct mt_analysis view(const struct scene *s, size_t points)
{
    static const struct mt_cursor_losses none;
    struct mt_analysis_options options = MT_ANALYSIS_DEFAULTS;
    struct mt_analysis a;
    options.timeline_points = points;
    mt_resident_view(s->resident, &s->set, &options, &none, &a);
    return a;
}

static void add_all(struct scene *s, uint64_t *seed)
{
    struct mt_cursor *cursor;
    struct mt_event events[64];
    size_t count;
    assert_int_equal(mt_cursor_new(s->trace, UINT64_MAX, &cursor), MT_OK);
    while ((count = mt_cursor_next(cursor, events, 1 + builder_random(seed) % 64)) > 0) {
        mt_resident_add(s->resident, events, count);
    }
    mt_cursor_free(cursor);
}

static void check_random(uint64_t *seed, bool sampled)
{
    struct scene s;
    builder_init(&s.b);
    s.b.flags = sampled ? MT_TRACE_SAMPLE : MT_TRACE_EXACT;
    s.b.rate_bytes = sampled ? 4096 : 0;
    builder_plain_stacks(&s.b, STACKS);
    random_events(&s.b, seed, 1 + builder_random(seed) % 400, sampled);
    scene_open(&s);
    add_all(&s, seed);
    struct mt_analysis kept = view(&s, 0), whole;
    assert_int_equal(mt_analyze(&s.set, NULL, &whole), MT_OK);
    assert_int_equal(kept.site_count, whole.site_count);
    assert_memory_equal(kept.sites, whole.sites, kept.site_count * sizeof *kept.sites);
    assert_memory_equal(&kept.totals, &whole.totals, sizeof kept.totals);
    assert_memory_equal(kept.axis.spans, whole.axis.spans, sizeof *kept.axis.spans);
    assert_memory_equal(kept.live_at, whole.live_at, sizeof *kept.live_at);
    assert_int_equal(kept.timeline_count, 0);
    mt_analysis_fini(&kept);
    mt_analysis_fini(&whole);
    scene_fini(&s);
}

static void test_an_analysis_that_is_kept_is_that_of_one_reading(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    for (int round = 0; round < 100; round++) {
        check_random(&seed, round % 2 == 1);
    }
}

/* Blocks that come and go with pauses between a nanosecond and minutes. */
static void build_life(struct builder *b, uint64_t *seed, size_t events)
{
    uint64_t clock = 1;
    bool alive[8] = { false };
    builder_init(b);
    builder_plain_stacks(b, 1);
    for (size_t i = 0; i < events; i++) {
        uint64_t at = builder_random(seed) % 8;
        clock += 1 + (builder_random(seed) >> (28 + builder_random(seed) % 34));
        if (alive[at]) {
            builder_free(b, 1, clock, 64 + 64 * at);
        } else {
            builder_alloc(b, 1, clock, 64 + 64 * at, 1 + builder_random(seed) % 5000, 1);
        }
        alive[at] = !alive[at];
    }
}

/* What is held, after each event up to and including time_ns; *ret_max: the most since from_ns. */
static uint64_t held_at(const struct builder *b, uint64_t from_ns, uint64_t time_ns, uint64_t *ret_max)
{
    uint64_t sizes[9] = { 0 }, held = 0;
    *ret_max = 0;
    for (size_t i = 0; i < b->event_count && b->events[i].clock - BUILDER_START_CLOCK <= time_ns; i++) {
        const struct mt_event *e = &b->events[i];
        if (e->clock - BUILDER_START_CLOCK > from_ns) {
            *ret_max = held > *ret_max ? held : *ret_max;
        }
        held += e->kind == MT_EVENT_ALLOC ? e->size : 0;
        held -= e->kind == MT_EVENT_FREE ? sizes[e->addr / 64] : 0;
        sizes[e->addr / 64] = e->size;
    }
    *ret_max = held > *ret_max ? held : *ret_max;
    return held;
}

static void check_timeline(uint64_t *seed)
{
    struct scene s;
    build_life(&s.b, seed, 1 + builder_random(seed) % 300);
    scene_open(&s);
    add_all(&s, seed);
    size_t points = 1 + builder_random(seed) % 200;
    struct mt_analysis a = view(&s, points);
    uint64_t end = s.b.events[s.b.event_count - 1].clock - BUILDER_START_CLOCK, before = 0, max;
    assert_in_range(a.timeline_count, 1, points);
    assert_int_equal(a.timeline[a.timeline_count - 1].time_ns, end);
    for (size_t i = 0; i < a.timeline_count; i++) {
        const struct mt_timeline_point *point = &a.timeline[i];
        assert_true(i + 1 == a.timeline_count || point->time_ns == a.timeline[0].time_ns * (i + 1));
        assert_int_equal(point->heap_bytes, held_at(&s.b, before, point->time_ns, &max));
        assert_int_equal(point->heap_max_bytes, max);
        before = point->time_ns;
    }
    mt_analysis_fini(&a);
    scene_fini(&s);
}

static void test_a_timeline_that_grows_is_that_of_a_replay(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    for (int round = 0; round < 100; round++) {
        check_timeline(&seed);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_an_analysis_that_is_kept_is_that_of_one_reading),
    cmocka_unit_test(test_a_timeline_that_grows_is_that_of_a_replay),
};
MT_TEST_MAIN(tests)
