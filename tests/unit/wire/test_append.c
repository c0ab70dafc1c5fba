/* test_append.c: other traces put behind a trace, and a trace rewritten where it is: wire/append, as model/trace_set sees it. */
#include "harness.h"

#include "model/builder.h"
#include "model/trace.h"
#include "util/scratch.h"
#include "wire/append.h"
#include "wire/decode_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *path_of(const char *name)
{
    static char path[2][160];
    static unsigned turn;
    turn ^= 1;
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", g_folder, name);
    return path[turn];
}

/* A trace with so many allocations. */
static void write_trace(const char *name, uint64_t pid, unsigned events)
{
    struct builder b;
    builder_init(&b);
    for (unsigned i = 0; i < events; i++) {
        builder_alloc(&b, 1, 10 + i, 0x1000 + 64 * (uint64_t)i, 10, 0);
    }
    builder_finish(&b);
    struct mt_trace_header *header = (void *)b.file;
    header->pid = pid;
    header->start_realtime_ns = pid;
    FILE *f = fopen(path_of(name), "wb");
    assert_int_equal(fwrite(b.file, 1, b.file_bytes, f), b.file_bytes);
    fclose(f);
    builder_fini(&b);
}

static int opened(const char *name)
{
    int fd = open(path_of(name), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static mt_status append(const char *to_name, const char *from_name)
{
    int to = opened(to_name), from = opened(from_name);
    mt_status status = mt_append_trace(to, from);
    close(from);
    close(to);
    return status;
}

/* The processes of FILE x.mtap, each with as many events as its pid. */
static void expect_processes(const uint64_t *pids, size_t count)
{
    struct mt_trace_set set;
    const char *paths[] = { path_of("x.mtap") };
    assert_int_equal(mt_trace_set_open(paths, 1, &set, NULL, NULL), MT_OK);
    assert_int_equal(set.count, count);
    for (size_t i = 0; i < count; i++) {
        const struct mt_trace_info *info = mt_trace_info(set.traces[i]);
        assert_int_equal(info->pid, pids[i]);
        assert_int_equal(info->events_known, pids[i]);
        assert_int_equal(mt_trace_completeness(set.traces[i])->truncated_at, 0);
        assert_int_equal(mt_trace_completeness(set.traces[i])->holes, 0);
    }
    mt_trace_set_close(&set);
}

static void test_traces_are_put_behind_each_other_in_the_same_inode(void **state)
{
    (void)state;
    struct stat before, after;
    write_trace("x.mtap", 7, 7);
    write_trace("a", 30, 30);
    write_trace("b", 500, 500);
    assert_int_equal(stat(path_of("x.mtap"), &before), 0);
    assert_int_equal(append("x.mtap", "a"), MT_OK);
    assert_int_equal(append("x.mtap", "b"), MT_OK);
    assert_int_equal(stat(path_of("x.mtap"), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    expect_processes((const uint64_t[]){ 7, 30, 500 }, 3);
}

static void test_until_the_last_write_the_file_is_what_it_was(void **state)
{
    (void)state;
    uint64_t tail;
    write_trace("x.mtap", 7, 7);
    write_trace("a", 30, 30);
    int fd = opened("x.mtap");
    assert_int_equal(pread(fd, &tail, sizeof tail, offsetof(struct mt_trace_header, file_tail)), sizeof tail);
    assert_int_equal(append("x.mtap", "a"), MT_OK);
    assert_int_equal(pwrite(fd, &tail, sizeof tail, offsetof(struct mt_trace_header, file_tail)), sizeof tail);
    expect_processes((const uint64_t[]){ 7 }, 1);
    close(fd);
    assert_int_equal(append("x.mtap", "a"), MT_OK); /* once more, over what was left there */
    expect_processes((const uint64_t[]){ 7, 30 }, 2);
}

static void test_a_process_in_file_and_folder_counts_once(void **state)
{
    (void)state;
    write_trace("x.mtap", 7, 7);
    assert_int_equal(mkdir(path_of("x.mtap.d"), 0700), 0);
    write_trace("x.mtap.d/30.mtap", 30, 30);
    write_trace("x.mtap.d/40.mtap", 40, 40);
    expect_processes((const uint64_t[]){ 7, 30, 40 }, 3);
    assert_int_equal(append("x.mtap", "x.mtap.d/30.mtap"), MT_OK);
    expect_processes((const uint64_t[]){ 7, 30, 40 }, 3);
    assert_int_equal(unlink(path_of("x.mtap.d/30.mtap")), 0);
    expect_processes((const uint64_t[]){ 7, 30, 40 }, 3);
}

static void test_a_stump_in_the_folder_is_no_process(void **state)
{
    (void)state;
    write_trace("x.mtap", 7, 7);
    assert_int_equal(mkdir(path_of("x.mtap.d"), 0700), 0);
    int fd = open(path_of("x.mtap.d/30.mtap"), O_WRONLY | O_CREAT, 0600);
    assert_int_equal(ftruncate(fd, 4096), 0);
    close(fd);
    assert_int_equal(mkfifo(path_of("x.mtap.d/31.mtap"), 0600), 0);
    expect_processes((const uint64_t[]){ 7 }, 1);
}

static void test_a_trace_is_rewritten_where_it_is(void **state)
{
    (void)state;
    struct stat before, after;
    write_trace("x.mtap", 7, 5000);
    write_trace("a", 7, 7);
    assert_int_equal(stat(path_of("x.mtap"), &before), 0);
    int to = opened("x.mtap"), from = opened("a");
    assert_int_equal(mt_rewrite_trace(to, from), MT_OK);
    assert_int_equal(fstat(to, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_true(after.st_size < before.st_size);
    expect_processes((const uint64_t[]){ 7 }, 1);
    close(to);
    close(from);
}

/* Killed half-way: the folder has the whole one, and it is the one that is taken. */
static void test_a_half_rewritten_trace_is_taken_from_the_folder(void **state)
{
    (void)state;
    static const char junk[2000];
    write_trace("x.mtap", 7, 50);
    assert_int_equal(mkdir(path_of("x.mtap.d"), 0700), 0);
    write_trace("x.mtap.d/7.mtap", 7, 7);
    int fd = opened("x.mtap");
    assert_int_equal(pwrite(fd, junk, sizeof junk, MT_TRACE_HEADER_BYTES), sizeof junk);
    close(fd);
    expect_processes((const uint64_t[]){ 7 }, 1);
}

static void put_u64(const char *name, uint64_t value, uint64_t offset)
{
    int fd = opened(name);
    assert_int_equal(pwrite(fd, &value, sizeof value, (off_t)offset), sizeof value);
    close(fd);
}

static void test_whoever_reads_what_is_rewritten_meanwhile_is_told(void **state)
{
    (void)state;
    struct mt_reader *reader;
    struct mt_payload payload = { 0 };
    size_t count;
    write_trace("x.mtap", 7, 5000);
    write_trace("a", 7, 7);
    put_u64("a", MT_TRACE_EXACT | MT_TRACE_PACKED, offsetof(struct mt_trace_header, flags));
    assert_int_equal(mt_reader_open(path_of("x.mtap"), &reader, NULL), MT_OK);
    const struct mt_extent *extents = mt_reader_extents(reader, &count);
    assert_false(mt_reader_is_outdated(reader));
    int to = opened("x.mtap"), from = opened("a");
    assert_int_equal(mt_rewrite_trace(to, from), MT_OK);
    assert_true(mt_reader_is_outdated(reader));
    assert_int_equal(mt_reader_load(reader, &extents[count - 1], &payload, NULL), MT_E_BUSY);
    mt_payload_fini(&payload);
    mt_reader_close(reader);
    close(to);
    close(from);
}

static void test_a_trace_that_is_being_rewritten_opens_as_its_whole_form(void **state)
{
    (void)state;
    struct mt_trace *trace;
    write_trace("x.mtap", 7, 50);
    assert_int_equal(mkdir(path_of("x.mtap.d"), 0700), 0);
    write_trace("x.mtap.d/7.mtap", 7, 7);
    put_u64("x.mtap", MT_STATE_REWRITING, offsetof(struct mt_trace_header, state)); /* and no Python */
    assert_int_equal(mt_trace_open(path_of("x.mtap"), &trace, NULL), MT_OK);
    assert_int_equal(mt_trace_info(trace)->events_known, 7);
    mt_trace_close(trace);
    assert_int_equal(unlink(path_of("x.mtap.d/7.mtap")), 0);
    assert_int_equal(mt_trace_open(path_of("x.mtap"), &trace, NULL), MT_E_CORRUPT);
}

static void test_what_is_no_trace_is_not_touched(void **state)
{
    (void)state;
    char text[8] = "";
    write_trace("a", 30, 30);
    int fd = open(path_of("note"), O_RDWR | O_CREAT, 0600);
    assert_int_equal(write(fd, "a note\n", 7), 7);
    assert_int_equal(append("note", "a"), MT_E_CORRUPT);
    assert_int_equal(append("a", "note"), MT_E_CORRUPT);
    assert_int_equal(pread(fd, text, sizeof text, 0), 7);
    assert_string_equal(text, "a note\n");
    close(fd);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
static const struct CMUnitTest tests[] = {
    IN_FOLDER(test_traces_are_put_behind_each_other_in_the_same_inode),
    IN_FOLDER(test_until_the_last_write_the_file_is_what_it_was),
    IN_FOLDER(test_a_process_in_file_and_folder_counts_once),
    IN_FOLDER(test_a_stump_in_the_folder_is_no_process),
    IN_FOLDER(test_a_trace_is_rewritten_where_it_is),
    IN_FOLDER(test_a_half_rewritten_trace_is_taken_from_the_folder),
    IN_FOLDER(test_whoever_reads_what_is_rewritten_meanwhile_is_told),
    IN_FOLDER(test_a_trace_that_is_being_rewritten_opens_as_its_whole_form),
    IN_FOLDER(test_what_is_no_trace_is_not_touched),
};
MT_TEST_MAIN(tests)
