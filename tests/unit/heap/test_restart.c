/* One trace after another in a process that goes on: threads never stop recording made-up addresses that count upwards,
 * while the main thread ends traces and begins new ones. Each trace must then hold, for each thread, one unbroken run. */
#include "harness.h"
#include "made_up.h"

#include "base/atomic.h"
#include "base/os.h"
#include "model/cursor.h"
#include "model/trace.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 3, TRACES = 12, BYTES_EACH = 64 };

static char g_directory[64];
static char g_path[96];

static int make_directory(void **state)
{
    (void)state;
    strcpy(g_directory, "/tmp/memtap-restart-XXXXXX");
    assert_non_null(mkdtemp(g_directory));
    mt_engine_may_restart();
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    assert_int_equal(mt_engine_finish(MT_STATE_STOPPED), MT_OK);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", g_directory);
    return system(command);
}

static void start(enum mt_engine_mode mode, uint64_t rate, int number)
{
    snprintf(g_path, sizeof g_path, "%s/%d.mtap", g_directory, number);
    struct mt_engine_config config = {
        .mode = mode,
        .rate_bytes = rate,
        .native = true,
        .path = g_path,
        .command = "unit",
        .command_bytes = 5,
        .late = true,
        .seed = 7,
    };
    assert_int_equal(mt_engine_start(&config), MT_OK);
}

/* Hands all events of the present trace to look, in order of their clocks; returns how many there were. */
static size_t each_event(void (*look)(const struct mt_event *event, void *context), void *context)
{
    static struct mt_event batch[4096];
    struct mt_trace *trace = NULL;
    struct mt_cursor *cursor = NULL;
    assert_int_equal(mt_trace_open(g_path, &trace, NULL), MT_OK);
    assert_int_equal(mt_cursor_new(trace, UINT64_MAX, &cursor), MT_OK);
    size_t count = 0;
    size_t got;
    while ((got = mt_cursor_next(cursor, batch, MT_COUNTOF(batch))) > 0) {
        for (size_t i = 0; i < got; i++) {
            look(&batch[i], context);
        }
        count += got;
    }
    assert_int_equal(mt_cursor_status(cursor), MT_OK);
    assert_int_equal(mt_cursor_losses(cursor)->bad_blocks, 0);
    mt_cursor_free(cursor);
    mt_trace_close(trace);
    return count;
}

struct worker {
    pthread_t thread;
    uint64_t first;    /* addresses count up from here */
    uint64_t recorded; /* shared: how far it is */
    uint64_t next;     /* checked so far */
};

static uint32_t g_stop;

static void *work(void *argument)
{
    struct worker *worker = argument;
    for (uint64_t i = 0; mt_load_relaxed(&g_stop) == 0; i++) {
        record(worker->first + i * BYTES_EACH, BYTES_EACH);
        mt_store_relaxed(&worker->recorded, i + 1);
    }
    return NULL;
}

static size_t owner_of(const struct worker *workers, uint64_t addr)
{
    size_t i = 0;
    while (i < THREADS && addr - workers[i].first >= (uint64_t)1 << 40) {
        i++;
    }
    assert_in_range(i, 0, THREADS - 1);
    return i;
}

struct runs {
    struct worker *workers;
    bool seen[THREADS];
};

static void check_event(const struct mt_event *event, void *context)
{
    struct runs *runs = context;
    size_t owner = owner_of(runs->workers, event->addr);
    struct worker *worker = &runs->workers[owner];
    assert_int_equal(event->kind, MT_EVENT_ALLOC);
    assert_int_not_equal(event->stack, 0);
    uint64_t at = (event->addr - worker->first) / BYTES_EACH;
    assert_true(runs->seen[owner] ? at == worker->next : at >= worker->next);
    runs->seen[owner] = true;
    worker->next = at + 1;
}

/* Every thread's addresses come in one unbroken run that lies behind its run in the trace before. */
static void check_runs(struct worker *workers)
{
    struct runs runs = { .workers = workers };
    (void)each_event(check_event, &runs);
    for (int i = 0; i < THREADS; i++) {
        assert_true(runs.seen[i]);
    }
}

static void wait_for_progress(struct worker *workers, uint64_t events)
{
    for (int i = 0; i < THREADS; i++) {
        uint64_t from = mt_load_relaxed(&workers[i].recorded);
        while (mt_load_relaxed(&workers[i].recorded) - from < events) {
            mt_os_yield();
        }
    }
}

static void test_each_trace_holds_an_unbroken_run_of_every_thread(void **state)
{
    (void)state;
    struct worker workers[THREADS] = { 0 };
    mt_store_relaxed(&g_stop, 0u);
    start(MT_MODE_EXACT, 1, 0);
    for (int i = 0; i < THREADS; i++) {
        workers[i].first = (uint64_t)(i + 1) << 41;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int trace = 0; trace < TRACES; trace++) {
        wait_for_progress(workers, 2000);
        assert_int_equal(mt_engine_finish(MT_STATE_ENDED), MT_OK);
        check_runs(workers);
        wait_for_progress(workers, 100); /* between traces nothing is recorded */
        start(MT_MODE_EXACT, 1, trace + 1);
    }
    mt_store_relaxed(&g_stop, 1u);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    }
}

/* The journal of the trace at path: FOLDER/.NAME.… */
static size_t times_mapped(const char *path)
{
    char line[512], journal[128];
    size_t found = 0;
    const char *name = strrchr(path, '/') + 1;
    snprintf(journal, sizeof journal, "%.*s.%s.", (int)(name - path), path, name);
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        found += strstr(line, journal) != NULL;
    }
    fclose(maps);
    return found;
}

static void test_a_finished_trace_leaves_only_its_header_page(void **state)
{
    (void)state;
    start(MT_MODE_EXACT, 1, 0);
    record(0x1000, 8);
    assert_true(times_mapped(g_path) > 1);
    assert_int_equal(mt_engine_finish(MT_STATE_ENDED), MT_OK);
    assert_int_equal(times_mapped(g_path), 1);
    char before[sizeof g_path];
    strcpy(before, g_path);
    start(MT_MODE_EXACT, 1, 1);
    assert_int_equal(times_mapped(before), 0);
}

enum { RATE = 4096, PAUSED_BYTES = 64 << 20 };

static uint64_t samples(void)
{
    return mt_engine_counter(MT_COUNTER_SAMPLES);
}

static void count_frees(const struct mt_event *event, void *context)
{
    *(uint64_t *)context += event->kind == MT_EVENT_FREE;
}

static void test_a_paused_sampler_takes_no_samples_but_sees_frees(void **state)
{
    (void)state;
    start(MT_MODE_SAMPLE, RATE, 0);
    for (uint64_t i = 1; i <= 10000; i++) {
        record(i * 4096, 512);
    }
    uint64_t before = samples();
    assert_in_range(before, 1250 - 250, 1250 + 250); /* Poisson(1250): 7 sigma */
    assert_int_equal(mt_engine_pause(), MT_OK);
    for (uint64_t i = 0; i < PAUSED_BYTES / 512; i++) {
        record(((uint64_t)1 << 40) + i * 512, 512);
    }
    assert_int_equal(samples(), before);
    for (uint64_t i = 1; i <= 10000; i++) {
        forget(i * 4096);
    }
    assert_int_equal(mt_engine_set_rate(RATE), MT_OK);
    for (uint64_t i = 1; i <= 10000; i++) {
        record(((uint64_t)1 << 41) + i * 4096, 512);
    }
    assert_in_range(samples() - before, 1250 - 250, 1250 + 250);
    assert_int_equal(mt_engine_finish(MT_STATE_ENDED), MT_OK);
    uint64_t freed = 0;
    (void)each_event(count_frees, &freed);
    assert_int_equal(freed, before);
}

/* A thread nobody announced counts in pieces; the number of its samples must not change for that. */
static void *allocate_in_a_thread(void *argument)
{
    const uint64_t *bytes = argument;
    for (uint64_t i = 0; i < *bytes / 1000; i++) {
        record(((uint64_t)1 << 42) + i * 1024, 1000);
    }
    return NULL;
}

static void test_a_thread_that_counts_in_pieces_takes_as_many_samples(void **state)
{
    (void)state;
    enum { LARGE_RATE = 1 << 20, EXPECTED = 4000 };
    uint64_t bytes = (uint64_t)LARGE_RATE * EXPECTED;
    start(MT_MODE_SAMPLE, LARGE_RATE, 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, allocate_in_a_thread, &bytes), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_in_range(samples(), EXPECTED - 443, EXPECTED + 443); /* 7 sigma */
}

#define RESTART_TEST(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)
static const struct CMUnitTest tests[] = {
    RESTART_TEST(test_each_trace_holds_an_unbroken_run_of_every_thread),
    RESTART_TEST(test_a_finished_trace_leaves_only_its_header_page),
    RESTART_TEST(test_a_paused_sampler_takes_no_samples_but_sees_frees),
    RESTART_TEST(test_a_thread_that_counts_in_pieces_takes_as_many_samples),
};
MT_TEST_MAIN(tests)
