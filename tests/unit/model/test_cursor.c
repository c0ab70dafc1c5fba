/* test_cursor.c: order over streams, batches of any size, stop clock, and what becomes of reallocs. Truth: the events
 * as given, sorted by (clock, stream). */
#include "harness.h"

#include "model/builder.h"
#include "model/cursor.h"

static struct mt_trace *open_builder(const struct builder *b)
{
    struct mt_trace *t;
    assert_int_equal(mt_trace_open_memory(b->file, b->file_bytes, &t, NULL), MT_OK);
    return t;
}

static size_t read_all(const struct mt_trace *t, uint64_t stop_clock, size_t batch, struct mt_event *out,
                       size_t capacity, struct mt_cursor_losses *losses)
{
    struct mt_cursor *c;
    assert_int_equal(mt_cursor_new(t, stop_clock, &c), MT_OK);
    size_t count = 0, got;
    while ((got = mt_cursor_next(c, out + count, batch < capacity - count ? batch : capacity - count)) > 0) {
        count += got;
        assert_true(count < capacity);
    }
    assert_int_equal(mt_cursor_next(c, out + count, 1), 0);
    if (losses != NULL) {
        *losses = *mt_cursor_losses(c);
    }
    if (stop_clock == UINT64_MAX) {
        assert_int_equal(mt_cursor_done_bytes(c), mt_trace_info(t)->event_bytes);
    }
    mt_cursor_free(c);
    return count;
}

static int compare_order(const void *a, const void *b)
{
    const struct mt_event *x = a, *y = b;
    if (x->clock != y->clock) {
        return x->clock < y->clock ? -1 : 1;
    }
    return x->stream < y->stream ? -1 : x->stream > y->stream;
}

/* Streams that start and end at different times, with runs of different lengths and equal clocks across streams. */
static void build_random(struct builder *b, uint64_t *seed, size_t events, uint32_t streams)
{
    builder_init(b);
    b->slots = builder_random(seed) % 2 == 0;
    b->block_events = 1 + builder_random(seed) % 40;
    uint64_t clocks[32] = { 0 };
    for (uint32_t s = 0; s < streams; s++) {
        clocks[s] = builder_random(seed) % 3000;
    }
    for (size_t i = 0; i < events;) {
        uint32_t s = (uint32_t)(builder_random(seed) % streams);
        size_t run = 1 + builder_random(seed) % 30;
        for (; run > 0 && i < events; run--, i++) {
            clocks[s] += 1 + builder_random(seed) % 5;
            builder_alloc(b, s + 1, clocks[s], 64 * (uint64_t)i + 64, i, 0);
        }
    }
    builder_finish(b);
}

static void test_events_come_in_clock_and_stream_order(void **state)
{
    (void)state;
    uint64_t seed = builder_seed();
    enum { EVENTS = 3000 };
    struct mt_event *got = malloc((EVENTS + 1) * sizeof *got);
    for (int round = 0; round < 40; round++) {
        struct builder b;
        build_random(&b, &seed, EVENTS, 1 + (uint32_t)(round % 20));
        struct mt_trace *t = open_builder(&b);
        qsort(b.events, b.event_count, sizeof *b.events, compare_order);
        size_t batch = 1 + builder_random(&seed) % 700;
        assert_int_equal(read_all(t, UINT64_MAX, batch, got, EVENTS + 1, NULL), EVENTS);
        assert_memory_equal(got, b.events, EVENTS * sizeof *got);
        uint64_t stop = b.events[EVENTS / 3].clock;
        size_t want = 0;
        while (want < EVENTS && b.events[want].clock <= stop) {
            want++;
        }
        assert_int_equal(read_all(t, stop, batch, got, EVENTS + 1, NULL), want);
        mt_trace_close(t);
        builder_fini(&b);
    }
    free(got);
}

static struct mt_event *realloc_half(struct builder *b, uint32_t stream, unsigned kind, uint64_t clock, uint64_t addr)
{
    struct mt_event *e = builder_event(b, stream, kind, clock);
    e->addr = addr;
    e->size = kind == MT_EVENT_REALLOC_NEW ? 50 : 0;
    e->allocator = kind == MT_EVENT_REALLOC_NEW ? MT_ALLOCATOR_REALLOC : 0;
    return e;
}

/* The kinds and addresses that come out, as text: "A1000 F1000 ". */
static void expect(struct builder *b, size_t block_events, const char *want, uint64_t unfinished)
{
    struct mt_event got[64];
    char text[512] = "";
    size_t at = 0;
    struct mt_cursor_losses losses;
    b->block_events = block_events;
    builder_finish(b);
    struct mt_trace *t = open_builder(b);
    size_t count = read_all(t, UINT64_MAX, 64, got, 64, &losses);
    for (size_t i = 0; i < count; i++) {
        int kind = got[i].kind == MT_EVENT_ALLOC ? 'A' : got[i].kind == MT_EVENT_FREE ? 'F' : '?';
        at += (size_t)snprintf(text + at, sizeof text - at, "%c%llx ", kind, (unsigned long long)got[i].addr);
    }
    assert_string_equal(text, want);
    assert_int_equal(losses.unfinished_reallocs, unfinished);
    mt_trace_close(t);
}

static void test_a_realloc_frees_the_old_block_at_its_own_clock(void **state)
{
    (void)state;
    struct builder b;
    builder_init(&b);
    builder_alloc(&b, 1, 10, 0x1000, 10, 0);
    realloc_half(&b, 1, MT_EVENT_REALLOC_OLD, 20, 0x1000);
    builder_alloc(&b, 2, 25, 0x1000, 10, 0); /* another thread gets the old address before realloc returns */
    realloc_half(&b, 1, MT_EVENT_REALLOC_NEW, 30, 0x2000);
    for (size_t block_events = 1; block_events < 4; block_events++) {
        expect(&b, block_events, "A1000 F1000 A1000 A2000 ", 0);
    }
    builder_fini(&b);
}

static void test_a_failed_realloc_changes_nothing(void **state)
{
    (void)state;
    struct builder b;
    builder_init(&b);
    builder_alloc(&b, 1, 10, 0x1000, 10, 0);
    realloc_half(&b, 1, MT_EVENT_REALLOC_OLD, 20, 0x1000);
    realloc_half(&b, 1, MT_EVENT_REALLOC_FAILED, 30, 0);
    builder_free(&b, 1, 40, 0x1000);
    for (size_t block_events = 1; block_events < 5; block_events++) {
        expect(&b, block_events, "A1000 F1000 ", 0);
    }
    builder_fini(&b);
}

static void test_a_realloc_whose_new_block_is_no_sample_frees_the_old_one(void **state)
{
    (void)state;
    struct builder b;
    builder_init(&b);
    builder_alloc(&b, 1, 10, 0x1000, 10, 0);
    realloc_half(&b, 1, MT_EVENT_REALLOC_OLD, 20, 0x1000);
    realloc_half(&b, 1, MT_EVENT_REALLOC_GONE, 30, 0);
    builder_alloc(&b, 1, 40, 0x1000, 10, 0);
    for (size_t block_events = 1; block_events < 5; block_events++) {
        expect(&b, block_events, "A1000 F1000 A1000 ", 0);
    }
    builder_fini(&b);
}

static void test_a_realloc_the_process_died_in_did_not_happen(void **state)
{
    (void)state;
    struct builder b;
    builder_init(&b);
    builder_alloc(&b, 1, 10, 0x1000, 10, 0);
    realloc_half(&b, 1, MT_EVENT_REALLOC_OLD, 20, 0x1000);
    for (size_t block_events = 1; block_events < 3; block_events++) {
        expect(&b, block_events, "A1000 ", 1);
    }
    builder_fini(&b);
}

static void test_a_handler_may_allocate_inside_a_realloc(void **state)
{
    (void)state;
    struct builder b;
    builder_init(&b);
    builder_alloc(&b, 1, 10, 0x1000, 10, 0);
    builder_alloc(&b, 1, 11, 0x3000, 10, 0);
    realloc_half(&b, 1, MT_EVENT_REALLOC_OLD, 20, 0x1000);
    builder_alloc(&b, 1, 21, 0x5000, 10, 0);
    realloc_half(&b, 1, MT_EVENT_REALLOC_OLD, 22, 0x3000);
    realloc_half(&b, 1, MT_EVENT_REALLOC_FAILED, 23, 0);
    builder_free(&b, 1, 24, 0x5000);
    realloc_half(&b, 1, MT_EVENT_REALLOC_NEW, 30, 0x2000);
    for (size_t block_events = 4; block_events < 9; block_events++) {
        expect(&b, block_events, "A1000 A3000 F1000 A5000 F5000 A2000 ", 0);
    }
    builder_fini(&b);
}

static void test_dropped_events_are_counted_not_delivered(void **state)
{
    (void)state;
    struct builder b;
    builder_init(&b);
    builder_event(&b, 1, MT_EVENT_DROPPED, 5)->size = 17;
    builder_alloc(&b, 1, 10, 0x1000, 10, 0);
    builder_event(&b, 1, MT_EVENT_DROPPED, 15)->size = 3;
    builder_finish(&b);
    struct mt_trace *t = open_builder(&b);
    struct mt_event got[8];
    struct mt_cursor_losses losses;
    assert_int_equal(read_all(t, UINT64_MAX, 8, got, 8, &losses), 1);
    assert_int_equal(losses.dropped_events, 20);
    mt_trace_close(t);
    builder_fini(&b);
}

static void test_events_carry_the_rate_they_were_sampled_at(void **state)
{
    (void)state;
    struct builder b;
    builder_init(&b);
    b.flags = MT_TRACE_SAMPLE;
    b.block_events = 3;
    for (uint64_t i = 0; i < 10; i++) {
        builder_alloc(&b, 1, 10 * i + 10, 0x1000 * i + 0x1000, 10, 0);
        b.events[i].rate_bytes = i < 5 ? 1000 : 2000;
    }
    builder_finish(&b);
    struct mt_trace *t = open_builder(&b);
    struct mt_event got[16];
    assert_int_equal(read_all(t, UINT64_MAX, 16, got, 16, NULL), 10);
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(got[i].rate_bytes, i < 5 ? 1000 : 2000);
    }
    mt_trace_close(t);
    builder_fini(&b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_events_come_in_clock_and_stream_order),
    cmocka_unit_test(test_a_realloc_frees_the_old_block_at_its_own_clock),
    cmocka_unit_test(test_a_failed_realloc_changes_nothing),
    cmocka_unit_test(test_a_realloc_whose_new_block_is_no_sample_frees_the_old_one),
    cmocka_unit_test(test_a_realloc_the_process_died_in_did_not_happen),
    cmocka_unit_test(test_a_handler_may_allocate_inside_a_realloc),
    cmocka_unit_test(test_dropped_events_are_counted_not_delivered),
    cmocka_unit_test(test_events_carry_the_rate_they_were_sampled_at),
};
MT_TEST_MAIN(tests)
