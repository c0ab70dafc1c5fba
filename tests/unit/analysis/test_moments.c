/* Unit tests of what is alive at a moment of a process: as if the trace had been read up to there, while all else is of the whole
 * process. */
#include "harness.h"

#include "analysis/analysis.h"
#include "model/builder.h"

#include <math.h>

enum { EVENTS = 3000, LAST_CLOCK = 10 * EVENTS + 10 };

static void build(struct builder *b, uint64_t seed, bool sampled, uint64_t mark_clock, uint64_t certain)
{
    builder_init(b);
    b->flags = sampled ? MT_TRACE_SAMPLE : MT_TRACE_EXACT;
    builder_plain_stacks(b, 20);
    for (size_t i = 0; i < EVENTS; i++) {
        uint64_t r = builder_random(&seed);
        uint32_t stream = 1 + (uint32_t)(r % 3);
        if (r >> 60 == 0) {
            builder_map(b, stream, 10 * i + 10, (unsigned)(r >> 10) % 8, (r >> 20) % 64 << 12, 8192, (uint32_t)(r >> 30) % 20);
        } else if ((r >> 8) % 2) {
            builder_alloc(b, stream, 10 * i + 10, 64 + 16 * ((r >> 20) % 50), (r >> 40) % 5000, (uint32_t)(r >> 30) % 21);
        } else {
            builder_free(b, stream, 10 * i + 10, 64 + 16 * ((r >> 20) % 50));
        }
        b->events[b->event_count - 1].rate_bytes = sampled ? 1000 : 0;
    }
    builder_mark(b, mark_clock, 1, MT_MARK_PROGRAM_END, certain, "");
    builder_finish(b);
}

static struct mt_trace *open_built(const struct builder *b)
{
    struct mt_trace *trace;
    assert_int_equal(mt_trace_open_memory(b->file, b->file_bytes, &trace, NULL), MT_OK);
    return trace;
}

static struct mt_analysis analyze(struct mt_trace *trace, struct mt_analysis_options options)
{
    struct mt_trace_set set = { &trace, 1 };
    struct mt_analysis a;
    options.temporary_max = 1;
    assert_int_equal(mt_analyze(&set, &options, &a), MT_OK);
    return a;
}

static struct mt_analysis analyze_at(struct mt_trace *trace, enum mt_moment moment)
{
    return analyze(trace, (struct mt_analysis_options){ .stop_ns = UINT64_MAX, .live_at = moment });
}

static const struct mt_site *find(const struct mt_analysis *a, const struct mt_site *like)
{
    for (size_t i = 0; i < a->site_count; i++) {
        const struct mt_site *s = &a->sites[i];
        if (s->stack == like->stack && s->stream == like->stream && s->allocator == like->allocator &&
            s->storage == like->storage) {
            return s;
        }
    }
    return NULL;
}

static void check_amounts(const struct mt_amount *a, const struct mt_amount *b)
{
    assert_int_equal(a->bytes, b->bytes);
    assert_int_equal(a->count, b->count);
    assert_true(fabs(a->bytes_variance - b->bytes_variance) <= 1e-6 * (1 + b->bytes_variance));
}

/* Places of `all` hold what those of `cut` do, and those that are not there nothing. */
static void check_held(const struct mt_analysis *all, const struct mt_analysis *cut, enum mt_measure measure)
{
    static const struct mt_amount nothing;
    for (size_t i = 0; i < all->site_count; i++) {
        const struct mt_site *same = find(cut, &all->sites[i]);
        check_amounts(&all->sites[i].amount[measure], same != NULL ? &same->amount[measure] : &nothing);
        assert_int_equal(all->sites[i].oldest_ns, same != NULL ? same->oldest_ns : UINT64_MAX);
    }
    check_amounts(&all->totals.heap[measure], &cut->totals.heap[measure]);
}

static void check_whole(const struct mt_analysis *a, const struct mt_analysis *b)
{
    check_amounts(&a->totals.heap[MT_MEASURE_PEAK], &b->totals.heap[MT_MEASURE_PEAK]);
    check_amounts(&a->totals.heap[MT_MEASURE_TOTAL], &b->totals.heap[MT_MEASURE_TOTAL]);
    check_amounts(&a->totals.heap[MT_MEASURE_TEMPORARY], &b->totals.heap[MT_MEASURE_TEMPORARY]);
    assert_int_equal(a->totals.peak_time_ns, b->totals.peak_time_ns);
    assert_int_equal(a->totals.events, b->totals.events);
}

static void check_moment(uint64_t seed, bool sampled, uint64_t clock)
{
    struct builder b;
    build(&b, seed, sampled, clock, 1);
    struct mt_trace *trace = open_built(&b);
    struct mt_analysis end = analyze_at(trace, MT_MOMENT_END), exit = analyze_at(trace, MT_MOMENT_EXIT);
    struct mt_analysis cut = analyze(trace, (struct mt_analysis_options){ .stop_ns = clock });
    check_held(&end, &cut, MT_MEASURE_LIVE);
    check_whole(&end, &exit);
    assert_int_equal(end.live_at[0].moment, MT_MOMENT_END);
    assert_int_equal(end.live_at[0].time_ns, clock);
    assert_int_equal(exit.live_at[0].moment, MT_MOMENT_EXIT);
    mt_analysis_fini(&cut);
    mt_analysis_fini(&exit);
    mt_analysis_fini(&end);
    mt_trace_close(trace);
    builder_fini(&b);
}

static void test_alive_at_a_moment_is_alive_when_read_up_to_it(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    for (int i = 0; i < 12; i++) {
        uint64_t clock = builder_random(&seed) % LAST_CLOCK;
        check_moment(builder_random(&seed), i % 2 == 1, clock);
    }
    check_moment(seed, false, 0);
    check_moment(seed, false, LAST_CLOCK + 1000);
}

static void test_a_window_may_end_at_a_moment_or_begin_behind_it(void **state)
{
    (void)state;
    uint64_t seed = builder_seed(), from = LAST_CLOCK / 3, clock = LAST_CLOCK / 2;
    struct builder b;
    build(&b, seed, false, clock, 1);
    struct mt_trace *trace = open_built(&b);
    struct mt_analysis to = analyze(trace, (struct mt_analysis_options){ .stop_ns = UINT64_MAX, .window_start_ns = from });
    struct mt_analysis cut = analyze(trace, (struct mt_analysis_options){ .stop_ns = clock, .window_start_ns = from });
    check_held(&to, &cut, MT_MEASURE_WINDOW);
    struct mt_analysis behind = analyze(trace, (struct mt_analysis_options){
        .stop_ns = UINT64_MAX, .live_at = MT_MOMENT_EXIT, .window_from_moment = true, .window_from = MT_MOMENT_END });
    struct mt_analysis late = analyze(trace, (struct mt_analysis_options){
        .stop_ns = UINT64_MAX, .live_at = MT_MOMENT_EXIT, .window_start_ns = clock + 1 });
    check_held(&behind, &late, MT_MEASURE_WINDOW);
    mt_analysis_fini(&late);
    mt_analysis_fini(&behind);
    mt_analysis_fini(&cut);
    mt_analysis_fini(&to);
    mt_trace_close(trace);
    builder_fini(&b);
}

/* held: by what ended Python, after that. */
static enum mt_moment moment_found(uint64_t certain, uint64_t held)
{
    struct builder b;
    builder_init(&b);
    builder_plain_stacks(&b, 2);
    builder_alloc(&b, 1, 10, 0x1000, 100, 1);
    builder_mark(&b, 15, 1, MT_MARK_PROGRAM_END, certain, "");
    builder_free(&b, 1, 20, 0x1000);
    builder_alloc(&b, 1, 30, 0x2000, held, 2);
    builder_finish(&b);
    struct mt_trace *trace = open_built(&b);
    struct mt_analysis a = analyze_at(trace, MT_MOMENT_END);
    enum mt_moment moment = a.live_at[0].moment;
    assert_int_equal(a.totals.heap[MT_MEASURE_LIVE].bytes, moment == MT_MOMENT_END ? 100 : held);
    assert_int_equal(mt_analysis_end_clock(trace), moment == MT_MOMENT_END ? BUILDER_START_CLOCK + 15 : UINT64_MAX);
    mt_analysis_fini(&a);
    mt_trace_close(trace);
    builder_fini(&b);
    return moment;
}

static void test_a_program_that_went_on_had_not_ended(void **state)
{
    (void)state;
    assert_int_equal(moment_found(1, 1 << 20), MT_MOMENT_END);
    assert_int_equal(moment_found(0, 1 << 10), MT_MOMENT_END);
    assert_int_equal(moment_found(0, 1 << 20), MT_MOMENT_EXIT);
}

static void test_of_several_ends_the_last_counts_and_main_ends_once(void **state)
{
    (void)state;
    struct builder b;
    builder_init(&b);
    builder_plain_stacks(&b, 2);
    builder_alloc(&b, 1, 10, 0x1000, 100, 1);
    builder_mark(&b, 15, 1, MT_MARK_PROGRAM_END, 1, "");
    builder_mark(&b, 18, 1, MT_MARK_MAIN_RETURNED, 0, "");
    builder_alloc(&b, 1, 20, 0x2000, 200, 1);
    builder_mark(&b, 25, 1, MT_MARK_PROGRAM_END, 1, "");
    builder_mark(&b, 26, 1, MT_MARK_MAIN_RETURNED, 0, "");
    builder_alloc(&b, 1, 30, 0x3000, 400, 1);
    builder_finish(&b);
    struct mt_trace *trace = open_built(&b);
    static const uint64_t bytes[] = { [MT_MOMENT_END] = 300, [MT_MOMENT_EXIT] = 700, [MT_MOMENT_MAIN_END] = 100 };
    for (unsigned moment = 0; moment < MT_COUNTOF(bytes); moment++) {
        struct mt_analysis a = analyze_at(trace, (enum mt_moment)moment);
        assert_int_equal(a.totals.heap[MT_MEASURE_LIVE].bytes, bytes[moment]);
        assert_int_equal(a.live_at[0].moment, moment);
        mt_analysis_fini(&a);
    }
    mt_trace_close(trace);
    builder_fini(&b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_alive_at_a_moment_is_alive_when_read_up_to_it),
    cmocka_unit_test(test_a_window_may_end_at_a_moment_or_begin_behind_it),
    cmocka_unit_test(test_a_program_that_went_on_had_not_ended),
    cmocka_unit_test(test_of_several_ends_the_last_counts_and_main_ends_once),
};

MT_TEST_MAIN(tests)
