/* test_history.c: events in chunks come back as they were; old chunks go only when enough newer events are there. */
#include "making.h"
#include "tracker/history.h"

#include <string.h>

enum { EVENTS = 20000, SHARDS = 3 };

static uint64_t g_state;

/* Anything a field can hold, small and huge, repeated and not. */
static struct mt_tracker_event random_event(uint64_t *time_ns)
{
    static const uint64_t sizes[] = { 0, 1, 64, 64, 4096, 1ull << 40, INT64_MAX };
    uint64_t r = next_random(&g_state);
    struct mt_tracker_event event = { .generation = -1 };
    *time_ns += r % 5 == 0 ? r >> 24 : r % 300;
    event.time_ns = *time_ns;
    event.type = (uint8_t)(r >> 8 & 7) % MT_TRACKER_EVENT_TYPES;
    event.address = (r >> 16 & 1) != 0 ? next_random(&g_state) : 0x7f0000000000u + (r & 0xffff);
    event.size_bytes = sizes[(r >> 20) % MT_COUNTOF(sizes)];
    event.kind = (uint32_t)(r >> 30) % 1024;
    event.step = (r >> 40 & 7) == 0 ? (int64_t)next_random(&g_state) : 7;
    event.stack = (r >> 43 & 1) != 0 ? (uint32_t)(r >> 44) & 0x3fffff : 0;
    event.unmatched = (r >> 50 & 1) != 0 && event.type <= MT_TRACKER_REALLOCATION;
    if (event.type == MT_TRACKER_REALLOCATION) {
        event.old_address = next_random(&g_state);
        event.old_size_bytes = sizes[(r >> 51) % MT_COUNTOF(sizes)];
    } else if (event.type >= MT_TRACKER_GC_START) {
        event.generation = (int8_t)(r % 3);
        event.duration_ns = event.type == MT_TRACKER_GC_END ? next_random(&g_state) : 0;
    }
    return event;
}

static void assert_same_event(const struct mt_tracker_event *a, const struct mt_tracker_event *b)
{
    assert_int_equal(a->time_ns, b->time_ns);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->address, b->address);
    assert_int_equal(a->size_bytes, b->size_bytes);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->step, b->step);
    assert_int_equal(a->stack, b->stack);
    assert_int_equal(a->unmatched, b->unmatched);
    assert_int_equal(a->generation, b->generation);
    assert_int_equal(a->duration_ns, b->duration_ns);
    assert_int_equal(a->old_address, b->old_address);
    assert_int_equal(a->old_size_bytes, b->old_size_bytes);
}

static void check_chunk(const struct mt_chunk *chunk, const struct mt_tracker_event *truth, uint64_t *number)
{
    struct mt_chunk_reader reader;
    struct mt_tracker_event event;
    assert_int_equal(chunk->first_number, *number);
    mt_chunk_begin(&reader, chunk);
    assert_in_range(chunk->events, 1, MT_CHUNK_EVENTS_MAX);
    while (reader.left > 0) {
        mt_chunk_read(&reader, &event);
        assert_same_event(&event, &truth[*number]);
        assert_true(event.step >= chunk->step_low && event.step <= chunk->step_high);
        assert_true(event.time_ns >= chunk->first_ns && event.time_ns <= chunk->last_ns);
        (*number)++;
    }
}

/* given any events, when their chunks are read, then every field of every event is there */
static void test_events_come_back_as_they_were(void **state)
{
    (void)state;
    static struct mt_tracker_event truth[EVENTS];
    struct mt_chunk_pool pool;
    struct mt_history history;
    uint64_t time_ns = 1;
    uint64_t number = 0;
    g_state = 20260711;
    print_message("seed %llu\n", (unsigned long long)g_state);
    mt_chunk_pool_init(&pool, EVENTS, 1);
    mt_history_init(&history, 0);
    for (size_t i = 0; i < EVENTS; i++) {
        truth[i] = random_event(&time_ns);
        mt_history_append(&history, &pool, &truth[i]);
    }
    for (uint32_t i = 0; i < history.order_count; i++) {
        check_chunk(mt_history_chunk(&history, &pool, i), truth, &number);
    }
    assert_int_equal(number, EVENTS);
    mt_history_fini(&history);
    mt_chunk_pool_fini(&pool);
}

static void append_plain(struct mt_history *history, struct mt_chunk_pool *pool, uint64_t time_ns)
{
    struct mt_tracker_event event = { .time_ns = time_ns, .address = time_ns * 64, .size_bytes = 8, .generation = -1 };
    mt_history_append(history, pool, &event);
    uint16_t shard = 0;
    assert_true(!pool->evict || mt_chunk_pool_oldest(pool, &shard));
}

static uint64_t kept_since(const struct mt_history *history, const struct mt_chunk_pool *pool, uint64_t since_ns)
{
    uint64_t kept = 0;
    for (uint32_t i = 0; i < history->order_count; i++) {
        struct mt_chunk_reader reader;
        struct mt_tracker_event event;
        mt_chunk_begin(&reader, mt_history_chunk(history, pool, i));
        while (reader.left > 0) {
            mt_chunk_read(&reader, &event);
            kept += event.time_ns >= since_ns;
        }
    }
    return kept;
}

/* given shards that are busy at different times, when chunks are given back, then the newest N are all there, and the memory
 * is bounded */
static void test_the_newest_are_never_given_back(void **state)
{
    (void)state;
    enum { KEEP = 2000, TOTAL = 100000 };
    struct mt_chunk_pool pool;
    struct mt_history shards[SHARDS];
    g_state = 4711;
    print_message("seed %llu\n", (unsigned long long)g_state);
    mt_chunk_pool_init(&pool, KEEP, SHARDS);
    for (uint16_t i = 0; i < SHARDS; i++) {
        mt_history_init(&shards[i], i);
    }
    for (uint64_t time_ns = 1; time_ns <= TOTAL; time_ns++) {
        uint64_t busy = time_ns / 3000 % SHARDS; /* one has most of the events for a while, the others a few */
        append_plain(&shards[next_random(&g_state) % 50 == 0 ? next_random(&g_state) % SHARDS : busy], &pool, time_ns);
        uint16_t oldest = 0;
        while (pool.evict && mt_chunk_pool_oldest(&pool, &oldest)) {
            mt_history_evict(&shards[oldest], &pool);
        }
        if (time_ns % 1000 == 0 && time_ns > KEEP) {
            uint64_t kept = 0;
            for (size_t i = 0; i < SHARDS; i++) {
                kept += kept_since(&shards[i], &pool, time_ns - KEEP + 1);
            }
            assert_int_equal(kept, KEEP);
        }
    }
    assert_in_range(pool.chunks.count, 1, (KEEP + 3 * SHARDS * MT_CHUNK_EVENTS_MAX) / 50);
    for (size_t i = 0; i < SHARDS; i++) {
        mt_history_fini(&shards[i]);
    }
    mt_chunk_pool_fini(&pool);
}

/* given no history, then events are counted and their totals kept, and nothing is mapped */
static void test_without_history_events_are_only_counted(void **state)
{
    (void)state;
    struct mt_chunk_pool pool;
    struct mt_history history;
    mt_chunk_pool_init(&pool, 0, 1);
    mt_history_init(&history, 0);
    for (uint64_t i = 1; i <= 1000; i++) {
        append_plain(&history, &pool, i);
    }
    assert_int_equal(history.events, 1000);
    assert_int_equal(history.state.allocated, 8000);
    assert_int_equal(history.order_count, 0);
    assert_int_equal(pool.chunks.mapped_bytes, 0);
    mt_history_fini(&history);
    mt_chunk_pool_fini(&pool);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_events_come_back_as_they_were),
    cmocka_unit_test(test_the_newest_are_never_given_back),
    cmocka_unit_test(test_without_history_events_are_only_counted),
};
MT_TEST_MAIN(tests)
