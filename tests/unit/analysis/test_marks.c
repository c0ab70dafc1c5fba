/* test_marks.c: what a run held at its marks, and which mark a name means. Traces known by construction. */
#include "harness.h"

#include "analysis/analysis.h"
#include "model/builder.h"

static struct mt_trace *open_built(const struct builder *b)
{
    struct mt_trace *trace;
    assert_int_equal(mt_trace_open_memory(b->file, b->file_bytes, &trace, NULL), MT_OK);
    return trace;
}

static struct mt_analysis analyze(const struct mt_trace_set *set, size_t timeline_points)
{
    struct mt_analysis_options options = MT_ANALYSIS_DEFAULTS;
    struct mt_analysis analysis;
    options.timeline_points = timeline_points;
    assert_int_equal(mt_analyze(set, &options, &analysis), MT_OK);
    return analysis;
}

static void assert_held(const struct mt_analysis *a, size_t mark, uint64_t time_ns, uint64_t bytes, uint64_t count)
{
    assert_int_equal(a->marks.items[mark].time_ns, time_ns);
    assert_true(a->held[mark].known);
    assert_int_equal(a->held[mark].bytes, bytes);
    assert_int_equal(a->held[mark].count, count);
}

/* Marks 15, 20 (the clock of an event: it came before), 35, 90 (behind all). */
static void build(struct builder *b)
{
    builder_init(b);
    builder_plain_stacks(b, 2);
    builder_alloc(b, 1, 10, 0x1000, 100, 1);
    builder_alloc(b, 1, 20, 0x2000, 30, 1);
    builder_free(b, 1, 30, 0x1000);
    builder_alloc(b, 1, 40, 0x3000, 7, 1);
    builder_mark(b, 90, 1, MT_MARK_PHASE, 0, "last");
    builder_mark(b, 15, 1, MT_MARK_SNAPSHOT, 0, "");
    builder_mark_at(b, 35, 1, MT_MARK_OUT_OF_MEMORY, 1 << 20, "malloc", 2);
    builder_mark(b, 20, 1, MT_MARK_SNAPSHOT, 0, "");
    builder_mark(b, 50, 1, MT_MARK_MAIN_RETURNED, 0, ""); /* nobody asks what was held */
    builder_finish(b);
}

static void test_marks_have_what_was_held_before_the_next_event(void **state)
{
    (void)state;
    struct builder b;
    build(&b);
    struct mt_trace *trace = open_built(&b);
    struct mt_trace_set set = { &trace, 1 };
    for (size_t points = 0; points <= 40; points += 20) {
        struct mt_analysis a = analyze(&set, points);
        assert_int_equal(a.marks.count, 4);
        assert_held(&a, 0, 15, 100, 1);
        assert_held(&a, 1, 20, 130, 2);
        assert_held(&a, 2, 35, 30, 1);
        assert_held(&a, 3, 90, 37, 2);
        assert_ptr_equal(mt_run_marks_oom(&a.marks), &a.marks.items[2]);
        assert_int_equal(a.marks.items[2].mark->stack, 2);
        assert_ptr_equal(mt_run_marks_snapshot(&a.marks, 0), &a.marks.items[1]); /* the last one */
        assert_ptr_equal(mt_run_marks_snapshot(&a.marks, 1), &a.marks.items[0]);
        assert_null(mt_run_marks_snapshot(&a.marks, 3));
        mt_analysis_fini(&a);
    }
    mt_trace_close(trace);
    builder_fini(&b);
}

static void test_a_mark_behind_the_time_asked_for_is_not_known(void **state)
{
    (void)state;
    struct builder b;
    build(&b);
    struct mt_trace *trace = open_built(&b);
    struct mt_trace_set set = { &trace, 1 };
    struct mt_analysis_options options = MT_ANALYSIS_DEFAULTS;
    struct mt_analysis a;
    options.stop_ns = 20;
    assert_int_equal(mt_analyze(&set, &options, &a), MT_OK);
    assert_held(&a, 1, 20, 130, 2);
    assert_false(a.held[2].known);
    assert_int_equal(a.totals.heap[MT_MEASURE_LIVE].bytes, 130);
    mt_analysis_fini(&a);
    mt_trace_close(trace);
    builder_fini(&b);
}

/* Two processes that answer the same request, and one signal that only the second got. */
static void test_one_request_is_one_snapshot_of_the_run(void **state)
{
    (void)state;
    struct builder b[2];
    struct mt_trace *traces[2];
    for (size_t i = 0; i < 2; i++) {
        builder_init(&b[i]);
        builder_plain_stacks(&b[i], 1);
        builder_alloc(&b[i], 1, 10, 0x1000, 100 + i, 1);
        builder_mark(&b[i], 20 + 2 * i, 1, MT_MARK_SNAPSHOT, 5, "");
        builder_alloc(&b[i], 1, 30, 0x2000, 1000, 1);
    }
    builder_mark(&b[1], 25, 1, MT_MARK_SNAPSHOT, 0, "");
    for (size_t i = 0; i < 2; i++) {
        builder_finish(&b[i]);
        traces[i] = open_built(&b[i]);
    }
    struct mt_trace_set set = { traces, 2 };
    struct mt_analysis a = analyze(&set, 0);
    assert_int_equal(a.marks.count, 3);
    assert_int_equal(mt_run_marks_snapshots(&a.marks), 2);
    assert_ptr_equal(mt_run_marks_snapshot(&a.marks, 1), &a.marks.items[0]);
    assert_int_equal(a.marks.items[1].number, 1);
    assert_held(&a, 0, 20, 201, 2); /* of both processes */
    assert_held(&a, 2, 25, 201, 2);
    mt_analysis_fini(&a);
    for (size_t i = 0; i < 2; i++) {
        mt_trace_close(traces[i]);
        builder_fini(&b[i]);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_marks_have_what_was_held_before_the_next_event),
    cmocka_unit_test(test_a_mark_behind_the_time_asked_for_is_not_known),
    cmocka_unit_test(test_one_request_is_one_snapshot_of_the_run),
};
MT_TEST_MAIN(tests)
