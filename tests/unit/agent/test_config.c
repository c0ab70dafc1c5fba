/* What the agent makes of its environment: agent/config. */
#include "harness.h"

#include "agent/config.h"

#include <string.h>

enum { PATH_BYTES = MT_CONFIG_PATH_BYTES + 64 };

static struct mt_agent_config g_config; /* too large for a small stack */

static const char *trace_path(uint64_t pid, unsigned n)
{
    static char path[PATH_BYTES];
    mt_agent_trace_path(&g_config, pid, n, path, sizeof path);
    return path;
}

static void read_output(char *variable)
{
    char root[] = "MEMTAP_ROOT_PID=77";
    char *env[] = { variable, root, NULL };
    mt_agent_config_read(env, &g_config);
}

static void test_only_an_absolute_path_asks_for_a_recording(void **state)
{
    (void)state;
    char absolute[] = "MEMTAP_OUTPUT=/tmp/x.mtap", relative[] = "MEMTAP_OUTPUT=x.mtap", empty[] = "MEMTAP_OUTPUT=";
    char other[] = "HOME=/root";
    read_output(absolute);
    assert_true(g_config.wanted);
    read_output(relative);
    assert_false(g_config.wanted);
    read_output(empty);
    assert_false(g_config.wanted);
    read_output(other);
    assert_false(g_config.wanted);
}

static void test_the_first_process_writes_the_file_and_all_others_its_folder(void **state)
{
    (void)state;
    char output[] = "MEMTAP_OUTPUT=/tmp/x.mtap";
    read_output(output);
    assert_string_equal(trace_path(77, 0), "/tmp/x.mtap");
    assert_string_equal(trace_path(77, 2), "/tmp/x.mtap.d/77.2.mtap");
    assert_string_equal(trace_path(78, 0), "/tmp/x.mtap.d/78.mtap");
    assert_string_equal(trace_path(4194304, 10), "/tmp/x.mtap.d/4194304.10.mtap");
    char folder[PATH_BYTES];
    mt_agent_folder_path(&g_config, folder, sizeof folder);
    assert_string_equal(folder, "/tmp/x.mtap.d");
}

static void test_the_longest_path_is_whole(void **state)
{
    (void)state;
    static char output[sizeof "MEMTAP_OUTPUT=" + MT_CONFIG_PATH_BYTES];
    strcpy(output, "MEMTAP_OUTPUT=/");
    size_t start = strlen("MEMTAP_OUTPUT=");
    memset(output + start + 1, 'a', MT_CONFIG_PATH_BYTES - 2);
    output[start + MT_CONFIG_PATH_BYTES - 1] = '\0';
    read_output(output);
    assert_true(g_config.wanted);
    const char *path = trace_path(UINT64_MAX, UINT32_MAX);
    assert_int_equal(strncmp(path, output + start, MT_CONFIG_PATH_BYTES - 1), 0);
    assert_string_equal(path + MT_CONFIG_PATH_BYTES - 1, ".d/18446744073709551615.4294967295.mtap");
}

static void test_what_the_exec_hook_added_is_told_apart(void **state)
{
    (void)state;
    char carried[] = MT_CONFIG_CARRIED, other[] = "MEMTAP_CARRIED=10", home[] = "HOME=/root";
    char *with[] = { home, carried, NULL }, *without[] = { home, other, NULL };
    assert_true(mt_agent_config_is_carried(with));
    assert_false(mt_agent_config_is_carried(without));
}

/* The environment after hiding, joined by '|'. */
static const char *hidden(char **env)
{
    static char text[512];
    text[0] = '\0';
    mt_agent_config_hide(env);
    for (; *env != NULL; env++) {
        strcat(strcat(text, *env), "|");
    }
    return text;
}

static void test_hiding_leaves_what_the_program_had(void **state)
{
    (void)state;
    char a[] = "A=1", mode[] = "MEMTAP_MODE=exact", preload[] = "LD_PRELOAD=/lib/agent.so:/lib/other.so /lib/third.so";
    char output[] = "MEMTAP_OUTPUT=/tmp/x", asan[] = "ASAN_OPTIONS=detect_leaks=0:" MT_CONFIG_ASAN_OPTION, b[] = "B=MEMTAP_MODE";
    char *env[] = { a, mode, preload, output, asan, b, NULL };
    assert_string_equal(hidden(env), "A=1|LD_PRELOAD=/lib/other.so /lib/third.so|ASAN_OPTIONS=detect_leaks=0|B=MEMTAP_MODE|");
}

static void test_hiding_takes_variables_out_that_were_ours_alone(void **state)
{
    (void)state;
    char preload[] = "LD_PRELOAD=/lib/agent.so", asan[] = "ASAN_OPTIONS=" MT_CONFIG_ASAN_OPTION, c[] = "C=3";
    char *env[] = { preload, asan, c, NULL };
    assert_string_equal(hidden(env), "C=3|");
    char spaced[] = "LD_PRELOAD=/lib/agent.so /lib/other.so";
    char *with_space[] = { spaced, NULL };
    assert_string_equal(hidden(with_space), "LD_PRELOAD=/lib/other.so|");
}

static void test_options_of_asan_that_are_not_ours_stay(void **state)
{
    (void)state;
    char longer[] = "ASAN_OPTIONS=x=1:" MT_CONFIG_ASAN_OPTION "0", first[] = "ASAN_OPTIONS=" MT_CONFIG_ASAN_OPTION ":x=1";
    char *env[] = { longer, first, NULL };
    assert_string_equal(hidden(env), "ASAN_OPTIONS=x=1:" MT_CONFIG_ASAN_OPTION "0|ASAN_OPTIONS=" MT_CONFIG_ASAN_OPTION ":x=1|");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_only_an_absolute_path_asks_for_a_recording),
    cmocka_unit_test(test_the_first_process_writes_the_file_and_all_others_its_folder),
    cmocka_unit_test(test_the_longest_path_is_whole),
    cmocka_unit_test(test_what_the_exec_hook_added_is_told_apart),
    cmocka_unit_test(test_hiding_leaves_what_the_program_had),
    cmocka_unit_test(test_hiding_takes_variables_out_that_were_ours_alone),
    cmocka_unit_test(test_options_of_asan_that_are_not_ours_stay),
};
MT_TEST_MAIN(tests)
