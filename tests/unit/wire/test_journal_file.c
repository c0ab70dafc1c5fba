/* test_journal_file.c: a trace and the journal beside it: what readers take for one, and how the two become one. */
#include "harness.h"

#include "model/builder.h"
#include "model/trace.h"
#include "util/scratch.h"
#include "wire/journal_file.h"
#include "wire/journal_path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EVENTS = 7, EVENTS_IN_JOURNAL = 5 };
static const uint64_t NUMBER = 0x1234;

static const char *path_of(const char *name)
{
    static char path[4][192];
    static unsigned turn;
    turn = (turn + 1) % 4;
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", g_folder, name);
    return path[turn];
}

static const char *journal_of(const char *trace)
{
    static char path[256];
    assert_true(mt_journal_path(trace, NUMBER, path, sizeof path));
    return path;
}

/* Events of one thread in blocks, the header as it was at the start or, in a journal, as it is now. */
static void write_file(const char *path, uint32_t stream, unsigned events, const char *magic, uint64_t file_tail)
{
    struct builder b;
    builder_init(&b);
    for (unsigned i = 0; i < events; i++) {
        builder_alloc(&b, stream, 10 + i, 0x1000 * (uint64_t)stream + 64 * (uint64_t)i, 10, 0);
    }
    builder_finish(&b);
    struct mt_trace_header *header = (void *)b.file;
    memcpy(header->magic, magic, sizeof header->magic);
    header->pid = 42;
    header->start_realtime_ns = 43;
    header->journal = NUMBER;
    header->journal_tail = b.file_bytes;
    header->file_tail = file_tail != 0 ? file_tail : b.file_bytes;
    header->state = file_tail != 0 ? MT_STATE_ENDED : MT_STATE_RECORDING;
    header->counters[MT_COUNTER_DROPPED_EVENTS] = file_tail != 0 ? 3 : 0;
    (void)snprintf(header->journal_path, sizeof header->journal_path, "%s", journal_of(path_of("x.mtap")));
    FILE *f = fopen(path, "wb");
    assert_int_equal(fwrite(b.file, 1, b.file_bytes, f), b.file_bytes);
    fclose(f);
    builder_fini(&b);
}

static int write_pair(void **state)
{
    struct stat info;
    assert_int_equal(make_folder(state), 0);
    write_file(path_of("x.mtap"), 1, EVENTS, MT_TRACE_MAGIC, 0);
    assert_int_equal(stat(path_of("x.mtap"), &info), 0);
    write_file(journal_of(path_of("x.mtap")), 2, EVENTS_IN_JOURNAL, MT_JOURNAL_MAGIC, (uint64_t)info.st_size);
    return 0;
}

static void expect(const char *path, unsigned events, bool missing, uint64_t dropped)
{
    struct mt_trace *trace;
    assert_int_equal(mt_trace_open(path, &trace, NULL), MT_OK);
    const struct mt_trace_completeness *found = mt_trace_completeness(trace);
    assert_int_equal(mt_trace_info(trace)->events_known, events);
    assert_int_equal(found->journal_missing, missing);
    assert_int_equal(found->dropped_events, dropped);
    assert_int_equal(found->holes + found->lost_blocks + found->truncated_at, 0);
    mt_trace_close(trace);
}

static void test_a_trace_and_its_journal_are_one(void **state)
{
    (void)state;
    expect(path_of("x.mtap"), EVENTS + EVENTS_IN_JOURNAL, false, 3);
}

static void test_a_trace_of_another_name_finds_its_journal(void **state)
{
    (void)state;
    assert_int_equal(rename(path_of("x.mtap"), path_of("y.mtap")), 0); /* under the name it had */
    expect(path_of("y.mtap"), EVENTS + EVENTS_IN_JOURNAL, false, 3);
    assert_int_equal(mkdir(path_of("z"), 0700), 0);
    assert_int_equal(rename(path_of("y.mtap"), path_of("z/y.mtap")), 0); /* where it was */
    expect(path_of("z/y.mtap"), EVENTS + EVENTS_IN_JOURNAL, false, 3);
}

static void test_a_journal_of_another_recording_is_not_taken(void **state)
{
    (void)state;
    uint64_t other = 44;
    int fd = open(journal_of(path_of("x.mtap")), O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, &other, sizeof other, offsetof(struct mt_trace_header, start_realtime_ns)), sizeof other);
    close(fd);
    expect(path_of("x.mtap"), EVENTS, true, 0);
}

static void test_without_its_journal_a_trace_is_read_to_its_end(void **state)
{
    (void)state;
    uint64_t stale = MT_TRACE_HEADER_BYTES; /* as a running program leaves it */
    int fd = open(path_of("x.mtap"), O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, &stale, sizeof stale, offsetof(struct mt_trace_header, file_tail)), sizeof stale);
    close(fd);
    assert_int_equal(unlink(journal_of(path_of("x.mtap"))), 0);
    expect(path_of("x.mtap"), EVENTS, true, 0);
}

static void test_folding_makes_one_file_of_the_two(void **state)
{
    (void)state;
    uint64_t exit_status = 1;
    int fd = open(path_of("x.mtap"), O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, &exit_status, sizeof exit_status, offsetof(struct mt_trace_header, tool_exit_status)),
                     sizeof exit_status);
    assert_int_equal(mt_journal_fold(fd, path_of("x.mtap")), MT_OK);
    assert_int_equal(access(journal_of(path_of("x.mtap")), F_OK), -1);
    expect(path_of("x.mtap"), EVENTS + EVENTS_IN_JOURNAL, false, 3);
    exit_status = 0;
    assert_int_equal(pread(fd, &exit_status, sizeof exit_status, offsetof(struct mt_trace_header, tool_exit_status)),
                     sizeof exit_status);
    assert_int_equal(exit_status, 1);
    assert_int_equal(mt_journal_fold(fd, path_of("x.mtap")), MT_OK); /* there is nothing more to do */
    close(fd);
}

static void test_folding_that_was_cut_short_is_done_again(void **state)
{
    (void)state;
    struct mt_trace_header before;
    int fd = open(path_of("x.mtap"), O_RDWR | O_CLOEXEC);
    int journal = open(journal_of(path_of("x.mtap")), O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, &before, sizeof before, 0), sizeof before);
    assert_int_equal(mt_journal_fold_held(fd, journal, ""), MT_OK); /* the journal keeps its name */
    assert_int_equal(pwrite(fd, &before, sizeof before, 0), sizeof before);
    expect(path_of("x.mtap"), EVENTS + EVENTS_IN_JOURNAL, false, 3);
    assert_int_equal(mt_journal_fold(fd, path_of("x.mtap")), MT_OK);
    expect(path_of("x.mtap"), EVENTS + EVENTS_IN_JOURNAL, false, 3);
    close(journal);
    close(fd);
}

static void test_an_emptied_trace_gets_back_what_its_journal_has(void **state)
{
    (void)state;
    struct mt_trace *trace;
    int fd = open(path_of("x.mtap"), O_RDWR | O_CLOEXEC | O_TRUNC);
    int journal = open(journal_of(path_of("x.mtap")), O_RDONLY | O_CLOEXEC);
    assert_int_equal(mt_journal_fold_held(fd, journal, journal_of(path_of("x.mtap"))), MT_OK);
    assert_int_equal(access(journal_of(path_of("x.mtap")), F_OK), -1);
    assert_int_equal(mt_trace_open(path_of("x.mtap"), &trace, NULL), MT_OK);
    assert_int_equal(mt_trace_info(trace)->events_known, EVENTS_IN_JOURNAL);
    assert_int_equal(mt_trace_completeness(trace)->holes, 1); /* where the blocks were */
    mt_trace_close(trace);
    close(journal);
    close(fd);
}

static void test_a_removed_trace_takes_its_journal_along(void **state)
{
    (void)state;
    const struct mt_trace_header header = { .major = MT_TRACE_MAJOR, .pid = 42, .start_realtime_ns = 43, .journal = NUMBER };
    struct mt_trace_header other = header;
    other.journal++;
    mt_journal_remove(path_of("x.mtap"), &other);
    assert_int_equal(access(journal_of(path_of("x.mtap")), F_OK), 0);
    mt_journal_remove(path_of("x.mtap"), &header);
    assert_int_equal(access(journal_of(path_of("x.mtap")), F_OK), -1);
}

static void change_header(const char *path, uint64_t journal, uint64_t pid)
{
    struct mt_trace_header header;
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &header, sizeof header, 0), sizeof header);
    header.journal = journal;
    header.pid = pid;
    assert_int_equal(pwrite(fd, &header, sizeof header, 0), sizeof header);
    close(fd);
}

static void test_a_journal_that_is_left_beside_a_whole_trace_is_removed(void **state)
{
    (void)state;
    const char *trace = path_of("x.mtap");
    mt_journal_remove_left(trace); /* it is a part of the trace */
    assert_int_equal(access(journal_of(trace), F_OK), 0);
    change_header(trace, 0, 41); /* of another process */
    mt_journal_remove_left(trace);
    assert_int_equal(access(journal_of(trace), F_OK), 0);
    change_header(trace, 0, 42);
    mt_journal_remove_left(trace);
    assert_int_equal(access(journal_of(trace), F_OK), -1);
    assert_int_equal(access(trace, F_OK), 0);
    mt_journal_remove_left(path_of("none.mtap"));
}

static void test_names_lead_both_ways(void **state)
{
    (void)state;
    char journal[512], trace[512], name[301];
    assert_true(mt_journal_path("/a/b.mtap", 0xabcdef, journal, sizeof journal));
    assert_string_equal(journal, "/a/.b.mtap.0000000000abcdef.journal");
    assert_true(mt_journal_trace_path(journal, trace, sizeof trace));
    assert_string_equal(trace, "/a/b.mtap");
    assert_true(mt_journal_path("b", UINT64_MAX, journal, sizeof journal));
    assert_string_equal(journal, ".b.ffffffffffffffff.journal");
    assert_true(mt_journal_trace_path(journal, trace, sizeof trace));
    assert_string_equal(trace, "b");
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_true(mt_journal_path(name, 1, journal, sizeof journal));
    assert_in_range(strlen(journal), 200, 255); /* NAME_MAX */
    assert_false(mt_journal_path(name, 1, journal, 200));
    assert_false(mt_journal_trace_path("/a/b.0000000000abcdef.journal", trace, sizeof trace));
    assert_false(mt_journal_trace_path("/a/.0000000000abcdef.journal", trace, sizeof trace));
    assert_false(mt_journal_trace_path(".b.ffffffffffffffff.journal", trace, 1));
}

#define PAIR_TEST(f) cmocka_unit_test_setup_teardown(f, write_pair, remove_folder)
static const struct CMUnitTest tests[] = {
    PAIR_TEST(test_a_trace_and_its_journal_are_one),
    PAIR_TEST(test_a_trace_of_another_name_finds_its_journal),
    PAIR_TEST(test_a_journal_of_another_recording_is_not_taken),
    PAIR_TEST(test_without_its_journal_a_trace_is_read_to_its_end),
    PAIR_TEST(test_folding_makes_one_file_of_the_two),
    PAIR_TEST(test_folding_that_was_cut_short_is_done_again),
    PAIR_TEST(test_an_emptied_trace_gets_back_what_its_journal_has),
    PAIR_TEST(test_a_removed_trace_takes_its_journal_along),
    PAIR_TEST(test_a_journal_that_is_left_beside_a_whole_trace_is_removed),
    cmocka_unit_test(test_names_lead_both_ways),
};
MT_TEST_MAIN(tests)
