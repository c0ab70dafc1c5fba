/* test_tracker.c: the public functions, one thread at a time: acceptance A2-01 to A2-12 and A2-21 from C.
 * Link: -Wl,--wrap=mt_os_map_anonymous -Wl,--wrap=mt_os_monotonic_ns
 *
 * The clock is ours where a test wants one (g_now != 0), and mappings fail from the g_mappings_left-th on where it wants that.
 */
#include "making.h"
#include "base/os.h"

#include <string.h>
#include <unistd.h>
#include <sys/wait.h>

mt_status __real_mt_os_map_anonymous(size_t bytes, void **ret_base);
mt_status __wrap_mt_os_map_anonymous(size_t bytes, void **ret_base);
uint64_t __real_mt_os_monotonic_ns(void);
uint64_t __wrap_mt_os_monotonic_ns(void);

static int g_mappings_left = -1; /* -1: no limit */
static uint64_t g_now;

mt_status __wrap_mt_os_map_anonymous(size_t bytes, void **ret_base)
{
    if (g_mappings_left == 0) {
        return MT_E_NOMEM;
    }
    if (g_mappings_left > 0) { /* no write otherwise: the timer's thread maps too */
        g_mappings_left--;
    }
    return __real_mt_os_map_anonymous(bytes, ret_base);
}

uint64_t __wrap_mt_os_monotonic_ns(void)
{
    return g_now != 0 ? g_now++ : __real_mt_os_monotonic_ns();
}

static struct mt_tracker_stats stats_of(struct mt_tracker *tracker)
{
    struct mt_tracker_stats stats;
    mt_stats_get(tracker, &stats);
    assert_int_equal(stats.current_bytes, stats.total_allocated_bytes - stats.total_freed_bytes);
    return stats;
}

static void test_a2_03_totals_of_two_kinds(void **state)
{
    (void)state;
    struct mt_tracker *tracker = make_with_history(1000);
    struct mt_tracker_stats cpu;
    assert_int_equal(mt_track_allocation(tracker, 0x1000, 1024, "CPU"), 0);
    assert_int_equal(mt_track_allocation(tracker, 0x2000, 2048, "GPU"), 0);
    mt_stats_get_kind(tracker, "CPU", &cpu);
    assert_int_equal(cpu.current_bytes, 1024);
    assert_int_equal(mt_track_deallocation(tracker, 0x1000, 1024), 0);
    struct mt_tracker_stats stats = stats_of(tracker);
    assert_int_equal(stats.total_allocated_bytes, 3072);
    assert_int_equal(stats.total_freed_bytes, 1024);
    assert_int_equal(stats.peak_bytes, 3072);
    assert_int_equal(stats.allocation_count, 2);
    assert_int_equal(stats.deallocation_count, 1);
    mt_stats_get_kind(tracker, "CPU", &cpu);
    assert_int_equal(cpu.current_bytes, 0);
    assert_int_equal(cpu.peak_bytes, 1024);
    mt_stats_get_kind(tracker, "Nope", &cpu);
    assert_int_equal(cpu.allocation_count, 0);
    mt_tracker_free(tracker);
}

static void test_a2_02_wrong_arguments_change_nothing(void **state)
{
    (void)state;
    struct mt_tracker *tracker = make_with_history(1000);
    char longest[MT_TRACKER_KIND_MAX_BYTES + 2];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(mt_track_allocation(tracker, 0x1000, -1024, "CPU"), MT_TRACKER_RANGE);
    assert_int_equal(mt_track_allocation(tracker, 0x1000, 1024, ""), MT_TRACKER_ARGUMENT);
    assert_int_equal(mt_track_allocation(tracker, 0x1000, 1024, NULL), MT_TRACKER_ARGUMENT);
    assert_int_equal(mt_track_allocation(tracker, 0x1000, 1024, longest), MT_TRACKER_ARGUMENT);
    assert_int_equal(mt_track_allocation_as(tracker, 0x1000, 1024, 700, 0), MT_TRACKER_ARGUMENT);
    assert_int_equal(mt_track_deallocation(tracker, 0x1000, -1), MT_TRACKER_RANGE);
    assert_int_equal(mt_track_reallocation(tracker, 0x1000, 0x1000, -1), MT_TRACKER_RANGE);
    assert_int_equal(mt_track_gc_start(tracker, 3), MT_TRACKER_RANGE);
    assert_int_equal(mt_tracker_set_stack_depth(tracker, 0), MT_TRACKER_RANGE);
    assert_int_equal(mt_tracker_set_auto_snapshot(tracker, true, 0), MT_TRACKER_RANGE);
    assert_int_equal(stats_of(tracker).events, 0);
    assert_int_equal(mt_track_allocation(tracker, 0x1000, 1, longest + 1), 0);
    mt_tracker_disable(tracker);
    assert_int_equal(mt_track_allocation(tracker, 0x1000, -1024, ""), 0);
    assert_int_equal(mt_track_deallocation(tracker, 0x1000, -1), 0);
    assert_int_equal(mt_track_snapshot(tracker), 0);
    assert_int_equal(stats_of(tracker).events, 1);
    mt_tracker_free(tracker);
}

static void test_a2_05_a2_06_mismatches(void **state)
{
    (void)state;
    struct mt_tracker *tracker = make_with_history(1000);
    (void)mt_track_deallocation(tracker, 0x1000, 1024);
    struct mt_tracker_stats stats = stats_of(tracker);
    assert_int_equal(stats.deallocation_count, 1);
    assert_int_equal(stats.mismatch_count, 1);
    assert_int_equal(stats.total_freed_bytes, 0);
    (void)mt_track_allocation(tracker, 0x1, 100, "CPU");
    (void)mt_track_allocation(tracker, 0x1, 100, "GPU");
    (void)mt_track_allocation(tracker, 0x2, 100, "CPU");
    (void)mt_track_deallocation(tracker, 0x2, 40);
    stats = stats_of(tracker);
    assert_int_equal(stats.current_bytes, 100);
    assert_int_equal(stats.double_allocation_count, 1);
    assert_int_equal(stats.size_mismatch_count, 1);
    assert_int_equal(stats.live_count, 1);
    mt_tracker_free(tracker);
}

static void test_a2_21_reallocation(void **state)
{
    (void)state;
    struct mt_tracker *tracker = make_with_history(1000);
    struct mt_tracker_leaks leaks;
    (void)mt_track_allocation(tracker, 0x1000, 100, "GPU");
    (void)mt_track_reallocation(tracker, 0x1000, 0x900000, 250);
    (void)mt_track_reallocation(tracker, 0x900000, 0x900000, 50);
    struct mt_tracker_stats stats = stats_of(tracker);
    assert_int_equal(stats.total_allocated_bytes, 250);
    assert_int_equal(stats.total_freed_bytes, 200);
    assert_int_equal(stats.allocation_count, 1);
    assert_int_equal(stats.reallocation_count, 2);
    assert_int_equal(mt_leaks_detect(tracker, 0, &leaks), 0);
    assert_int_equal(leaks.count, 1);
    assert_int_equal(leaks.items[0].address, 0x900000);
    assert_string_equal(mt_tracker_kind_name(tracker, leaks.items[0].kind), "GPU");
    mt_leaks_release(&leaks);
    mt_tracker_free(tracker);
}

/* given blocks of known ages and sizes, then leaks are those old enough, the largest first, equal ones by age */
static void test_a2_10_leaks_by_age_and_size(void **state)
{
    (void)state;
    static const uint64_t sizes[] = { 10, 30, 20, 30, 5 };
    struct mt_tracker *tracker = make_with_history(1000);
    struct mt_tracker_leaks leaks;
    for (uint64_t i = 0; i < MT_COUNTOF(sizes); i++) {
        g_now = 10000000000u + i * 1000000000u; /* a second apart */
        (void)mt_track_allocation(tracker, 0x1000 * (i + 1), (int64_t)sizes[i], "CPU");
    }
    g_now = 14000000000u + 999000000u;
    assert_int_equal(mt_leaks_detect(tracker, -1, &leaks), 0); /* the default: a second */
    assert_int_equal(leaks.count, 4);
    static const uint64_t expected[] = { 0x2000, 0x4000, 0x3000, 0x1000 };
    for (size_t i = 0; i < leaks.count; i++) {
        assert_int_equal(leaks.items[i].address, expected[i]);
    }
    assert_in_range(leaks.items[3].age_ns, 4999000000u, 4999000010u);
    mt_leaks_release(&leaks);
    assert_int_equal(mt_leaks_detect(tracker, 4500, &leaks), 0);
    assert_int_equal(leaks.count, 1);
    mt_leaks_release(&leaks);
    g_now = 0;
    mt_tracker_free(tracker);
}

/* given events at known times and steps, then queries give those inside, bounds included */
static void test_a2_08_a2_09_queries(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    struct mt_tracker *tracker = make_with_history(COUNT);
    struct mt_tracker_events events;
    for (int64_t i = 0; i < COUNT; i++) {
        g_now = 1000u * (uint64_t)(i + 1);
        mt_tracker_set_step(tracker, i / 10);
        (void)mt_track_allocation(tracker, (uint64_t)i * 20000, i, "CPU");
    }
    g_now = 1000u * (COUNT + 2);
    struct mt_tracker_query query = { 2000000, 2005000, INT64_MIN, INT64_MAX, 0 };
    assert_int_equal(mt_events_collect(tracker, &query, &events), 0);
    assert_int_equal(events.count, 6);
    for (size_t i = 0; i < events.count; i++) {
        assert_int_equal(events.items[i].size_bytes, 1999 + i);
        assert_int_equal(events.items[i].total_allocated_bytes, (1999 + i) * (2000 + i) / 2);
    }
    mt_events_release(&events);
    query = (struct mt_tracker_query){ 0, UINT64_MAX, 100, 101, 1u << MT_TRACKER_ALLOCATION };
    assert_int_equal(mt_events_collect(tracker, &query, &events), 0);
    assert_int_equal(events.count, 20);
    assert_int_equal(events.items[0].size_bytes, 1000);
    mt_events_release(&events);
    query.types = 1u << MT_TRACKER_SNAPSHOT;
    assert_int_equal(mt_events_collect(tracker, &query, &events), 0);
    assert_int_equal(events.count, 0);
    mt_events_release(&events);
    query = (struct mt_tracker_query){ 0, UINT64_MAX, 101, 100, 0 };
    assert_int_equal(mt_events_collect(tracker, &query, &events), 0);
    assert_int_equal(events.count, 0);
    mt_events_release(&events);
    g_now = 0;
    mt_tracker_free(tracker);
}

/* given a kind in a buffer whose text changes, then the text counts, not the pointer */
static void test_a_buffer_may_hold_another_kind(void **state)
{
    (void)state;
    struct mt_tracker *tracker = make_with_history(1000);
    struct mt_tracker_stats stats;
    char kind[8] = "AAA";
    for (uint64_t i = 0; i < 26; i++) {
        kind[1] = (char)('A' + i);
        (void)mt_track_allocation(tracker, i + 1, 1, kind);
        (void)mt_track_allocation(tracker, i + 100, 1, kind);
    }
    mt_stats_get_kind(tracker, "AZA", &stats);
    assert_int_equal(stats.allocation_count, 2);
    assert_int_equal(mt_tracker_kind_count(tracker), 4 + 26);
    mt_tracker_free(tracker);
}

/* given native stacks, then the innermost frame is where the function was called and the number of frames is bounded */
static __attribute__((noinline)) uint64_t track_here(struct mt_tracker *tracker)
{
    (void)mt_track_allocation(tracker, 0x1000, 8, "CPU");
    return (uint64_t)(uintptr_t)__builtin_extract_return_addr(__builtin_return_address(0));
}

static void check_native_stack(bool frame_pointers)
{
    struct mt_tracker_options options = quiet_options();
    struct mt_tracker_leaks leaks;
    size_t count = 0;
    options.frame_pointers = frame_pointers; /* the tests have them */
    struct mt_tracker *tracker = make_with(options);
    mt_tracker_set_capture_stacks(tracker, true);
    assert_int_equal(mt_tracker_set_stack_depth(tracker, 3), 0);
    uint64_t caller = track_here(tracker);
    assert_int_equal(mt_leaks_detect(tracker, 0, &leaks), 0);
    const uint64_t *pcs = mt_tracker_stack_words(tracker, leaks.items[0].stack, &count);
    assert_int_equal(count, 3);
    uint64_t inside = (uint64_t)(uintptr_t)track_here;
    assert_in_range(pcs[0], inside, inside + 256);
    assert_int_equal(pcs[1], caller);
    mt_leaks_release(&leaks);
    mt_tracker_free(tracker);
}

static void test_native_stacks_begin_at_the_caller(void **state)
{
    (void)state;
    check_native_stack(false);
}

static void test_frame_pointers_give_the_same(void **state)
{
    (void)state;
    check_native_stack(true);
}

/* given a caller whose frame pointer is anything at all, then the walk ends there and nothing is touched */
static __attribute__((noinline)) void track_with_rbp(struct mt_tracker *tracker, uint64_t address, uint64_t rbp)
{
    __asm__ volatile("movq %%rsp, %%rbx\n\tsubq $256, %%rsp\n\tandq $-16, %%rsp\n\tpushq %%rbp\n\tpushq %%rbp\n\t"
                     "movq %3, %%rbp\n\tcall *%4\n\tpopq %%rbp\n\tpopq %%rbp\n\tmovq %%rbx, %%rsp"
                     : "+D"(tracker), "+S"(address)
                     : "d"((int64_t)8), "r"(rbp), "a"(mt_track_allocation), "c"("CPU")
                     : "rbx", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5");
}

static void test_a_frame_pointer_may_be_anything(void **state)
{
    (void)state;
    struct mt_tracker_options options = quiet_options();
    uint64_t here = (uint64_t)(uintptr_t)&options;
    const uint64_t values[] = { 0, 1, 8, here | 1, here + 65536, here - 65536, here + (8u << 20), UINT64_MAX - 7,
                                1ull << 63, 0x7fffffffeff8u, (uint64_t)(uintptr_t)"text in read-only data ....." };
    options.frame_pointers = true;
    options.capture_stacks = true;
    struct mt_tracker *tracker = make_with(options);
    for (uint64_t i = 0; i < MT_COUNTOF(values); i++) {
        track_with_rbp(tracker, i + 1, values[i]);
    }
    assert_int_equal(stats_of(tracker).live_count, MT_COUNTOF(values));
    mt_tracker_free(tracker);
}

/* given the same words, then the same number; given others, another */
static void test_stacks_are_kept_once(void **state)
{
    (void)state;
    struct mt_tracker *tracker = make_with_history(0);
    uint32_t numbers[3000];
    bool is_new = false;
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < MT_COUNTOF(numbers); i++) {
            uint64_t words[] = { i, i / 2, 7 };
            uint32_t number = mt_tracker_stack(tracker, words, 1 + i % 3, &is_new);
            assert_int_not_equal(number, 0);
            assert_int_equal(is_new, round == 0);
            assert_true(round == 0 || numbers[i] == number);
            numbers[i] = number;
        }
    }
    size_t count = 0;
    const uint64_t *words = mt_tracker_stack_words(tracker, numbers[2999], &count);
    assert_int_equal(count, 1 + 2999 % 3);
    assert_int_equal(words[0], 2999);
    assert_null(mt_tracker_stack_words(tracker, 0, &count));
    assert_null(mt_tracker_stack_words(tracker, 4000000, &count));
    assert_int_equal(mt_tracker_stack(tracker, words, 0, NULL), 0);
    assert_int_equal(stats_of(tracker).stacks_dropped, 1);
    mt_tracker_free(tracker);
}

/* given a cursor, then every event comes once and in order, and those that left before it looked are counted */
static void test_a_cursor_delivers_once_and_counts_what_it_missed(void **state)
{
    (void)state;
    enum { COUNT = 60000 };
    struct mt_tracker *tracker = make_with_history(100);
    struct mt_event_cursor *cursor = NULL;
    struct mt_tracker_event event;
    uint64_t expected = 0;
    (void)mt_track_snapshot(tracker);
    assert_int_equal(mt_event_cursor_open(tracker, false, &cursor), 0);
    assert_false(mt_event_next(cursor, &event));
    for (uint64_t i = 0; i < 1000; i++) {
        (void)mt_track_allocation(tracker, i << 14, (int64_t)i, "CPU");
        if (i % 10 == 9) {
            while (mt_event_next(cursor, &event)) {
                assert_int_equal(event.size_bytes, expected);
                assert_int_equal(event.total_allocated_bytes, expected * (expected + 1) / 2);
                expected++;
            }
        }
    }
    assert_int_equal(expected, 1000);
    assert_int_equal(mt_event_cursor_lost(cursor), 0);
    for (uint64_t i = 0; i < COUNT; i++) {
        (void)mt_track_deallocation(tracker, 1, 0);
    }
    uint64_t seen = 0;
    while (mt_event_next(cursor, &event)) {
        seen++;
    }
    assert_in_range(seen, 100, COUNT - 1);
    assert_int_equal(seen + mt_event_cursor_lost(cursor), COUNT);
    mt_event_cursor_close(cursor);
    mt_tracker_free(tracker);
}

/* given that the n-th mapping fails, for every n, then calls fail or drop and count, nothing crashes, and sums hold */
static void test_every_failing_mapping_is_survived(void **state)
{
    (void)state;
    struct mt_tracker_options options = quiet_options();
    int failures = 0;
    options.capture_stacks = true;
    for (int limit = 0; limit < 400; limit++) {
        struct mt_tracker *tracker = NULL;
        struct mt_tracker_events events = { 0 };
        struct mt_tracker_leaks leaks = { 0 };
        uint64_t kept = 0;
        g_mappings_left = limit;
        if (mt_tracker_new(&options, &tracker) != 0) {
            failures++;
            continue;
        }
        for (uint64_t i = 0; i < 1000; i++) {
            kept += mt_track_allocation(tracker, i * 30000, 1, "CPU") == 0;
        }
        int collected = mt_events_collect(tracker, NULL, &events);
        int detected = mt_leaks_detect(tracker, 0, &leaks);
        g_mappings_left = -1;
        struct mt_tracker_stats stats = stats_of(tracker);
        assert_int_equal(stats.current_bytes, kept);
        assert_int_equal(stats.live_count, kept);
        assert_int_equal(stats.records_dropped, 1000 - kept);
        assert_true(collected == 0 || collected == MT_TRACKER_NO_MEMORY);
        assert_true(detected == 0 ? leaks.count == kept : detected == MT_TRACKER_NO_MEMORY);
        failures += kept < 1000;
        mt_events_release(&events);
        mt_leaks_release(&leaks);
        mt_tracker_free(tracker);
    }
    assert_true(failures > 100);
    g_mappings_left = -1;
}

/* given a fork, then both sides go on by themselves */
static void test_fork_leaves_two_trackers(void **state)
{
    (void)state;
    struct mt_tracker *tracker = make_with_history(1000);
    int status = 0;
    assert_int_equal(mt_tracker_set_auto_snapshot(tracker, true, 1), 0);
    (void)mt_track_allocation(tracker, 0x1000, 8, "CPU");
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct mt_tracker_stats stats;
            (void)mt_track_deallocation(tracker, 0x1000, 8);
            mt_stats_get(tracker, &stats);
            bool is_restarted = mt_tracker_set_auto_snapshot(tracker, true, 1) == 0;
            mt_tracker_free(tracker);
            _exit(stats.current_bytes == 0 && is_restarted ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    assert_int_equal(stats_of(tracker).current_bytes, 8);
    mt_tracker_free(tracker);
}

/* given an interval, then the timer takes snapshots until it is disabled */
static void test_a2_12_automatic_snapshots(void **state)
{
    (void)state;
    struct mt_tracker_options options;
    mt_tracker_defaults(&options);
    options.snapshot_interval_ms = 2;
    struct mt_tracker *tracker = make_with(options);
    uint64_t deadline = mt_os_monotonic_ns() + 100000000000u;
    while (stats_of(tracker).snapshot_count < 5) {
        assert_true(mt_os_monotonic_ns() < deadline);
        usleep(1000);
    }
    mt_tracker_disable(tracker);
    uint64_t before = stats_of(tracker).snapshot_count;
    usleep(50000);
    assert_int_equal(stats_of(tracker).snapshot_count, before);
    mt_tracker_enable(tracker);
    while (stats_of(tracker).snapshot_count == before) {
        assert_true(mt_os_monotonic_ns() < deadline);
        usleep(1000);
    }
    mt_tracker_free(tracker);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a2_03_totals_of_two_kinds),
    cmocka_unit_test(test_a2_02_wrong_arguments_change_nothing),
    cmocka_unit_test(test_a2_05_a2_06_mismatches),
    cmocka_unit_test(test_a2_21_reallocation),
    cmocka_unit_test(test_a2_10_leaks_by_age_and_size),
    cmocka_unit_test(test_a2_08_a2_09_queries),
    cmocka_unit_test(test_a_buffer_may_hold_another_kind),
    cmocka_unit_test(test_native_stacks_begin_at_the_caller),
    cmocka_unit_test(test_frame_pointers_give_the_same),
    cmocka_unit_test(test_a_frame_pointer_may_be_anything),
    cmocka_unit_test(test_stacks_are_kept_once),
    cmocka_unit_test(test_a_cursor_delivers_once_and_counts_what_it_missed),
    cmocka_unit_test(test_every_failing_mapping_is_survived),
    cmocka_unit_test(test_fork_leaves_two_trackers),
    cmocka_unit_test(test_a2_12_automatic_snapshots),
};
MT_TEST_MAIN(tests)
