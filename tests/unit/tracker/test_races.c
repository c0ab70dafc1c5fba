/* test_races.c: many threads at one tracker, with readers, cursors and switches in between. Meant for ThreadSanitizer as well.
 *
 * Truth by construction: every thread frees what it allocates, so sums are known whatever the interleaving; peaks have bounds
 * that only an exact account keeps.
 */
#include "making.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { THREADS = 8, ROUNDS = 20000, BLOCKS = 16 };

struct world {
    struct mt_tracker *tracker;
    atomic_int running;
    atomic_uint next_index;
    bool same_addresses;
};

static void *worker(void *argument)
{
    static const char *const kinds[] = { "CPU", "GPU", "Pinned" };
    struct world *world = argument;
    uint64_t index = atomic_fetch_add(&world->next_index, 1);
    uint64_t base = world->same_addresses ? 0 : index << 32;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint64_t address = base + round % BLOCKS * 20000 + index;
        (void)mt_track_allocation(world->tracker, address, 100, kinds[round % 3]);
        if (round % 5 == 0) {
            (void)mt_track_reallocation(world->tracker, address, address + 7000000, 100);
            address += 7000000;
        }
        (void)mt_track_deallocation(world->tracker, address, 100);
    }
    atomic_fetch_sub(&world->running, 1);
    return NULL;
}

static void start(struct world *world, pthread_t *threads)
{
    atomic_store(&world->running, THREADS);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, worker, world), 0);
    }
}

static void join(const pthread_t *threads)
{
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

static void check_sums(struct mt_tracker *tracker)
{
    struct mt_tracker_stats stats;
    mt_stats_get(tracker, &stats);
    assert_int_equal(stats.allocation_count, (uint64_t)THREADS * ROUNDS);
    assert_int_equal(stats.deallocation_count, (uint64_t)THREADS * ROUNDS);
    assert_int_equal(stats.reallocation_count, (uint64_t)THREADS * ROUNDS / 5);
    assert_int_equal(stats.current_bytes, 0);
    assert_int_equal(stats.live_count, 0);
    assert_int_equal(stats.mismatch_count + stats.size_mismatch_count + stats.double_allocation_count, 0);
    assert_int_equal(stats.records_dropped, 0);
    assert_in_range(stats.peak_bytes, 100, THREADS * 100);
}

/* given eight threads, when they are done, then nothing is lost, and events replay to no error */
static void test_a2_13_threads_lose_nothing(void **state)
{
    (void)state;
    struct world world = { .tracker = make_with_history(10000000) };
    pthread_t threads[THREADS];
    struct mt_tracker_events events;
    start(&world, threads);
    join(threads);
    check_sums(world.tracker);
    assert_int_equal(mt_events_collect(world.tracker, NULL, &events), 0);
    assert_int_equal(events.count, (uint64_t)THREADS * ROUNDS * 11 / 5);
    for (size_t i = 1; i < events.count; i++) {
        assert_true(events.items[i].time_ns >= events.items[i - 1].time_ns);
    }
    assert_int_equal(events.items[events.count - 1].total_allocated_bytes, (uint64_t)THREADS * ROUNDS * 100);
    mt_events_release(&events);
    mt_tracker_free(world.tracker);
}

/* given queries, statistics and leaks meanwhile, then each is consistent in itself, and the peak never falls */
static void test_readers_see_consistent_states(void **state)
{
    (void)state;
    struct world world = { .tracker = make_with_history(5000) };
    pthread_t threads[THREADS];
    uint64_t peak = 0;
    start(&world, threads);
    do {
        struct mt_tracker_stats stats;
        struct mt_tracker_events events;
        struct mt_tracker_leaks leaks;
        mt_stats_get(world.tracker, &stats);
        assert_true(stats.peak_bytes >= peak && stats.peak_bytes <= THREADS * 100);
        peak = stats.peak_bytes;
        assert_int_equal(mt_events_collect(world.tracker, NULL, &events), 0);
        assert_true(events.count <= 5000);
        for (size_t i = 1; i < events.count; i++) {
            assert_true(events.items[i].time_ns >= events.items[i - 1].time_ns);
            assert_true(events.items[i].total_allocated_bytes >= events.items[i - 1].total_allocated_bytes);
            assert_true(events.items[i].total_allocated_bytes - events.items[i].total_freed_bytes <= THREADS * 100);
        }
        mt_events_release(&events);
        assert_int_equal(mt_leaks_detect(world.tracker, 0, &leaks), 0);
        assert_true(leaks.count <= 2 * THREADS); /* a block that moves may be met twice */
        mt_leaks_release(&leaks);
        mt_tracker_set_step(world.tracker, (int64_t)stats.events);
    } while (atomic_load(&world.running) > 0);
    join(threads);
    check_sums(world.tracker);
    mt_tracker_free(world.tracker);
}

/* given a cursor beside the threads, then it gets every event once, in order */
static void test_a_cursor_follows_the_threads(void **state)
{
    (void)state;
    struct world world = { .tracker = make_with_history(10000000) };
    pthread_t threads[THREADS];
    struct mt_event_cursor *cursor = NULL;
    struct mt_tracker_event event;
    uint64_t count = 0;
    uint64_t last_ns = 0;
    bool done = false;
    assert_int_equal(mt_event_cursor_open(world.tracker, true, &cursor), 0);
    start(&world, threads);
    while (!done) {
        done = atomic_load(&world.running) == 0;
        while (mt_event_next(cursor, &event)) {
            assert_true(event.time_ns >= last_ns);
            last_ns = event.time_ns;
            count++;
        }
    }
    join(threads);
    assert_int_equal(count, (uint64_t)THREADS * ROUNDS * 11 / 5);
    assert_int_equal(mt_event_cursor_lost(cursor), 0);
    mt_event_cursor_close(cursor);
    mt_tracker_free(world.tracker);
}

/* given threads that fight for the same addresses, then bytes alive are the sum of what is alive */
static void test_fights_keep_the_account(void **state)
{
    (void)state;
    struct world world = { .tracker = make_with_history(1000), .same_addresses = true };
    pthread_t threads[THREADS];
    struct mt_tracker_stats stats;
    struct mt_tracker_leaks leaks;
    uint64_t sum = 0;
    start(&world, threads);
    for (int i = 0; atomic_load(&world.running) > 0; i++) {
        (i % 2 == 0 ? mt_tracker_disable : mt_tracker_enable)(world.tracker);
    }
    join(threads);
    mt_stats_get(world.tracker, &stats);
    assert_int_equal(mt_leaks_detect(world.tracker, 0, &leaks), 0);
    for (size_t i = 0; i < leaks.count; i++) {
        sum += leaks.items[i].size_bytes;
    }
    assert_int_equal(sum, stats.current_bytes);
    assert_int_equal(leaks.count, stats.live_count);
    mt_leaks_release(&leaks);
    mt_tracker_free(world.tracker);
}

/* A staircase: one thread goes up by known steps while others go up and down inside one step: the peak is known to a step. */
static void test_the_peak_is_exact(void **state)
{
    (void)state;
    struct world world = { .tracker = make_with_history(0) };
    pthread_t threads[THREADS];
    struct mt_tracker_stats stats;
    enum { STEPS = 1000, STEP_BYTES = 1000000 };
    start(&world, threads);
    for (uint64_t i = 0; i < STEPS; i++) {
        (void)mt_track_allocation(world.tracker, (900ull << 32) + i * 64, STEP_BYTES, "stairs");
    }
    (void)mt_track_deallocation(world.tracker, 900ull << 32, 0);
    join(threads);
    mt_stats_get(world.tracker, &stats);
    assert_in_range(stats.peak_bytes, (uint64_t)STEPS * STEP_BYTES, (uint64_t)STEPS * STEP_BYTES + THREADS * 100);
    mt_stats_get_kind(world.tracker, "stairs", &stats);
    assert_int_equal(stats.peak_bytes, (uint64_t)STEPS * STEP_BYTES);
    mt_tracker_free(world.tracker);
}

/* given new kinds and stacks from all threads at once, then each has one number */
static void *name_things(void *argument)
{
    struct world *world = argument;
    for (uint64_t i = 0; i < 2000; i++) {
        char kind[16] = "kind-";
        uint64_t words[2] = { i, i * i };
        uint32_t number = 0;
        kind[5] = (char)('a' + i % 26);
        kind[6] = (char)('a' + i / 26 % 26);
        (void)mt_tracker_kind(world->tracker, kind, 7, &number);
        (void)mt_track_allocation(world->tracker, i, 1, kind);
        assert_int_not_equal(mt_tracker_stack(world->tracker, words, 2, NULL), 0);
    }
    return NULL;
}

static void count_stack(void *context, const uint64_t *words, size_t count)
{
    assert_int_equal(count, 2);
    assert_int_equal(words[1], words[0] * words[0]);
    (*(uint64_t *)context)++;
}

static void test_names_and_stacks_are_given_once(void **state)
{
    (void)state;
    struct world world = { .tracker = make_with_history(100) };
    pthread_t threads[THREADS];
    uint64_t stacks = 0;
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, name_things, &world), 0);
    }
    join(threads);
    mt_tracker_visit_stacks(world.tracker, count_stack, &stacks);
    assert_int_equal(stacks, 2000);
    assert_int_equal(mt_tracker_kind_count(world.tracker), 4 + 26 * 26);
    mt_tracker_free(world.tracker);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a2_13_threads_lose_nothing),
    cmocka_unit_test(test_readers_see_consistent_states),
    cmocka_unit_test(test_a_cursor_follows_the_threads),
    cmocka_unit_test(test_fights_keep_the_account),
    cmocka_unit_test(test_the_peak_is_exact),
    cmocka_unit_test(test_names_and_stacks_are_given_once),
};
MT_TEST_MAIN(tests)
