/* test_checkpoint.c: a sampled trace with a size stays below it for ever and knows all that is alive, whenever it is looked at; killed:
 * test_checkpoint_killed.c. */
#include "books.h"

#include "base/atomic.h"
#include "heap/bound.h"
#include "heap/state.h"

#include <pthread.h>
#include <sys/stat.h>

static uint64_t bytes_on_disk(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

static void journal_path(char *to, size_t bytes)
{
    (void)snprintf(to, bytes, "%s/.t.mtap.%016llx.journal", g_directory, (unsigned long long)g_mt.header->journal);
}

static uint64_t all_bytes_on_disk(void)
{
    char journal[160];
    journal_path(journal, sizeof journal);
    return bytes_on_disk(g_path) + bytes_on_disk(journal);
}

static void test_a_trace_stays_below_its_size_and_knows_what_is_alive(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u, bases = 0, last = 0;
    start(LIMIT);
    for (unsigned i = 0; i < 400000; i++) {
        churn(0, &random);
        uint64_t base = g_mt.header->base_offset;
        bases += base != last;
        last = base;
        if (i % 1000 == 0) {
            assert_true(all_bytes_on_disk() <= LIMIT);
        }
        if (i % 40000 == 0) {
            expect_books(); /* while it is written */
        }
    }
    assert_int_equal(mt_engine_mode(), MT_MODE_SAMPLE);
    assert_in_range(bases, 6, 1000);
    assert_int_equal(mt_engine_finish(MT_STATE_STOPPED), MT_OK);
    expect_books();
    assert_true(bytes_on_disk(g_path) <= LIMIT);
}

/* Nothing is left behind in front of a base, not even the page that it begins on. */
static void test_hundreds_of_bases_leave_nothing_behind(void **state)
{
    (void)state;
    enum { SMALL_LIMIT = 192 * 1024, BASES = 200, PLACES = 40 };
    uint64_t bases = 0, last = 0;
    start(SMALL_LIMIT);
    for (unsigned i = 0; bases < BASES; i++) {
        unsigned place = i % PLACES;
        allocate(0, place, SIZE_LEAST + i % 1000);
        release(0, place);
        uint64_t base = g_mt.header->base_offset;
        if (base != last) {
            assert_true(all_bytes_on_disk() <= SMALL_LIMIT);
            assert_int_equal(mt_engine_mode(), MT_MODE_SAMPLE);
            last = base;
            bases++;
        }
    }
    expect_books();
}

static void *churn_in_thread(void *argument)
{
    unsigned thread = (unsigned)(uintptr_t)argument;
    uint64_t random = 88172645463325252u + thread;
    for (unsigned i = 0; i < 100000; i++) {
        churn(thread, &random);
    }
    mt_engine_thread_exit();
    return NULL;
}

static void test_threads_record_on_while_a_base_is_written(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    start(2 * LIMIT);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, churn_in_thread, (void *)(uintptr_t)i), 0);
    }
    while (__atomic_load_n(&g_books->operations, __ATOMIC_RELAXED) < THREADS * 100000) {
        struct mt_trace *trace;
        assert_true(all_bytes_on_disk() <= 2 * LIMIT);
        assert_int_equal(mt_trace_open(g_path, &trace, NULL), MT_OK);
        assert_int_equal(mt_trace_completeness(trace)->lost_blocks, 0);
        mt_trace_close(trace);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(g_mt.header->base_offset != 0);
    assert_int_equal(mt_engine_finish(MT_STATE_STOPPED), MT_OK);
    expect_books();
}

/* ---- the horizon ------------------------------------------------------------------------------------------------------- */

static void *churn_until_a_base_is_due(void *ignored)
{
    (void)ignored;
    for (unsigned i = 0; !mt_load_relaxed(&mt_g_bound_is_due); i++) {
        if (g_books->sizes[1][i % SLOTS] != 0) {
            release(1, i % SLOTS);
        } else {
            allocate(1, i % SLOTS, SIZE_LEAST);
        }
    }
    mt_engine_thread_exit();
    return NULL;
}

/* The thread that makes the base has not recorded since. */
static void test_the_horizon_is_behind_what_an_ended_thread_recorded(void **state)
{
    (void)state;
    pthread_t thread;
    struct mt_trace *trace;
    size_t count, before = 0;
    start(LIMIT);
    allocate(0, 0, SIZE_LEAST);
    assert_int_equal(pthread_create(&thread, NULL, churn_until_a_base_is_due, NULL), 0);
    pthread_join(thread, NULL);
    assert_int_equal(g_mt.header->base_offset, 0);
    allocate(0, 1, SIZE_LEAST);
    assert_true(g_mt.header->base_offset != 0);
    struct mt_event *events = read_events(g_path, &count, &trace);
    for (size_t i = 0; i < count; i++) {
        before += events[i].clock < mt_trace_info(trace)->horizon_clock;
    }
    assert_int_equal(before, count - 1);
    mt_trace_close(trace);
    free(events);
    expect_books();
}

/* ---- a realloc that is under way ------------------------------------------------------------------------------------ */

static void *churn_until_a_base(void *ignored)
{
    (void)ignored;
    uint64_t random = 4711, first = g_mt.header->base_offset;
    while (g_mt.header->base_offset == first) {
        churn(1, &random);
    }
    mt_engine_thread_exit();
    return NULL;
}

static void base_in_another_thread(void)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, churn_until_a_base, NULL), 0);
    pthread_join(thread, NULL);
}

/* to 0: it fails. */
static MT_NOINLINE void realloc_across_a_base(unsigned place, uint64_t size, bool fails)
{
    MT_CAPTURE_CALLER(regs);
    void *old = (void *)(uintptr_t)address(0, place);
    assert_int_equal(mt_engine_begin_realloc(old, size, MT_REALLOC_GROWS), MT_RECORD);
    base_in_another_thread();
    mt_engine_end_realloc(old, fails ? NULL : old, size, MT_REALLOC_GROWS, MT_ALLOCATOR_REALLOC, &regs);
    g_books->sizes[0][place] = fails ? g_books->sizes[0][place] : size;
}

static void test_a_realloc_is_under_way_in_a_base(void **state)
{
    (void)state;
    start(2 * LIMIT);
    for (unsigned i = 0; i < 4; i++) {
        allocate(0, i, SIZE_LEAST + i);
    }
    realloc_across_a_base(1, 3 * SIZE_LEAST, false);
    realloc_across_a_base(2, 5 * SIZE_LEAST, true);
    expect_books();
    base_in_another_thread();
    expect_books();
    release(0, 1);
    release(0, 2);
    assert_int_equal(mt_engine_finish(MT_STATE_STOPPED), MT_OK);
    expect_books();
}

/* ---- what cannot be kept below its size ----------------------------------------------------------------------------- */

static void test_what_is_alive_alone_may_be_too_large(void **state)
{
    (void)state;
    start(LIMIT);
    for (uint64_t i = 0; i < 200000 && mt_engine_mode() == MT_MODE_SAMPLE; i++) {
        record(0x100000000u + i * 0x10000, SIZE_LEAST);
        assert_true(i % 1000 != 0 || all_bytes_on_disk() <= LIMIT);
    }
    assert_int_equal(mt_engine_mode(), MT_MODE_OFF);
    assert_int_equal(g_mt.header->end_reason, MT_END_SIZE);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
static const struct CMUnitTest tests[] = {
    CASE(test_a_trace_stays_below_its_size_and_knows_what_is_alive),
    CASE(test_hundreds_of_bases_leave_nothing_behind),
    CASE(test_threads_record_on_while_a_base_is_written),
    CASE(test_the_horizon_is_behind_what_an_ended_thread_recorded),
    CASE(test_a_realloc_is_under_way_in_a_base),
    CASE(test_what_is_alive_alone_may_be_too_large),
};
MT_TEST_MAIN(tests)
