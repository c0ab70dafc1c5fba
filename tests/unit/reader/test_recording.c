/* test_recording.c: reports, conversions, events and stacks through the public header, of a trace known by construction. */
#include "harness.h"

#include "memtap/profile.h"
#include "model/builder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char g_folder[] = "/tmp/memtap-recording-XXXXXX";
static char g_path[64], g_out[64];

static void write_trace(const char *path, const struct builder *b)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, b->file, b->file_bytes), b->file_bytes);
    close(fd);
}

/* 300 bytes leak from stack 1 by thread 11, 50 from stack 2 by thread 12; 1,000 come and go at stack 2. */
static void build(struct builder *b)
{
    builder_init(b);
    builder_module(b, 1, 0, "/lib/libwork.so", 0x0, 0x10000);
    builder_thread(b, 1, 11, "main");
    builder_thread(b, 2, 12, "worker");
    builder_plain_stacks(b, 2);
    builder_alloc(b, 1, 10, 0x5000, 100, 1);
    builder_alloc(b, 1, 20, 0x5100, 200, 1);
    builder_alloc(b, 2, 30, 0x6000, 50, 2);
    builder_alloc(b, 2, 40, 0x7000, 1000, 2);
    builder_free(b, 1, 50, 0x7000);
    builder_map(b, 1, 60, MT_MAP_FILE, 0x100000, 4096, 1);
    builder_finish(b);
}

static int setup(void **state)
{
    struct builder b;
    (void)state;
    if (mkdtemp(g_folder) == NULL) {
        return -1;
    }
    (void)snprintf(g_path, sizeof g_path, "%s/a.mtap", g_folder);
    (void)snprintf(g_out, sizeof g_out, "%s/out", g_folder);
    build(&b);
    write_trace(g_path, &b);
    builder_fini(&b);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(g_path);
    unlink(g_out);
    rmdir(g_folder);
    memcpy(g_folder, "/tmp/memtap-recording-XXXXXX", sizeof g_folder);
    return 0;
}

static struct mt_recording *open_path(const char *path)
{
    struct mt_recording *recording = NULL;
    struct mt_profile_failure failure = { 0 };
    if (mt_recording_open(&path, 1, &recording, &failure) != MT_PROFILE_OK) {
        fail_msg("%s", failure.text);
    }
    return recording;
}

static char *report(struct mt_recording *recording, enum mt_profile_report what, struct mt_profile_query query)
{
    char *text = NULL;
    size_t bytes = 0;
    struct mt_profile_failure failure = { 0 };
    query.struct_bytes = sizeof query;
    if (mt_recording_report(recording, what, &query, &text, &bytes, &failure) != MT_PROFILE_OK) {
        fail_msg("%s", failure.text);
    }
    assert_int_equal(strlen(text), bytes);
    return text;
}

static void assert_says(struct mt_recording *recording, enum mt_profile_report what, struct mt_profile_query query,
                        const char *expected)
{
    char *text = report(recording, what, query);
    if (strstr(text, expected) == NULL) {
        fail_msg("no %s in: %s", expected, text);
    }
    mt_profile_release(text);
}

static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++) {
        count++;
    }
    return count;
}

static void test_reports_say_what_was_built(void **state)
{
    (void)state;
    struct mt_recording *r = open_path(g_path);
    assert_says(r, MT_PROFILE_STATS, (struct mt_profile_query){ 0 }, "\"peak_bytes\": 1350");
    assert_says(r, MT_PROFILE_STATS, (struct mt_profile_query){ 0 }, "\"leaked_bytes\": 350");
    assert_says(r, MT_PROFILE_TABLE, (struct mt_profile_query){ .selection = "leaks" }, "\"bytes\": 300");
    assert_says(r, MT_PROFILE_TABLE, (struct mt_profile_query){ .thread = "worker" }, "\"bytes\": 1050");
    assert_says(r, MT_PROFILE_TABLE, (struct mt_profile_query){ .by = "thread" }, "worker (12)");
    assert_says(r, MT_PROFILE_TABLE, (struct mt_profile_query){ .selection = "at", .time = "0" }, "[]");
    assert_says(r, MT_PROFILE_TREE, (struct mt_profile_query){ .invert = true, .by = "function" }, "\"bytes\": 1350");
    assert_says(r, MT_PROFILE_SUMMARY, (struct mt_profile_query){ 0 }, "\"bytes\": 1050");
    assert_says(r, MT_PROFILE_LEAKS, (struct mt_profile_query){ 0 }, "\"bytes\": 300");
    assert_says(r, MT_PROFILE_LEAKS, (struct mt_profile_query){ .min_age_ns = 1000000000 }, "[]");
    assert_says(r, MT_PROFILE_PARSE, (struct mt_profile_query){ 0 }, "0x7000 1000 stack 2");
    mt_recording_close(r);
}

static void test_rows_keep_the_largest(void **state)
{
    (void)state;
    struct mt_recording *r = open_path(g_path);
    char *all = report(r, MT_PROFILE_LEAKS, (struct mt_profile_query){ 0 });
    char *one = report(r, MT_PROFILE_LEAKS, (struct mt_profile_query){ .rows = 1 });
    assert_int_equal(count_of(all, "\"score\""), 2);
    assert_int_equal(count_of(one, "\"score\""), 1);
    assert_non_null(strstr(one, "\"bytes\": 300"));
    mt_profile_release(all);
    mt_profile_release(one);
    mt_recording_close(r);
}

static void test_wrong_queries_are_usage_failures(void **state)
{
    (void)state;
    static const struct mt_profile_query queries[] = {
        { .selection = "everything" },
        { .selection = "at" },
        { .selection = "at", .time = "soon" },
        { .selection = "between", .time = "1" },
        { .selection = "between", .time = "2,1" },
        { .thread = "nobody" },
        { .by = "colour" },
    };
    struct mt_recording *r = open_path(g_path);
    for (size_t i = 0; i < MT_COUNTOF(queries); i++) {
        struct mt_profile_query query = queries[i];
        struct mt_profile_failure failure = { 0 };
        char *text = NULL;
        size_t bytes;
        query.struct_bytes = sizeof query;
        assert_int_equal(mt_recording_report(r, MT_PROFILE_TABLE, &query, &text, &bytes, &failure), MT_PROFILE_USAGE);
        assert_null(text);
        assert_true(strlen(failure.text) > 10);
    }
    assert_says(r, MT_PROFILE_STATS, (struct mt_profile_query){ 0 }, "\"peak_bytes\": 1350");
    mt_recording_close(r);
}

/* 300 bytes of a program, 50 of the loader. */
static void write_loader_trace(void)
{
    struct builder b;
    builder_init(&b);
    builder_module(&b, 1, 0, "/bin/work", 0x0, 0x2000);
    builder_module(&b, 2, 0, "/lib/ld-linux-x86-64.so.2", 0x2000, 0x10000);
    builder_plain_stacks(&b, 3); /* they return to 0x1000, 0x2000 and 0x3000 */
    builder_alloc(&b, 1, 10, 0x5000, 300, 1);
    builder_alloc(&b, 1, 20, 0x6000, 50, 3);
    builder_finish(&b);
    write_trace(g_path, &b);
    builder_fini(&b);
}

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void test_leaks_leave_out_what_a_query_says(void **state)
{
    (void)state;
    write_loader_trace();
    write_text(g_out, "leak:^0x1000\n");
    struct mt_recording *r = open_path(g_path);
    const struct mt_profile_query all = { .all = true }, suppressed = { .suppressions = g_out };
    assert_says(r, MT_PROFILE_STATS, (struct mt_profile_query){ 0 }, "\"leaked_bytes\": 300");
    assert_says(r, MT_PROFILE_STATS, (struct mt_profile_query){ 0 }, "\"libc_bytes\": 50");
    assert_says(r, MT_PROFILE_STATS, all, "\"leaked_bytes\": 350");
    assert_says(r, MT_PROFILE_LEAKS, all, "\"bytes\": 50");
    assert_says(r, MT_PROFILE_STATS, suppressed, "\"leaked_bytes\": 0");
    assert_says(r, MT_PROFILE_STATS, suppressed, "\"suppressed_bytes\": 300");
    assert_says(r, MT_PROFILE_LEAKS, suppressed, "[]");
    assert_says(r, MT_PROFILE_TABLE, (struct mt_profile_query){ .selection = "leaks", .suppressions = g_out }, "[]");
    assert_says(r, MT_PROFILE_TABLE, suppressed, "\"bytes\": 300"); /* of the peak nothing is left out */
    mt_recording_close(r);
}

static void test_suppressions_that_cannot_be_read_are_a_failure(void **state)
{
    (void)state;
    struct mt_recording *r = open_path(g_path);
    struct mt_profile_query query = { .struct_bytes = sizeof query, .suppressions = "/nonexistent/list" };
    struct mt_profile_failure failure = { 0 };
    char *text = NULL;
    size_t bytes;
    assert_int_equal(mt_recording_report(r, MT_PROFILE_LEAKS, &query, &text, &bytes, &failure), MT_PROFILE_NO_FILE);
    write_text(g_out, "leak:one\nrace:two\n");
    query.suppressions = g_out;
    assert_int_equal(mt_recording_report(r, MT_PROFILE_LEAKS, &query, &text, &bytes, &failure), MT_PROFILE_USAGE);
    assert_non_null(strstr(failure.text, "line 2"));
    mt_recording_close(r);
}

/* Of one thread: 100 bytes are freed after another allocation, 7 at once. */
static void write_temporaries(void)
{
    struct builder b;
    builder_init(&b);
    builder_plain_stacks(&b, 1);
    builder_alloc(&b, 1, 10, 0x5000, 100, 1);
    builder_alloc(&b, 1, 20, 0x6000, 7, 1);
    builder_alloc(&b, 2, 25, 0x7000, 9000, 1);
    builder_free(&b, 1, 30, 0x6000);
    builder_free(&b, 2, 40, 0x5000);
    builder_finish(&b);
    write_trace(g_path, &b);
    builder_fini(&b);
}

static void test_temporaries_are_those_of_the_limit(void **state)
{
    (void)state;
    write_temporaries();
    struct mt_recording *r = open_path(g_path);
    const struct mt_profile_query one = { .temporary_max = 1 }, none = { .temporary_at_once = true };
    assert_says(r, MT_PROFILE_STATS, (struct mt_profile_query){ 0 }, "\"temporary_bytes\": 107");
    assert_says(r, MT_PROFILE_STATS, one, "\"temporary_bytes\": 107");
    assert_says(r, MT_PROFILE_STATS, none, "\"temporary_bytes\": 7");
    assert_says(r, MT_PROFILE_STATS, (struct mt_profile_query){ 0 }, "\"temporary_max\": 1");
    assert_says(r, MT_PROFILE_STATS, none, "\"temporary_max\": 0");
    mt_recording_close(r);
}

static void test_events_are_those_recorded(void **state)
{
    (void)state;
    struct builder b;
    struct mt_recording *r = open_path(g_path);
    struct mt_event_reader *reader = NULL;
    struct mt_profile_event got[4];
    size_t count = 0, seen = 0;
    build(&b);
    assert_int_equal(mt_event_reader_open(r, 0, &reader, NULL), MT_PROFILE_OK);
    while (mt_event_reader_next(reader, got, 4, &count, NULL) == MT_PROFILE_OK && count > 0) {
        for (size_t i = 0; i < count; i++) {
            const struct mt_event *e = &b.events[seen++]; /* given in order of their clocks */
            assert_int_equal(got[i].timestamp_ns, e->clock);
            assert_int_equal(got[i].address, e->addr);
            assert_int_equal(got[i].size, e->size);
            assert_int_equal(got[i].weight, e->size);
            assert_int_equal(got[i].stack_id, e->stack);
            assert_int_equal(got[i].tid, 10 + e->stream);
            assert_int_equal(got[i].kind, e->kind);
            assert_int_equal(got[i].allocator, e->allocator);
        }
    }
    assert_int_equal(seen, b.event_count);
    assert_string_equal(mt_profile_allocator_name(MT_ALLOCATOR_MALLOC), "malloc");
    assert_string_equal(mt_profile_allocator_name(256 + MT_ALLOCATOR_MALLOC), "?");
    assert_string_equal(mt_profile_map_name(MT_MAP_FILE), "file");
    assert_string_equal(mt_profile_map_name(256), "?");
    mt_event_reader_close(reader);
    reader = NULL;
    assert_int_equal(mt_event_reader_open(r, 1, &reader, NULL), MT_PROFILE_USAGE);
    assert_null(reader);
    mt_recording_close(r);
    builder_fini(&b);
}

static void test_stack_by_number(void **state)
{
    (void)state;
    struct mt_recording *r = open_path(g_path);
    struct mt_snapshot_frame *frames = NULL;
    size_t count = 0;
    assert_int_equal(mt_recording_stack(r, 0, 2, true, &frames, &count, NULL), MT_PROFILE_OK);
    assert_int_equal(count, 1);
    assert_int_equal(frames[0].address, 0x2000);
    assert_string_equal(frames[0].function, "0x2000 (libwork.so)");
    mt_profile_release(frames);
    assert_int_equal(mt_recording_stack(r, 0, 99, true, &frames, &count, NULL), MT_PROFILE_OK);
    assert_int_equal(count, 1);
    assert_true(frames[0].is_marker);
    mt_profile_release(frames);
    assert_int_equal(mt_recording_stack(r, 7, 2, true, &frames, &count, NULL), MT_PROFILE_USAGE);
    mt_recording_close(r);
}

static void test_export_writes_a_file_or_nothing(void **state)
{
    (void)state;
    struct mt_recording *r = open_path(g_path);
    struct mt_profile_failure failure = { 0 };
    char text[256] = { 0 };
    assert_int_equal(mt_recording_export(r, g_out, "collapsed", NULL, &failure), MT_PROFILE_OK);
    int fd = open(g_out, O_RDONLY);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    close(fd);
    assert_non_null(strstr(text, " 1050\n"));
    assert_non_null(strstr(text, " 300\n"));
    unlink(g_out);
    assert_int_equal(mt_recording_export(r, g_out, "morse", NULL, &failure), MT_PROFILE_USAGE);
    assert_int_equal(mt_recording_export(r, g_out, NULL, NULL, &failure), MT_PROFILE_USAGE);
    assert_int_equal(mt_recording_export(r, "-", "collapsed", NULL, &failure), MT_PROFILE_USAGE);
    assert_int_equal(mt_recording_export(r, "/nonexistent/x", "pprof", NULL, &failure), MT_PROFILE_NO_FILE);
    assert_int_equal(access(g_out, F_OK), -1);
    mt_recording_close(r);
}

static void test_what_an_unfinished_trace_has_more_is_seen(void **state)
{
    (void)state;
    struct builder b;
    build(&b);
    b.state = MT_STATE_RECORDING;
    b.block_events = 1; /* what is there stays where it is */
    builder_finish(&b);
    write_trace(g_path, &b);
    struct mt_recording *r = open_path(g_path);
    assert_says(r, MT_PROFILE_STATS, (struct mt_profile_query){ 0 }, "\"leaked_bytes\": 350");
    builder_alloc(&b, 2, 70, 0x9000, 5000, 1);
    builder_finish(&b);
    write_trace(g_path, &b);
    assert_says(r, MT_PROFILE_STATS, (struct mt_profile_query){ 0 }, "\"leaked_bytes\": 5350");
    unlink(g_path);
    char *text = NULL;
    size_t bytes;
    assert_int_equal(mt_recording_report(r, MT_PROFILE_STATS, NULL, &text, &bytes, NULL), MT_PROFILE_NO_FILE);
    write_trace(g_path, &b);
    assert_says(r, MT_PROFILE_STATS, (struct mt_profile_query){ 0 }, "\"leaked_bytes\": 5350");
    mt_recording_close(r);
    builder_fini(&b);
}

/* The block of 1,000 bytes lived from 40 to 50. */
static void test_lifetimes_are_those_of_what_was_freed(void **state)
{
    (void)state;
    struct mt_recording *r = open_path(g_path);
    char *text = report(r, MT_PROFILE_LIFETIMES, (struct mt_profile_query){ 0 });
    assert_string_equal(text, "[\n  {\"min_ns\": 8, \"below_ns\": 16, \"count\": 1}\n]\n");
    mt_profile_release(text);
    text = report(r, MT_PROFILE_LIFETIMES, (struct mt_profile_query){ .thread = "main" });
    assert_string_equal(text, "[]\n");
    mt_profile_release(text);
    mt_recording_close(r);
}

static void test_folder_stands_for_its_traces(void **state)
{
    (void)state;
    struct mt_recording *r = open_path(g_folder);
    struct mt_recording_info info;
    assert_int_equal(mt_recording_info(r, &info, NULL), MT_PROFILE_OK);
    assert_int_equal(info.traces, 1);
    assert_int_equal(info.pid, 4242);
    assert_string_equal(info.mode, "exact");
    assert_false(info.live);
    assert_string_equal(mt_recording_path(r, 0), g_path);
    assert_null(mt_recording_path(r, 1));
    mt_recording_close(r);
    struct mt_profile_failure failure = { 0 };
    assert_int_equal(mt_recording_open(NULL, 0, &r, &failure), MT_PROFILE_USAGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static const struct CMUnitTest tests[] = {
    TEST(test_reports_say_what_was_built),
    TEST(test_rows_keep_the_largest),
    TEST(test_wrong_queries_are_usage_failures),
    TEST(test_leaks_leave_out_what_a_query_says),
    TEST(test_suppressions_that_cannot_be_read_are_a_failure),
    TEST(test_temporaries_are_those_of_the_limit),
    TEST(test_events_are_those_recorded),
    TEST(test_stack_by_number),
    TEST(test_export_writes_a_file_or_nothing),
    TEST(test_what_an_unfinished_trace_has_more_is_seen),
    TEST(test_lifetimes_are_those_of_what_was_freed),
    TEST(test_folder_stands_for_its_traces),
};
MT_TEST_MAIN(tests)
