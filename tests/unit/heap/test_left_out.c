/* Unit tests of what a trace says of fork children that begin none. */
#include "harness.h"

#include "heap/engine.h"
#include "heap/left_out.h"
#include "heap/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char g_path[64];

static void restart(void) {}

static void start(void)
{
    strcpy(g_path, "/tmp/memtap-left-out-XXXXXX");
    close(mkstemp(g_path));
    unlink(g_path);
    const struct mt_engine_config config = { .mode = MT_MODE_EXACT, .rate_bytes = 1, .native = true, .path = g_path,
                                             .command = "unit", .command_bytes = 5, .seed = 7 };
    assert_int_equal(mt_engine_start(&config), MT_OK);
    mt_engine_on_fork(restart);
}

/* Returns its pid. */
static int fork_child_left_out(bool knows_pid)
{
    mt_left_out_prepare();
    int child = fork();
    if (child == 0) {
        mt_left_out_after_fork();
        mt_engine_child_is_left_out(knows_pid ? getpid() : 0, false);
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    return child;
}

/* How often the trace says so; the recording ends. */
static int count_in_trace(const char *text)
{
    static char bytes[1 << 20];
    assert_int_equal(mt_engine_finish(MT_STATE_STOPPED), MT_OK);
    FILE *file = fopen(g_path, "rb");
    size_t read = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    unlink(g_path);
    int found = 0;
    for (char *at = bytes; (at = memmem(at, (size_t)(bytes + read - at), text, strlen(text))) != NULL; at++) {
        found++;
    }
    return found;
}

static void test_one_child_is_named(void **state)
{
    (void)state;
    char text[128];
    start();
    (void)snprintf(text, sizeof text, "process %d that it forked is not recorded: a seccomp filter that it inherits may",
                   fork_child_left_out(true));
    mt_left_out_look(true);
    mt_left_out_look(true); /* it has been said */
    assert_int_equal(count_in_trace(text), 1);
}

static void test_several_are_the_first_and_how_many_more(void **state)
{
    (void)state;
    char text[128];
    start();
    int first = fork_child_left_out(true);
    (void)fork_child_left_out(true);
    (void)fork_child_left_out(false);
    (void)snprintf(text, sizeof text, "process %d and 2 more that it forked are not recorded: a seccomp filter that they inherit may",
                   first);
    mt_left_out_look(true);
    assert_int_equal(count_in_trace(text), 1);
}

static void test_children_that_may_not_ask_for_their_number_are_counted(void **state)
{
    (void)state;
    start();
    (void)fork_child_left_out(false);
    (void)fork_child_left_out(false);
    mt_left_out_look(true);
    assert_int_equal(count_in_trace("2 processes that it forked are not recorded"), 1);
}

static void test_while_it_runs_it_is_said_for_twice_as_many(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < 5; i++) {
        (void)fork_child_left_out(true);
        mt_left_out_look(false); /* of 1, 2 and 4 */
    }
    mt_left_out_look(true); /* of 5 */
    assert_int_equal(count_in_trace("that it forked"), 4);
}

static void test_without_children_nothing_is_said(void **state)
{
    (void)state;
    start();
    mt_left_out_prepare();
    mt_left_out_look(true);
    assert_int_equal(count_in_trace("that it forked"), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_one_child_is_named),
    cmocka_unit_test(test_several_are_the_first_and_how_many_more),
    cmocka_unit_test(test_children_that_may_not_ask_for_their_number_are_counted),
    cmocka_unit_test(test_while_it_runs_it_is_said_for_twice_as_many),
    cmocka_unit_test(test_without_children_nothing_is_said),
};

MT_TEST_MAIN(tests)
