/* test_suspects.c: which rows of leaks are suspects, over lines whose history is known by construction. Each line is a stack; a
 * second of the trace is a billion of the clock, and every history lasts from second 0 to 100. */
#include "harness.h"

#include "analysis/leaks.h"
#include "model/builder.h"

enum { SECONDS = 100, A_SECOND = 10, BLOCK_BYTES = 100 };
enum line { GROWS = 1, FILLED_AT_ONCE, RING, REALLOCED, MOVED_AND_KEPT, FEW, LATE, SLOWLY_FILLED, LINES };

static const uint64_t SECOND = 1000000000;

static uint64_t address(enum line line, uint64_t number)
{
    return (uint64_t)line << 32 | (number + 1) << 12;
}

static uint64_t tick(int step)
{
    return (uint64_t)step * SECOND / A_SECOND;
}

static void realloc_block(struct builder *b, uint64_t clock, uint64_t from, uint64_t to, uint64_t bytes, enum line line)
{
    builder_event(b, 1, MT_EVENT_REALLOC_OLD, clock)->addr = from;
    builder_alloc(b, 1, clock + 1, to, bytes, line);
    b->events[b->event_count - 1].kind = MT_EVENT_REALLOC_NEW;
}

/* A step of every line. */
static void live(struct builder *b, int step)
{
    uint64_t at = tick(step), n = (uint64_t)step;
    builder_alloc(b, 1, at + 1, address(GROWS, n), BLOCK_BYTES, GROWS);
    if (n >= 200) { /* a ring of 200 */
        builder_free(b, 1, at + 2, address(RING, n - 200));
    }
    builder_alloc(b, 1, at + 3, address(RING, n), BLOCK_BYTES, RING);
    if (n % 20 == 0) { /* 50 steps of one block, each at another address */
        uint64_t bytes = 1000 * (1 + n / 20);
        if (n == 0) {
            builder_alloc(b, 1, at + 4, address(REALLOCED, n), bytes, REALLOCED);
        } else {
            realloc_block(b, at + 4, address(REALLOCED, n - 20), address(REALLOCED, n), bytes, REALLOCED);
        }
    }
    builder_alloc(b, 1, at + 6, address(MOVED_AND_KEPT, 2 * n), BLOCK_BYTES, MOVED_AND_KEPT);
    realloc_block(b, at + 7, address(MOVED_AND_KEPT, 2 * n), address(MOVED_AND_KEPT, 2 * n + 1), 2 * BLOCK_BYTES, MOVED_AND_KEPT);
    if (n < 250) { /* in the first quarter */
        builder_alloc(b, 1, at + 9, address(SLOWLY_FILLED, n), 4 * BLOCK_BYTES, SLOWLY_FILLED);
    }
    if (n % 100 == 0) {
        builder_alloc(b, 1, at + 10, address(FEW, n), 100 * BLOCK_BYTES, FEW);
    }
    if (n >= 900) { /* in the last tenth */
        builder_alloc(b, 1, at + 11, address(LATE, n), 10 * BLOCK_BYTES, LATE);
    }
}

static void build(struct builder *b, bool sampled)
{
    builder_init(b);
    b->flags = sampled ? MT_TRACE_SAMPLE : MT_TRACE_EXACT;
    builder_plain_stacks(b, LINES);
    for (uint64_t n = 0; n < 1000; n++) {
        builder_alloc(b, 1, n, address(FILLED_AT_ONCE, n), BLOCK_BYTES, FILLED_AT_ONCE);
    }
    for (int step = 0; step < SECONDS * A_SECOND; step++) {
        live(b, step);
    }
    for (size_t i = 0; sampled && i < b->event_count; i++) {
        b->events[i].rate_bytes = 1000;
    }
    builder_finish(b);
}

static const struct mt_leak *row_of(const struct mt_leaks *leaks, enum line line)
{
    size_t i = 0;
    while (i < leaks->count && leaks->rows[i].stack != (uint32_t)line) {
        i++;
    }
    assert_true(i < leaks->count);
    return &leaks->rows[i];
}

struct fixture {
    struct builder b;
    struct mt_trace *trace;
    struct mt_trace_set set;
    struct mt_analysis analysis;
    struct mt_leaks leaks;
};

static void setup(struct fixture *f, bool sampled)
{
    build(&f->b, sampled);
    assert_int_equal(mt_trace_open_memory(f->b.file, f->b.file_bytes, &f->trace, NULL), MT_OK);
    f->set = (struct mt_trace_set){ &f->trace, 1 };
    assert_int_equal(mt_analyze(&f->set, NULL, &f->analysis), MT_OK);
    assert_int_equal(mt_leaks_make(&f->set, &f->analysis, NULL, 0, 0, &f->leaks), MT_OK);
}

static void teardown(struct fixture *f)
{
    mt_leaks_fini(&f->leaks);
    mt_analysis_fini(&f->analysis);
    mt_trace_close(f->trace);
    builder_fini(&f->b);
}

static void test_what_grows_is_suspected_and_what_is_filled_or_turns_over_is_not(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, false);
    static const bool want[LINES] = { [GROWS] = true, [REALLOCED] = true, [MOVED_AND_KEPT] = true, [LATE] = true };
    for (enum line line = GROWS; line < LINES; line++) {
        if (row_of(&f.leaks, line)->suspect != want[line]) {
            fail_msg("line %d: suspect is %d", (int)line, row_of(&f.leaks, line)->suspect);
        }
    }
    teardown(&f);
}

static void test_a_realloc_is_no_free(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, false);
    const struct mt_leak *one = row_of(&f.leaks, REALLOCED), *kept = row_of(&f.leaks, MOVED_AND_KEPT), *ring = row_of(&f.leaks, RING);
    assert_int_equal(one->live.count, 1);
    assert_int_equal(one->moved, 49);
    assert_int_equal(one->freed, 0);
    assert_true(one->score > 0.98 - 1e-9); /* 1 - (0 + 1) / (50 + 2) */
    assert_int_equal(kept->moved, 1000);
    assert_int_equal(kept->freed, 0);
    assert_int_equal(ring->moved, 0);
    assert_int_equal(ring->freed, 800);
    teardown(&f);
}

static void test_an_estimate_suspects_nobody(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, true);
    for (size_t i = 0; i < f.leaks.count; i++) {
        assert_false(f.leaks.rows[i].suspect);
    }
    teardown(&f);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_what_grows_is_suspected_and_what_is_filled_or_turns_over_is_not),
    cmocka_unit_test(test_a_realloc_is_no_free),
    cmocka_unit_test(test_an_estimate_suspects_nobody),
};
MT_TEST_MAIN(tests)
