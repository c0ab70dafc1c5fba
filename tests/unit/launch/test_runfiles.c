/* Unit tests of the files of a run: which of them is the trace of the program, whatever it is called by now. */
#include "harness.h"

#include "launch/runfiles.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PID = 4242, STARTED_NS = 1000 };

static char g_folder[64];
static struct mt_run g_run;

static int begin_run(void **state)
{
    (void)state;
    strcpy(g_folder, "/tmp/memtap-runfiles-XXXXXX");
    assert_non_null(mkdtemp(g_folder));
    g_run = (struct mt_run){ .folder = g_folder, .others_fd = -1, .trace_fd = -1, .pid = PID, .started_realtime_ns = STARTED_NS };
    snprintf(g_run.output, sizeof g_run.output, "%s/x.mtap", g_folder);
    return 0;
}

static int end_run(void **state)
{
    char command[128];
    (void)state;
    mt_runfiles_release(&g_run);
    snprintf(command, sizeof command, "rm -rf %s", g_folder);
    return system(command);
}

/* Returns its inode. */
static ino_t make_trace(const char *name, uint64_t pid, uint64_t start_realtime_ns)
{
    char path[128];
    struct stat info;
    struct mt_trace_header header = { .pid = pid, .start_realtime_ns = start_realtime_ns };
    memcpy(header.magic, MT_TRACE_MAGIC, sizeof header.magic);
    snprintf(path, sizeof path, "%s/%s", g_folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_int_equal(write(fd, &header, sizeof header), sizeof header);
    assert_int_equal(fstat(fd, &info), 0);
    close(fd);
    return info.st_ino;
}

static ino_t inode_held(void)
{
    struct stat info;
    assert_int_equal(fstat(g_run.trace_fd, &info), 0);
    return info.st_ino;
}

static void test_the_programs_trace_is_found_under_another_name(void **state)
{
    char path[128];
    (void)state;
    make_trace("earlier", PID, STARTED_NS - 1);
    make_trace("other.mtap", PID + 1, STARTED_NS);
    snprintf(path, sizeof path, "%s/fifo", g_folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    ino_t wanted = make_trace("moved", PID, STARTED_NS);
    mt_runfiles_find(&g_run);
    assert_int_equal(g_run.trace_fd, -1);
    mt_runfiles_search(&g_run);
    assert_int_equal(inode_held(), wanted);
    assert_false(mt_runfiles_is_ours(&g_run));
}

static void test_what_was_found_under_its_name_stays(void **state)
{
    (void)state;
    ino_t wanted = make_trace("x.mtap", PID, STARTED_NS);
    make_trace("copy", PID, STARTED_NS);
    mt_runfiles_find(&g_run);
    mt_runfiles_search(&g_run);
    assert_int_equal(inode_held(), wanted);
    assert_true(mt_runfiles_is_ours(&g_run));
}

static void test_nothing_is_taken_for_it(void **state)
{
    (void)state;
    make_trace("earlier", PID, STARTED_NS - 1);
    make_trace("x.mtap", PID + 1, STARTED_NS);
    mt_runfiles_search(&g_run);
    assert_int_equal(g_run.trace_fd, -1);
}

#define RUN_TEST(name) cmocka_unit_test_setup_teardown(name, begin_run, end_run)
static const struct CMUnitTest tests[] = {
    RUN_TEST(test_the_programs_trace_is_found_under_another_name),
    RUN_TEST(test_what_was_found_under_its_name_stays),
    RUN_TEST(test_nothing_is_taken_for_it),
};
MT_TEST_MAIN(tests)
