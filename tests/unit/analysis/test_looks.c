/* test_looks.c: a pass is looked at between any two events, twice, and goes on: each look shows what a reading of its own up to
 * there shows, to the byte, and the looks before it have changed nothing. */
#include "harness.h"

#include "analysis/pass.h"
#include "analysis/random_events.h"

struct scene {
    struct builder b;
    struct mt_trace *trace;
    struct mt_trace_set set;
    struct mt_axis axis;
    struct mt_analysis_options options;
    struct mt_run_heap heap;
    struct mt_pass pass;
};

static void scene_init(struct scene *s, uint64_t *seed, bool sampled)
{
    *s = (struct scene){ .options = MT_ANALYSIS_DEFAULTS, .set = { &s->trace, 1 } };
    builder_init(&s->b);
    s->b.flags = sampled ? MT_TRACE_SAMPLE : MT_TRACE_EXACT;
    s->b.rate_bytes = sampled ? 4096 : 0;
    builder_plain_stacks(&s->b, STACKS);
    random_events(&s->b, seed, 1 + builder_random(seed) % 300, sampled);
    builder_finish(&s->b);
    assert_int_equal(mt_trace_open_memory(s->b.file, s->b.file_bytes, &s->trace, NULL), MT_OK);
    s->options.temporary_max = (uint32_t)(builder_random(seed) % 3);
    s->options.window_start_ns = builder_random(seed) % 50000;
    mt_axis_make(&s->set, &s->axis);
    mt_run_heap_init(&s->heap, sampled ? MT_WEIGHT_SCALE_BITS : 0, NULL, 0, 0);
    mt_pass_init(&s->pass, s->trace, &s->options, &s->heap, &s->axis.spans[0]);
}

static void scene_fini(struct scene *s)
{
    mt_pass_fini(&s->pass);
    mt_axis_fini(&s->axis);
    mt_trace_close(s->trace);
    builder_fini(&s->b);
}

static struct mt_analysis look(const struct scene *s, uint64_t now_ns)
{
    struct mt_analysis a = { 0 };
    size_t sites = 0, threads = 0;
    struct mt_collect_as as = { .end_ns = now_ns, .run_ns = now_ns };
    mt_pass_collect(&s->pass, &as, &a, &sites, &threads);
    mt_analysis_sum_sites(&a, 0);
    a.totals.peak_time_ns = mt_run_heap_peak_ns(&s->heap);
    a.totals.duration_ns = now_ns;
    return a;
}

static void assert_alike(const struct mt_analysis *a, const struct mt_analysis *want)
{
    assert_int_equal(a->site_count, want->site_count);
    assert_memory_equal(a->sites, want->sites, a->site_count * sizeof *a->sites);
    assert_int_equal(a->thread_count, want->thread_count);
    assert_memory_equal(a->threads, want->threads, a->thread_count * sizeof *a->threads);
    assert_memory_equal(&a->totals, &want->totals, sizeof a->totals);
}

/* Everything up to now_ns has been applied. */
static void check_look(const struct scene *s, uint64_t now_ns)
{
    struct mt_analysis first = look(s, now_ns), second = look(s, now_ns), anew;
    struct mt_analysis_options options = s->options;
    options.stop_ns = now_ns;
    assert_int_equal(mt_analyze(&s->set, &options, &anew), MT_OK);
    anew.totals.losses = (struct mt_cursor_losses){ 0 };
    assert_alike(&first, &second);
    assert_alike(&first, &anew);
    mt_analysis_fini(&first);
    mt_analysis_fini(&second);
    mt_analysis_fini(&anew);
}

static void check_looks(uint64_t *seed, bool sampled)
{
    struct scene s;
    struct mt_cursor *cursor;
    struct mt_event events[40];
    size_t count;
    scene_init(&s, seed, sampled);
    assert_int_equal(mt_cursor_new(s.trace, UINT64_MAX, &cursor), MT_OK);
    while ((count = mt_cursor_next(cursor, events, 1 + builder_random(seed) % 40)) > 0) {
        mt_pass_apply(&s.pass, events, count);
        check_look(&s, mt_span_time(&s.axis.spans[0], events[count - 1].clock));
    }
    mt_cursor_free(cursor);
    scene_fini(&s);
}

static void test_looks_between_events_show_what_a_reading_up_to_there_shows(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    for (int round = 0; round < 40; round++) {
        check_looks(&seed, false);
        check_looks(&seed, true);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_looks_between_events_show_what_a_reading_up_to_there_shows),
};
MT_TEST_MAIN(tests)
