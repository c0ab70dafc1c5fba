/* test_base.c: a trace that begins at a base says what was alive there and what came later, whatever is in front of it. */
#include "harness.h"

#include "analysis/analysis.h"
#include "model/builder.h"
#include "model/cursor.h"
#include "model/trace.h"
#include "reader/selection.h"
#include "wire/decode_file.h"
#include "wire/pack.h"

#include <unistd.h>

enum { OLD = 40, KEPT = 10, NEW = 6, BLOCK = 8, OLD_META = 3, HORIZON = 10000, OLD_BLOCKS = OLD / BLOCK, ALL = OLD + NEW };

static char g_path[64];

static uint64_t address(size_t i)
{
    return 0x10000 + 64 * (uint64_t)i;
}

/* Bytes of the i-th block: told from others by its size. */
static uint64_t size_of(size_t i)
{
    return 1000 + i;
}

static void put_events(struct builder *b, size_t from, size_t to, size_t step, uint64_t clock, uint32_t seq, bool slot)
{
    size_t order[ALL], count = 0, first = b->event_count;
    for (size_t i = from; i < to; i += step) {
        builder_alloc(b, 1, clock != 0 ? clock + i : 10 * i + 10, address(i), size_of(i), 1 + (uint32_t)(i % 3));
        order[count] = first + count;
        count++;
    }
    b->ends = realloc(b->ends, (b->end_count + count) * sizeof *b->ends);
    builder_event_block(b, order, 0, count, seq, slot);
}

static struct mt_trace_header *header_of(struct builder *b)
{
    return (struct mt_trace_header *)(void *)b->file;
}

static void settle_tail(struct builder *b)
{
    header_of(b)->file_tail = b->file_bytes;
}

/* The first events, which are of another thread, in the base. */
static void put_again(struct builder *b, size_t count)
{
    size_t order[ALL];
    for (size_t i = 0; i < count; i++) {
        order[i] = i;
    }
    if (count > 0) {
        b->ends = realloc(b->ends, (b->end_count + count) * sizeof *b->ends);
        builder_event_block(b, order, 0, count, 1, false);
    }
}

/* OLD allocations; a base that holds each fourth of them, with their old times; NEW allocations. Returns where the base is. */
static size_t build_behind_with(struct builder *b, bool slot, bool alive)
{
    size_t given = b->event_count;
    for (size_t i = 0; i < OLD; i++) {
        builder_alloc(b, 1, 10 * i + 10, address(i), size_of(i), 1 + (uint32_t)(i % 3));
    }
    builder_finish(b);
    size_t at = b->file_bytes;
    struct mt_block_header base = { .magic = MT_BLOCK_MAGIC, .type = MT_BLOCK_BASE, .stream = MT_STREAM_NONE,
                                    .clock_first = BUILDER_START_CLOCK + HORIZON };
    (void)builder_extent(b, 0);
    builder_block(b, MT_BLOCK_META, MT_STREAM_META, OLD_META, false, b->meta, b->meta_bytes, 0, 0, 0);
    if (alive) {
        put_events(b, 0, OLD, OLD / KEPT, 0, OLD_BLOCKS - 1, false);
    } else {
        builder_block(b, MT_BLOCK_EVENTS, 1, OLD_BLOCKS - 1, false, b->meta, 0, base.clock_first, base.clock_first, 0);
    }
    put_again(b, given);
    base.extent_bytes = (uint32_t)(b->file_bytes - at);
    mt_block_seal(&base, "");
    memcpy(b->file + at, &base, sizeof base);
    put_events(b, OLD, ALL, 1, HORIZON + 1, OLD_BLOCKS, slot);
    settle_tail(b);
    return at;
}

static size_t build_behind(struct builder *b, bool slot)
{
    return build_behind_with(b, slot, true);
}

static size_t build(struct builder *b, bool slot)
{
    builder_init(b);
    b->block_events = BLOCK;
    builder_plain_stacks(b, 3);
    return build_behind(b, slot);
}

static void begin_at(struct builder *b, size_t at)
{
    header_of(b)->major = MT_TRACE_MAJOR_BASE;
    header_of(b)->base_offset = at;
}

static struct mt_trace *open_built(const struct builder *b)
{
    struct mt_trace *t;
    assert_int_equal(mt_trace_open_memory(b->file, b->file_bytes, &t, NULL), MT_OK);
    return t;
}

/* Each `step`-th of the first OLD, then all NEW, once each and in their order. */
static void expect(const struct mt_trace *t, size_t step)
{
    struct mt_cursor *cursor;
    struct mt_event events[2 * ALL];
    size_t at = 0;
    assert_int_equal(mt_cursor_new(t, UINT64_MAX, &cursor), MT_OK);
    size_t count = mt_cursor_next(cursor, events, 2 * ALL);
    for (size_t i = 0; i < ALL; i += i < OLD ? step : 1, at++) {
        assert_true(at < count);
        assert_int_equal(events[at].addr, address(i));
        assert_int_equal(events[at].size, size_of(i));
        assert_int_equal(events[at].stack, 1 + i % 3);
    }
    assert_int_equal(count, at);
    assert_int_equal(mt_cursor_losses(cursor)->bad_blocks, 0);
    assert_int_equal(mt_trace_completeness(t)->lost_blocks, 0);
    assert_int_equal(mt_trace_completeness(t)->holes, 0);
    assert_int_equal(mt_trace_stack_count(t), 4);
    assert_false(mt_trace_completeness(t)->metadata_broken);
    mt_cursor_free(cursor);
}

static void expect_from_base(const struct mt_trace *t)
{
    assert_int_equal(mt_trace_info(t)->horizon_clock, BUILDER_START_CLOCK + HORIZON);
    expect(t, OLD / KEPT);
}

static void test_a_trace_begins_at_its_base(void **state)
{
    (void)state;
    for (int slot = 0; slot < 2; slot++) {
        for (int given_back = 0; given_back < 2; given_back++) {
            struct builder b;
            size_t at = build(&b, slot);
            begin_at(&b, at);
            memset(b.file + MT_TRACE_HEADER_BYTES, 0, given_back ? at - MT_TRACE_HEADER_BYTES : 0);
            struct mt_trace *t = open_built(&b);
            expect_from_base(t);
            mt_trace_close(t);
            builder_fini(&b);
        }
    }
}

static void test_a_base_that_the_header_does_not_name_is_stepped_over(void **state)
{
    (void)state;
    struct builder b;
    (void)build(&b, false);
    struct mt_trace *t = open_built(&b);
    assert_int_equal(mt_trace_info(t)->horizon_clock, 0);
    expect(t, 1);
    mt_trace_close(t);
    builder_fini(&b);
}

/* As a slot that could not be written as a block is left in the journal. */
static void test_a_slot_of_before_the_base_is_left_out(void **state)
{
    (void)state;
    struct builder b;
    size_t at = build(&b, false);
    put_events(&b, 1, 3, 1, 0, OLD_BLOCKS + 1, true);
    settle_tail(&b);
    begin_at(&b, at);
    struct mt_trace *t = open_built(&b);
    expect_from_base(t);
    mt_trace_close(t);
    builder_fini(&b);
}

static void test_a_damaged_base_is_a_hole_with_its_extents_behind(void **state)
{
    (void)state;
    struct builder b;
    size_t at = build(&b, false);
    begin_at(&b, at);
    b.file[at + 24] ^= 1; /* its clock */
    struct mt_trace *t = open_built(&b);
    assert_int_equal(mt_trace_completeness(t)->holes, 1);
    assert_int_equal(mt_trace_completeness(t)->first_hole, at);
    assert_int_equal(mt_trace_stack_count(t), 4);
    mt_trace_close(t);
    builder_fini(&b);
}

static void test_a_block_that_is_missing_behind_a_base_is_counted(void **state)
{
    (void)state;
    struct builder b;
    size_t at = build(&b, false);
    put_events(&b, 1, 3, 1, HORIZON + 1000, OLD_BLOCKS + 3, false); /* two are missing before it */
    settle_tail(&b);
    begin_at(&b, at);
    struct mt_trace *t = open_built(&b);
    assert_int_equal(mt_trace_completeness(t)->lost_blocks, 2);
    mt_trace_close(t);
    builder_fini(&b);
}

static struct mt_trace *open_packed(const struct builder *b)
{
    struct mt_trace *t;
    (void)snprintf(g_path, sizeof g_path, "/tmp/memtap-base-%d.mtap", (int)getpid());
    FILE *f = fopen(g_path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b->file, 1, b->file_bytes, f), b->file_bytes);
    fclose(f);
    assert_int_equal(mt_pack(g_path, NULL, NULL, NULL, NULL), MT_OK);
    assert_int_equal(mt_trace_open(g_path, &t, NULL), MT_OK);
    unlink(g_path);
    return t;
}

static void test_packing_keeps_the_horizon(void **state)
{
    (void)state;
    struct builder b;
    size_t at = build(&b, true);
    begin_at(&b, at);
    struct mt_trace *t = open_packed(&b);
    assert_int_equal(mt_reader_header(mt_trace_reader(t))->major, MT_TRACE_MAJOR_BASE);
    assert_int_equal(mt_reader_header(mt_trace_reader(t))->base_offset, 0);
    expect_from_base(t);
    mt_trace_close(t);
    builder_fini(&b);
}

/* The thread's block in the base is empty, and the number of its next one says that others were before. */
static void test_packing_loses_nothing_behind_a_base_where_nothing_was_alive(void **state)
{
    (void)state;
    for (int slot = 0; slot < 2; slot++) {
        struct builder b;
        builder_init(&b);
        b.block_events = BLOCK;
        builder_plain_stacks(&b, 3);
        begin_at(&b, build_behind_with(&b, slot, false));
        struct mt_trace *t = open_built(&b);
        assert_int_equal(mt_trace_completeness(t)->lost_blocks, 0);
        mt_trace_close(t);
        t = open_packed(&b);
        assert_int_equal(mt_trace_completeness(t)->lost_blocks, 0);
        assert_int_equal(mt_trace_info(t)->horizon_clock, BUILDER_START_CLOCK + HORIZON);
        mt_trace_close(t);
        builder_fini(&b);
    }
}

static mt_status ask(struct mt_trace *t, struct mt_selection selection, struct mt_error *err)
{
    struct mt_trace_set set = { &t, 1 };
    struct mt_load_options options = { .profile = true };
    struct mt_loaded loaded;
    mt_status status = mt_selection_load(&set, &selection, &options, &loaded, err);
    mt_loaded_fini(&loaded);
    return status;
}

static struct mt_timepoint at_time(uint64_t ns)
{
    return (struct mt_timepoint){ .kind = MT_TIMEPOINT_NS, .ns = ns };
}

static void test_what_was_alive_before_the_horizon_is_refused(void **state)
{
    (void)state;
    struct builder b;
    struct mt_error err = { 0 };
    size_t at = build(&b, false);
    begin_at(&b, at);
    struct mt_trace *t = open_built(&b);
    struct mt_selection alive = { .what = MT_SELECT_AT, .times = { at_time(HORIZON - 1) } };
    assert_int_equal(ask(t, alive, &err), MT_E_INVAL);
    assert_non_null(strstr(err.text, "--max-file"));
    assert_non_null(strstr(err.text, "10 us"));
    alive.times[0] = at_time(HORIZON);
    assert_int_equal(ask(t, alive, &err), MT_OK);
    struct mt_selection window = { .what = MT_SELECT_BETWEEN, .times = { at_time(5), at_time(HORIZON - 1) } };
    assert_int_equal(ask(t, window, &err), MT_E_INVAL);
    window.times[1] = at_time(HORIZON + 1); /* the base knows since when its blocks are there */
    assert_int_equal(ask(t, window, &err), MT_OK);
    assert_int_equal(ask(t, (struct mt_selection){ .what = MT_SELECT_LEAKS }, &err), MT_OK);
    mt_trace_close(t);
    builder_fini(&b);
}

/* Nothing that counted what is not there any more is shown: neither intervals nor growth of the time before. */
static void test_intervals_and_growth_begin_at_the_horizon(void **state)
{
    (void)state;
    struct builder b;
    struct mt_analysis a;
    size_t at = build(&b, false);
    begin_at(&b, at);
    header_of(&b)->end_clock = BUILDER_START_CLOCK + 2 * HORIZON;
    struct mt_trace *t = open_built(&b);
    struct mt_trace_set set = { &t, 1 };
    struct mt_analysis_options options = MT_ANALYSIS_DEFAULTS;
    options.timeline_points = 8;
    assert_int_equal(mt_analyze(&set, &options, &a), MT_OK);
    assert_int_equal(a.horizon_ns, HORIZON);
    assert_int_equal(a.timeline_count, 4);
    assert_int_equal(a.timeline[0].time_ns, HORIZON + HORIZON / 4);
    assert_int_equal(a.timeline[0].allocations, KEPT + NEW);
    double growth = 0, expected = 0, run = HORIZON * 1e-9;
    for (size_t i = 0; i < a.site_count; i++) {
        growth += a.sites[i].growth_bytes_per_s;
    }
    for (size_t i = OLD; i < ALL; i++) { /* the slope of a step; what was held all the time has none */
        double s = (double)(i + 1) * 1e-9;
        expected += 6 * (double)size_of(i) * s * (run - s) / (run * run * run);
    }
    assert_true(growth > 0.999 * expected && growth < 1.001 * expected);
    mt_analysis_fini(&a);
    mt_trace_close(t);
    builder_fini(&b);
}

/* ---- what is known of before ------------------------------------------------------------------------------------------ */

enum { POINTS = 6, PEAK = 700, UNIT = 1024 };

/* As build, and its base says: 100 bytes were allocated at stack 2, of which 60 were alive at the peak, and how much was held when. */
static struct mt_trace *build_before_in(struct builder *b)
{
    b->block_events = BLOCK;
    builder_plain_stacks(b, 3);
    const uint64_t before[] = { BUILDER_START_CLOCK + PEAK, PEAK * UNIT };
    const uint64_t site[] = { 2, MT_ALLOCATOR_MALLOC, 1, 0, 0, 100 * UNIT, 3 * UNIT, 0, 0, 60 * UNIT, 2 * UNIT, 0, 0 };
    builder_numbers(b, MT_META_BEFORE, before, MT_COUNTOF(before));
    builder_numbers(b, MT_META_SITE, site, MT_COUNTOF(site));
    for (uint64_t i = 1; i <= POINTS; i++) {
        const uint64_t point[] = { BUILDER_START_CLOCK + HORIZON / POINTS * i, 100 * i * UNIT, (100 * i + 7) * UNIT, i * UNIT };
        builder_numbers(b, MT_META_POINT, point, MT_COUNTOF(point));
    }
    size_t at = build_behind(b, false);
    begin_at(b, at);
    header_of(b)->flags = MT_TRACE_SAMPLE;
    header_of(b)->rate_bytes = 1;
    header_of(b)->end_clock = BUILDER_START_CLOCK + 2 * HORIZON;
    return open_built(b);
}

static struct mt_trace *build_before(struct builder *b)
{
    builder_init(b);
    return build_before_in(b);
}

static void test_intervals_of_before_take_the_place_of_those_that_are_not_known(void **state)
{
    (void)state;
    for (size_t most = 4; most <= 40; most += 4) {
        struct builder b;
        struct mt_analysis a;
        struct mt_trace *t = build_before(&b);
        struct mt_trace_set set = { &t, 1 };
        struct mt_analysis_options options = MT_ANALYSIS_DEFAULTS;
        options.timeline_points = most;
        assert_int_equal(mt_analyze(&set, &options, &a), MT_OK);
        assert_true(a.timeline_count <= most);
        uint64_t last = 0, known = 0;
        for (size_t i = 0; i < a.timeline_count; i++) {
            const struct mt_timeline_point *p = &a.timeline[i];
            assert_true(p->time_ns > last);
            last = p->time_ns;
            if (p->time_ns < HORIZON) {
                known++;
                assert_int_equal(p->heap_bytes, 100 * p->allocations);
                assert_int_equal(p->heap_max_bytes, p->heap_bytes + 7);
                assert_int_equal(p->time_ns, HORIZON / POINTS * p->allocations);
            }
        }
        assert_true(known <= POINTS && (known == POINTS || known >= most / 4));
        assert_int_equal(last, 2 * HORIZON);
        mt_analysis_fini(&a);
        mt_trace_close(t);
        builder_fini(&b);
    }
}

static void test_totals_and_the_peak_of_before_are_counted(void **state)
{
    (void)state;
    struct builder b;
    struct mt_analysis a;
    struct mt_trace *t = build_before(&b);
    struct mt_trace_set set = { &t, 1 };
    uint64_t total = 100, alive = 0;
    for (size_t i = OLD; i < ALL; i++) {
        total += size_of(i);
    }
    for (size_t i = 0; i < ALL; i += i < OLD ? OLD / KEPT : 1) {
        alive += size_of(i);
    }
    assert_int_equal(mt_analyze(&set, NULL, &a), MT_OK);
    assert_int_equal(a.totals.heap[MT_MEASURE_TOTAL].bytes, total); /* what was alive at the horizon is in the sites' */
    assert_int_equal(a.totals.heap[MT_MEASURE_LIVE].bytes, alive);
    assert_true(alive > PEAK); /* so that is the peak */
    assert_int_equal(a.totals.heap[MT_MEASURE_PEAK].bytes, alive);
    mt_analysis_fini(&a);
    mt_trace_close(t);
    builder_fini(&b);
}

/* The base has sites of the heap alone. */
static void test_maps_of_before_keep_their_totals(void **state)
{
    (void)state;
    enum { BYTES = 1 << 20 };
    static const struct { unsigned kind; enum mt_storage storage; } maps[] = {
        { MT_MAP_FILE, MT_STORAGE_FILE }, { MT_MAP_STACK, MT_STORAGE_STACK }, { MT_MAP_RESERVED, MT_STORAGE_RESERVED },
    };
    struct builder b;
    builder_init(&b);
    for (size_t i = 0; i < MT_COUNTOF(maps); i++) {
        builder_map(&b, 2, 5 + i, maps[i].kind, ((uint64_t)i + 1) << 32, BYTES, 1);
    }
    struct mt_trace *t = build_before_in(&b);
    struct mt_trace_set set = { &t, 1 };
    struct mt_analysis a;
    assert_int_equal(mt_analyze(&set, NULL, &a), MT_OK);
    for (size_t i = 0; i < MT_COUNTOF(maps); i++) {
        assert_int_equal(a.totals.storage[maps[i].storage][MT_MEASURE_LIVE].bytes, BYTES);
        assert_int_equal(a.totals.storage[maps[i].storage][MT_MEASURE_TOTAL].bytes, BYTES);
    }
    mt_analysis_fini(&a);
    mt_trace_close(t);
    builder_fini(&b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_trace_begins_at_its_base),
    cmocka_unit_test(test_a_base_that_the_header_does_not_name_is_stepped_over),
    cmocka_unit_test(test_a_slot_of_before_the_base_is_left_out),
    cmocka_unit_test(test_a_damaged_base_is_a_hole_with_its_extents_behind),
    cmocka_unit_test(test_a_block_that_is_missing_behind_a_base_is_counted),
    cmocka_unit_test(test_packing_keeps_the_horizon),
    cmocka_unit_test(test_packing_loses_nothing_behind_a_base_where_nothing_was_alive),
    cmocka_unit_test(test_what_was_alive_before_the_horizon_is_refused),
    cmocka_unit_test(test_intervals_and_growth_begin_at_the_horizon),
    cmocka_unit_test(test_intervals_of_before_take_the_place_of_those_that_are_not_known),
    cmocka_unit_test(test_totals_and_the_peak_of_before_are_counted),
    cmocka_unit_test(test_maps_of_before_keep_their_totals),
};
MT_TEST_MAIN(tests)
