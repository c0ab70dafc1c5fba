/* The environment of the recorded program: launch/environment. */
#include "harness.h"

#include "launch/environment.h"
#include "wire/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct mt_run a_run(void)
{
    static char agent[] = "/lib/agent.so";
    struct mt_run run = { .agent = agent, .output = "/tmp/x.mtap", .tick = { .path = "/dev/shm/tick" } };
    run.options = (struct mt_run_options){ .mode = MT_MODE_SAMPLE, .rate_bytes = 12345, .follow = true,
                                           .max_file_bytes = 1 << 20 };
    return run;
}

static const char *value_in(const struct mt_environment *env, const char *name)
{
    size_t length = strlen(name);
    const char *found = NULL;
    for (size_t i = 0; i < env->count; i++) {
        if (strncmp(env->items[i], name, length) == 0 && env->items[i][length] == '=') {
            assert_null(found); /* once only */
            found = env->items[i] + length + 1;
        }
    }
    return found;
}

static void test_the_agent_reads_what_was_chosen(void **state)
{
    (void)state;
    struct mt_run run = a_run();
    struct mt_environment env = { 0 };
    struct mt_config got;
    mt_environment_build(&run, &env);
    mt_environment_add_settings(&run, 77, &env);
    mt_config_read(env.items, &got);
    assert_string_equal(got.output, "/tmp/x.mtap");
    assert_string_equal(got.tick, "/dev/shm/tick");
    assert_int_equal(got.root_pid, 77);
    assert_int_equal(got.mode, MT_MODE_SAMPLE);
    assert_int_equal(got.rate_bytes, 12345);
    assert_false(got.native);
    assert_false(got.python_allocators);
    assert_true(got.follow);
    assert_int_equal(got.max_file_bytes, 1 << 20);
    mt_environment_clear(&env);
}

static void test_settings_of_an_outer_run_are_replaced(void **state)
{
    (void)state;
    struct mt_run run = a_run();
    struct mt_environment env = { 0 };
    assert_int_equal(setenv("MEMTAP_OUTPUT", "/elsewhere.mtap", 1), 0);
    assert_int_equal(setenv("MEMTAP_MODE", "aggregate", 1), 0);
    mt_environment_build(&run, &env);
    mt_environment_add_settings(&run, 77, &env);
    assert_string_equal(value_in(&env, "MEMTAP_OUTPUT"), "/tmp/x.mtap");
    assert_string_equal(value_in(&env, "MEMTAP_MODE"), "sample");
    mt_environment_clear(&env);
}

static void test_the_agent_comes_before_what_is_preloaded_already(void **state)
{
    (void)state;
    struct mt_run run = a_run();
    struct mt_environment env = { 0 };
    assert_int_equal(setenv("LD_PRELOAD", "/lib/other.so", 1), 0);
    mt_environment_build(&run, &env);
    assert_int_equal(unsetenv("LD_PRELOAD"), 0);
    assert_string_equal(value_in(&env, "LD_PRELOAD"), "/lib/agent.so:/lib/other.so");
    mt_environment_clear(&env);
}

static void test_address_sanitizer_starts_behind_the_agent(void **state)
{
    (void)state;
    struct mt_run run = a_run();
    struct mt_environment env = { 0 };
    assert_int_equal(setenv("ASAN_OPTIONS", "verify_asan_link_order=1:detect_leaks=0", 1), 0);
    mt_environment_build(&run, &env);
    assert_int_equal(unsetenv("ASAN_OPTIONS"), 0);
    assert_string_equal(value_in(&env, "ASAN_OPTIONS"), "verify_asan_link_order=1:detect_leaks=0:verify_asan_link_order=0");
    mt_environment_clear(&env);
}

static void test_a_program_whose_loader_refuses_the_agent_is_not_shown_it(void **state)
{
    (void)state;
    struct mt_run run = a_run();
    struct mt_environment env = { 0 };
    run.alone = true;
    mt_environment_build(&run, &env);
    mt_environment_add_settings(&run, 77, &env);
    assert_null(value_in(&env, "LD_PRELOAD"));
    assert_null(value_in(&env, "MEMTAP_OUTPUT"));
    mt_environment_clear(&env);
}

static void test_everything_else_is_left_as_it_was(void **state)
{
    (void)state;
    struct mt_run run = a_run();
    struct mt_environment env = { 0 };
    assert_int_equal(setenv("MEMTAP_PYTHON", "python3.12", 1), 0);
    assert_int_equal(setenv("APP_MODE", "a=b c", 1), 0);
    mt_environment_build(&run, &env);
    assert_string_equal(value_in(&env, "MEMTAP_PYTHON"), "python3.12");
    assert_string_equal(value_in(&env, "APP_MODE"), "a=b c");
    mt_environment_clear(&env);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_the_agent_reads_what_was_chosen),
    cmocka_unit_test(test_settings_of_an_outer_run_are_replaced),
    cmocka_unit_test(test_the_agent_comes_before_what_is_preloaded_already),
    cmocka_unit_test(test_address_sanitizer_starts_behind_the_agent),
    cmocka_unit_test(test_a_program_whose_loader_refuses_the_agent_is_not_shown_it),
    cmocka_unit_test(test_everything_else_is_left_as_it_was),
};
MT_TEST_MAIN(tests)
