/* test_turns.c: several threads ask one handle about a trace that grows meanwhile; each answer is one of a single thread. */
#include "model/live_writer.h"

#include "memtap/profile.h"

#include <pthread.h>

enum { THREADS = 4, QUESTIONS = 40, BLOCKS = 2000 };

static struct writer g_writer;
static struct mt_recording *g_recording;
static uint64_t g_written; /* events, committed */
static uint64_t g_clock = BUILDER_START_CLOCK;

/* Every block is of one byte: bytes, counts and events of an answer are the same number, between what was there before and after. */
static void check(uint64_t blocks, uint64_t before, uint64_t after)
{
    if (blocks < before || blocks > after) {
        print_error("%llu is not between %llu and %llu\n", (unsigned long long)blocks, (unsigned long long)before,
                    (unsigned long long)after);
        abort();
    }
}

static void ask_snapshot(void)
{
    struct mt_snapshot_options options = { .struct_bytes = sizeof options };
    struct mt_snapshot *snapshot = NULL;
    uint64_t before = __atomic_load_n(&g_written, __ATOMIC_ACQUIRE);
    if (mt_recording_snapshot(g_recording, 0, &options, &snapshot, NULL) != MT_PROFILE_OK) {
        abort();
    }
    size_t live, stacks;
    const struct mt_snapshot_sample *samples = mt_snapshot_live(snapshot, &live);
    const struct mt_snapshot_stack *stack = mt_snapshot_stacks(snapshot, &stacks);
    check(live, before, __atomic_load_n(&g_written, __ATOMIC_ACQUIRE) + 1);
    for (size_t i = 0; i < stacks; i += 16) { /* the names may be asked for while others go on */
        struct mt_snapshot_frame frame = mt_snapshot_frame(snapshot, stack[i].frames[0]);
        if (strlen(frame.function) == 0 || samples[i].size != 1) {
            abort();
        }
    }
    mt_snapshot_free(snapshot);
}

static void ask_stats(void)
{
    struct mt_profile_query query = { .struct_bytes = sizeof query };
    char *text = NULL;
    size_t bytes;
    uint64_t before = __atomic_load_n(&g_written, __ATOMIC_ACQUIRE);
    if (mt_recording_report(g_recording, MT_PROFILE_STATS, &query, &text, &bytes, NULL) != MT_PROFILE_OK) {
        abort();
    }
    const char *peak = strstr(text, "\"peak_bytes\": ");
    check(peak != NULL ? strtoull(peak + strlen("\"peak_bytes\": "), NULL, 10) : UINT64_MAX, before,
          __atomic_load_n(&g_written, __ATOMIC_ACQUIRE) + 1);
    mt_profile_release(text);
}

static void ask_table(void)
{
    struct mt_profile_query query = { .struct_bytes = sizeof query, .selection = "total", .stacks = true, .native = true };
    char *text = NULL;
    size_t bytes;
    if (mt_recording_report(g_recording, MT_PROFILE_TABLE, &query, &text, &bytes, NULL) != MT_PROFILE_OK) {
        abort();
    }
    mt_profile_release(text);
}

static void *ask(void *context)
{
    for (uintptr_t i = 0; i < QUESTIONS; i++) {
        switch (((uintptr_t)context + i) % 3) {
        case 0:
            ask_snapshot();
            break;
        case 1:
            ask_stats();
            break;
        default:
            ask_table();
            break;
        }
    }
    return NULL;
}

static void write_blocks(void)
{
    for (uint64_t i = 0; i < BLOCKS; i++) {
        struct slot *slot = &g_writer.slots[1];
        if (slot->used + 2 * MT_EVENT_MAX_BYTES > SLOT_ROOM) {
            slot_flush(&g_writer, slot, g_clock);
        }
        uint32_t stack = i % 16 == 0 ? write_stack(&g_writer) : g_writer.stacks;
        g_clock++;
        mt_encode_alloc(&slot->encoder, MT_EVENT_ALLOC, MT_ALLOCATOR_MALLOC, g_clock, 16 * g_clock, 1, stack);
        slot_commit_encoded(slot);
        __atomic_store_n(&g_written, i + 1, __ATOMIC_RELEASE);
    }
}

static void test_threads_take_turns_at_one_handle(void **state)
{
    pthread_t threads[THREADS];
    (void)state;
    writer_start(&g_writer, 1);
    g_writer.header->flags = MT_TRACE_EXACT;
    g_writer.header->pid = INT32_MAX; /* nobody's: read to the end of what there is, whatever the time */
    const char *path = g_writer.path;
    assert_int_equal(mt_recording_open(&path, 1, &g_recording, NULL), MT_PROFILE_OK);
    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask, (void *)i), 0);
    }
    write_blocks();
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    mt_recording_close(g_recording);
    writer_end(&g_writer);
}

static bool ask_again(void *context)
{
    struct mt_profile_failure failure = { 0 };
    struct mt_recording_info info;
    (void)context;
    assert_int_equal(mt_recording_info(g_recording, &info, &failure), MT_PROFILE_USAGE);
    assert_non_null(strstr(failure.text, "callback"));
    return false;
}

static void test_a_callback_that_asks_again_is_refused(void **state)
{
    (void)state;
    writer_start(&g_writer, 1);
    g_writer.header->flags = MT_TRACE_EXACT;
    g_writer.header->pid = INT32_MAX;
    for (size_t round = 0; round < 40; round++) {
        write_blocks();
    }
    const char *path = g_writer.path;
    assert_int_equal(mt_recording_open(&path, 1, &g_recording, NULL), MT_PROFILE_OK);
    struct mt_snapshot_options options = { .struct_bytes = sizeof options, .totals_only = true, .interrupted = ask_again };
    struct mt_snapshot *snapshot = NULL;
    assert_int_equal(mt_recording_snapshot(g_recording, 0, &options, &snapshot, NULL), MT_PROFILE_OK);
    mt_snapshot_free(snapshot);
    mt_recording_close(g_recording);
    writer_end(&g_writer);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_threads_take_turns_at_one_handle),
    cmocka_unit_test(test_a_callback_that_asks_again_is_refused),
};
MT_TEST_MAIN(tests)
