/* Unit tests of the tool's help: what a process may ask for, and what it gets. The process that asks is this one. */
#include "harness.h"

#include "launch/helper.h"
#include "wire/ask.h"
#include "wire/format.h"
#include "wire/journal_path.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char g_folder[64];
static char g_others[160];
static char g_output[128];
static struct mt_helper g_helper;
static int g_tick_fd;

static int open_helper(void **state)
{
    (void)state;
    strcpy(g_folder, "/tmp/memtap-helper-XXXXXX");
    assert_non_null(mkdtemp(g_folder));
    snprintf(g_output, sizeof g_output, "%s/x.mtap", g_folder);
    snprintf(g_others, sizeof g_others, "%s.d", g_output);
    assert_int_equal(mkdir(g_others, 0700), 0);
    mt_helper_open(&g_helper, 0);
    assert_true(g_helper.listener > 2);
    return 0;
}

static int close_helper(void **state)
{
    (void)state;
    char command[128];
    mt_helper_free(&g_helper);
    snprintf(command, sizeof command, "rm -rf %s", g_folder);
    return system(command);
}

static mt_status g_status;
static int g_fd;
static struct mt_ask_request g_request;

static void *ask(void *unused)
{
    struct mt_ask_reply reply = { 0 };
    const struct mt_os_question question = { .name = g_helper.name,
                                             .name_bytes = strlen(g_helper.name),
                                             .request = &g_request,
                                             .request_bytes = sizeof g_request,
                                             .reply = &reply,
                                             .reply_bytes = sizeof reply,
                                             .timeout_ns = (uint64_t)60 * 1000000000u };
    g_fd = -1;
    g_status = mt_os_ask(&question, &g_fd);
    g_status = g_status == MT_OK ? (mt_status)reply.status : g_status;
    return unused;
}

static void *ask_and_tell(void *done)
{
    ask(NULL);
    __atomic_store_n((int *)done, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* Asks g_request, and is served until there is an answer. */
static mt_status answered(uint64_t root_pid)
{
    const struct mt_helper_place place = { .output = g_output, .root_pid = root_pid, .tick_fd = g_tick_fd };
    pthread_t thread;
    int done = 0;
    assert_int_equal(pthread_create(&thread, NULL, ask_and_tell, &done), 0);
    while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
        mt_helper_serve(&g_helper, &place);
    }
    pthread_join(thread, NULL);
    return g_status;
}

static mt_status asked_for(enum mt_ask_kind kind, const char *path, uint64_t token, uint64_t root_pid)
{
    g_request = (struct mt_ask_request){ .magic = MT_ASK_MAGIC, .kind = (uint32_t)kind, .token = token };
    snprintf(g_request.path, sizeof g_request.path, "%s", path);
    return answered(root_pid);
}

static mt_status new_at(const char *path, uint64_t root_pid)
{
    return asked_for(MT_ASK_NEW, path, g_helper.token, root_pid);
}

/* Folder, head, this process, tail. */
static const char *path_of(const char *head, const char *tail)
{
    static char path[192];
    snprintf(path, sizeof path, "%s/%s%d%s", g_folder, head, (int)getpid(), tail);
    return path;
}

static void test_a_process_gets_its_own_trace_made(void **state)
{
    (void)state;
    struct stat made, got;
    assert_int_equal(new_at(path_of("x.mtap.d/", ".mtap"), 1), MT_OK);
    assert_int_equal(fstat(g_fd, &got), 0);
    assert_int_equal(stat(path_of("x.mtap.d/", ".mtap"), &made), 0);
    assert_int_equal(made.st_ino, got.st_ino);
    assert_int_equal(made.st_mode & 0777, 0600);
    assert_int_equal(fcntl(g_fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    close(g_fd);
}

static void test_the_first_process_gets_the_output_itself(void **state)
{
    (void)state;
    assert_int_equal(new_at(g_output, (uint64_t)getpid()), MT_OK);
    close(g_fd);
    assert_int_equal(access(g_output, F_OK), 0);
}

static void test_nothing_else_is_made(void **state)
{
    (void)state;
    static const char *const others[][2] = { { "y.mtap.d/", ".mtap" },    { "x.mtap.d/", ".mtap/.." },
                                             { "x.mtap.d/../", ".mtap" }, { "x.mtap.d/", "" },
                                             { "x.mtap.d/7", ".mtap" },   { "x.", ".mtap" } };
    for (size_t i = 0; i < MT_COUNTOF(others); i++) {
        assert_int_equal(new_at(path_of(others[i][0], others[i][1]), 1), MT_E_PERM);
        assert_int_equal(g_fd, -1);
    }
    assert_int_equal(new_at(g_output, 1), MT_E_PERM); /* another process is the first */
    assert_int_equal(rmdir(g_others), 0);
    assert_int_equal(rmdir(g_folder), 0);
    assert_int_equal(mkdir(g_folder, 0700), 0);
}

static void test_without_the_token_there_is_no_answer(void **state)
{
    (void)state;
    assert_int_not_equal(asked_for(MT_ASK_NEW, path_of("x.mtap.d/", ".mtap"), g_helper.token + 1, 1), MT_OK);
    assert_int_equal(access(path_of("x.mtap.d/", ".mtap"), F_OK), -1);
}

static void test_an_earlier_image_s_trace_is_ended_and_kept(void **state)
{
    (void)state;
    uint32_t trace_state = MT_STATE_RECORDING;
    assert_int_equal(new_at(path_of("x.mtap.d/", ".mtap"), 1), MT_OK);
    assert_int_equal(pwrite(g_fd, &trace_state, sizeof trace_state, offsetof(struct mt_trace_header, state)), sizeof trace_state);
    int first = g_fd;
    assert_int_equal(new_at(path_of("x.mtap.d/", ".mtap"), 1), MT_OK);
    assert_int_equal(pread(first, &trace_state, sizeof trace_state, offsetof(struct mt_trace_header, state)), sizeof trace_state);
    assert_int_equal(trace_state, MT_STATE_EXEC);
    assert_int_equal(access(path_of("x.mtap.d/", ".1.mtap"), F_OK), 0);
    close(first);
    close(g_fd);
}

static void test_a_trace_is_opened_again_only_if_it_is_that_file(void **state)
{
    (void)state;
    struct stat made, again;
    const char *path = path_of("x.mtap.d/", ".mtap");
    assert_int_equal(new_at(path, 1), MT_OK);
    assert_int_equal(fstat(g_fd, &made), 0);
    close(g_fd);
    assert_int_not_equal(asked_for(MT_ASK_AGAIN, path, g_helper.token, 1), MT_OK); /* device and inode 0 */
    g_request.device = made.st_dev;
    g_request.inode = made.st_ino;
    assert_int_equal(answered(1), MT_OK);
    assert_int_equal(fstat(g_fd, &again), 0);
    assert_int_equal(again.st_ino, made.st_ino);
    close(g_fd);
}

static void test_a_journal_is_made_beside_the_process_s_own_trace(void **state)
{
    (void)state;
    struct stat trace, made, again;
    char journal[256];
    const char *path = path_of("x.mtap.d/", ".mtap");
    assert_int_equal(new_at(path, 1), MT_OK);
    assert_int_equal(fstat(g_fd, &trace), 0);
    close(g_fd);
    assert_int_not_equal(asked_for(MT_ASK_JOURNAL, path, g_helper.token, 1), MT_OK); /* of no number, for no trace */
    g_request.journal = 0xabc;
    assert_int_not_equal(answered(1), MT_OK);
    g_request.device = trace.st_dev;
    g_request.inode = trace.st_ino;
    assert_int_equal(answered(1), MT_OK);
    assert_int_equal(fstat(g_fd, &made), 0);
    close(g_fd);
    assert_true(mt_journal_path(path, 0xabc, journal, sizeof journal));
    assert_int_equal(stat(journal, &again), 0);
    assert_int_equal(again.st_ino, made.st_ino);
    assert_int_equal(made.st_mode & 0777, 0600);
    assert_int_equal(answered(1), MT_E_EXIST);
    g_request.kind = MT_ASK_AGAIN;
    assert_int_not_equal(answered(1), MT_OK); /* that is the trace's inode */
    g_request.inode = made.st_ino;
    assert_int_equal(answered(1), MT_OK);
    close(g_fd);
}

static void test_the_clock_is_given_to_whoever_has_the_token(void **state)
{
    (void)state;
    struct stat clock, got;
    assert_int_equal(asked_for(MT_ASK_TICK, "", g_helper.token, 1), MT_E_UNSUPPORTED); /* there is none */
    g_tick_fd = open(g_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(fstat(g_tick_fd, &clock), 0);
    assert_int_equal(asked_for(MT_ASK_TICK, "", g_helper.token, 1), MT_OK);
    assert_int_equal(fstat(g_fd, &got), 0);
    assert_int_equal(got.st_ino, clock.st_ino);
    close(g_fd);
    assert_int_not_equal(asked_for(MT_ASK_TICK, "", g_helper.token + 1, 1), MT_OK);
    assert_int_equal(fstat(g_tick_fd, &clock), 0); /* the tool keeps its own */
    close(g_tick_fd);
    g_tick_fd = 0;
}

static void test_a_folder_that_is_gone_is_said(void **state)
{
    (void)state;
    assert_int_equal(rmdir(g_others), 0);
    assert_int_equal(new_at(path_of("x.mtap.d/", ".mtap"), 1), MT_E_NOENT);
    assert_int_equal(g_helper.refused.count, 1);
    assert_non_null(strstr(g_helper.refused.items[0], "No such file"));
}

/* What a process tells, and ends: it is heard at the next look. */
static void test_what_is_told_is_heard_without_an_answer(void **state)
{
    (void)state;
    const struct mt_helper_place place = { .output = g_output, .root_pid = 1 };
    struct mt_ask_told told = { .magic = MT_ASK_MAGIC, .kind = MT_ASK_TOLD, .token = g_helper.token, .why = MT_PROGRAM_STATIC };
    size_t name_bytes = strlen(g_helper.name);
    strcpy(told.command, "/bin/tool x");
    for (int i = 0; i < 200; i++) { /* more than there are places for guests */
        assert_int_equal(mt_os_tell(g_helper.name, name_bytes, &told, sizeof told), MT_OK);
    }
    told.token++; /* a stranger */
    assert_int_equal(mt_os_tell(g_helper.name, name_bytes, &told, sizeof told), MT_OK);
    mt_helper_serve(&g_helper, &place);
    assert_int_equal(g_helper.unrecorded.count, 1);
    assert_int_equal(g_helper.unrecorded.programs[0].processes, 200);
    assert_int_equal(g_helper.unrecorded.programs[0].pid, getpid());
    assert_string_equal(g_helper.unrecorded.programs[0].command, "/bin/tool x");
}

#define HELPER_TEST(f) cmocka_unit_test_setup_teardown(f, open_helper, close_helper)
static const struct CMUnitTest tests[] = {
    HELPER_TEST(test_a_process_gets_its_own_trace_made),
    HELPER_TEST(test_the_first_process_gets_the_output_itself),
    HELPER_TEST(test_nothing_else_is_made),
    HELPER_TEST(test_without_the_token_there_is_no_answer),
    HELPER_TEST(test_an_earlier_image_s_trace_is_ended_and_kept),
    HELPER_TEST(test_a_trace_is_opened_again_only_if_it_is_that_file),
    HELPER_TEST(test_a_journal_is_made_beside_the_process_s_own_trace),
    HELPER_TEST(test_the_clock_is_given_to_whoever_has_the_token),
    HELPER_TEST(test_a_folder_that_is_gone_is_said),
    HELPER_TEST(test_what_is_told_is_heard_without_an_answer),
};
MT_TEST_MAIN(tests)
