/* test_trace.c: the trace of a tracker as the reader (memtap/profile.h) sees it. */
#include "making.h"
#include "memtap/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char g_folder[] = "/tmp/memtap-trace-XXXXXX";
static char g_path[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(g_folder + sizeof g_folder - 7, "XXXXXX");
    assert_non_null(mkdtemp(g_folder));
    (void)snprintf(g_path, sizeof g_path, "%s/t.mtap", g_folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(g_path);
    return rmdir(g_folder);
}

static char *report(enum mt_profile_report which)
{
    struct mt_recording *recording = NULL;
    struct mt_profile_failure failure;
    const char *const paths[] = { g_path };
    char *text = NULL;
    size_t bytes = 0;
    assert_int_equal(mt_recording_open(paths, 1, &recording, &failure), 0);
    assert_int_equal(mt_recording_report(recording, which, NULL, &text, &bytes, &failure), 0);
    mt_recording_close(recording);
    return text;
}

__attribute__((noinline)) void memtap_test_leaky(struct mt_tracker *tracker);
__attribute__((noinline)) void memtap_test_leaky(struct mt_tracker *tracker)
{
    for (uint64_t i = 0; i < 100; i++) {
        (void)mt_track_allocation(tracker, 0x100003 + i * 500, 333, "GPU"); /* addresses no multiple of 8 too */
    }
}

/* given native stacks, then a report names the function that allocated; without, the kind */
static void test_native_stacks_are_named(void **state)
{
    (void)state;
    struct mt_tracker *tracker = make_with_stacks(10);
    memtap_test_leaky(tracker);
    (void)mt_track_allocation(tracker, 8, 4096, "CPU");
    (void)mt_track_deallocation(tracker, 8, 4096);
    assert_int_equal(mt_tracker_write_trace(tracker, g_path, true), 0);
    char *text = report(MT_PROFILE_LEAKS);
    assert_non_null(strstr(text, "\"bytes\": 33300,"));
    assert_null(strstr(text, "\"bytes\": 4096,")); /* other numbers of the report may hold these digits */
    mt_profile_release(text);
    text = report(MT_PROFILE_TREE);
    assert_non_null(strstr(text, "memtap_test_leaky"));
    mt_profile_release(text);
    assert_int_equal(mt_tracker_write_trace(tracker, g_path, true), MT_TRACKER_IO); /* never over another file */
    assert_int_equal(unlink(g_path), 0);
    assert_int_equal(mt_tracker_write_trace(tracker, g_path, false), 0);
    text = report(MT_PROFILE_TREE);
    assert_non_null(strstr(text, "\"GPU\""));
    mt_profile_release(text);
    mt_tracker_free(tracker);
}

/* given more events than a buffer holds, then all of them are in the trace */
static void test_long_traces_have_several_blocks(void **state)
{
    (void)state;
    struct mt_tracker *tracker = make_with_stacks(10);
    char expected[64];
    mt_tracker_set_capture_stacks(tracker, false);
    for (uint64_t i = 0; i < 150000; i++) {
        (void)mt_track_allocation(tracker, i * 8 + 8, 8, "CPU");
        if (i % 3 == 0) {
            (void)mt_track_reallocation(tracker, i * 8 + 8, (1ull << 40) + i * 8, 16);
        } else if (i % 3 == 1) {
            (void)mt_track_deallocation(tracker, i * 8 + 8, 8);
        }
    }
    assert_int_equal(mt_tracker_write_trace(tracker, g_path, false), 0);
    char *text = report(MT_PROFILE_LEAKS);
    (void)snprintf(expected, sizeof expected, "%d", 50000 * 16 + 50000 * 8);
    assert_non_null(strstr(text, expected));
    mt_profile_release(text);
    mt_tracker_free(tracker);
}

/* given a tracker without events, then the trace is whole and empty */
static void test_an_empty_trace_can_be_read(void **state)
{
    (void)state;
    struct mt_tracker *tracker = make_with_stacks(10);
    assert_int_equal(mt_tracker_write_trace(tracker, g_path, true), 0);
    char *text = report(MT_PROFILE_STATS);
    assert_null(strstr(text, "\"warnings\": [\""));
    mt_profile_release(text);
    mt_tracker_free(tracker);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_native_stacks_are_named, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(test_long_traces_have_several_blocks, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(test_an_empty_trace_can_be_read, make_folder, remove_folder),
};
MT_TEST_MAIN(tests)
