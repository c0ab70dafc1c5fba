/* What the tool writes into the environment is what the agent reads there: wire/config. */
#include "harness.h"

#include "base/status.h"
#include "wire/config.h"

#include <stdio.h>
#include <string.h>

static struct mt_config read_one(const char *variable)
{
    static struct mt_config config;
    char text[2 * MT_CONFIG_PATH_BYTES];
    char *envp[] = { text, NULL };
    (void)snprintf(text, sizeof text, "%s", variable);
    memset(&config, 0xAA, sizeof config);
    mt_config_read(envp, &config);
    return config;
}

static void test_an_empty_environment_means_the_defaults(void **state)
{
    (void)state;
    struct mt_config config;
    memset(&config, 0xAA, sizeof config);
    mt_config_read(NULL, &config);
    assert_string_equal(config.output, "");
    assert_string_equal(config.tick, "");
    assert_int_equal(config.mode, MT_MODE_EXACT);
    assert_int_equal(config.rate_bytes, 512 * 1024);
    assert_true(config.native && config.python_allocators && config.follow);
    assert_int_equal(config.max_file_bytes, 0);
    assert_int_equal(config.root_pid, 0);
}

static void test_each_setting_is_read_by_its_name(void **state)
{
    (void)state;
    assert_string_equal(read_one("MEMTAP_OUTPUT=/tmp/a=b.mtap").output, "/tmp/a=b.mtap");
    assert_int_equal(read_one("MEMTAP_MODE=sample").mode, MT_MODE_SAMPLE);
    assert_int_equal(read_one("MEMTAP_MODE=aggregate").mode, MT_MODE_AGGREGATE);
    assert_int_equal(read_one("MEMTAP_RATE=4096").rate_bytes, 4096);
    assert_false(read_one("MEMTAP_NATIVE=0").native);
    assert_false(read_one("MEMTAP_FOLLOW=0").follow);
    assert_int_equal(read_one("MEMTAP_MAX_FILE=18446744073709551615").max_file_bytes, UINT64_MAX);
}

static void test_a_value_that_is_not_of_its_kind_means_the_default(void **state)
{
    (void)state;
    static const char *const rates[] = { "MEMTAP_RATE=",   "MEMTAP_RATE=0",    "MEMTAP_RATE=-1", "MEMTAP_RATE=12k",
                                         "MEMTAP_RATE= 1", "MEMTAP_RATE=0x10", "MEMTAP_RATE=18446744073709551616",
                                         "MEMTAP_RATE=1125899906842625" };
    for (size_t i = 0; i < MT_COUNTOF(rates); i++) {
        assert_int_equal(read_one(rates[i]).rate_bytes, MT_RATE_DEFAULT);
    }
    assert_int_equal(read_one("MEMTAP_MODE=off").mode, MT_MODE_EXACT);
    assert_int_equal(read_one("MEMTAP_MODE=Sample").mode, MT_MODE_EXACT);
    assert_true(read_one("MEMTAP_NATIVE=2").native);
}

static void test_a_path_that_is_too_long_is_none(void **state)
{
    (void)state;
    static char variable[MT_CONFIG_PATH_BYTES + 32] = "MEMTAP_OUTPUT=/";
    memset(variable + 15, 'x', MT_CONFIG_PATH_BYTES);
    assert_string_equal(read_one(variable).output, "");
}

static void test_only_whole_names_are_settings(void **state)
{
    (void)state;
    static const char *const others[] = { "MEMTAP_RATES=1", "MEMTAP_RAT=1", "MEMTAP_=1", "XMEMTAP_RATE=1", "MEMTAP_RATE",
                                          "MEMTAP_AGENT=/x" };
    for (size_t i = 0; i < MT_COUNTOF(others); i++) {
        assert_null(mt_config_field_of(others[i]));
    }
    assert_string_equal(mt_config_field_of("MEMTAP_RATE=1")->name, "RATE");
}

static void test_a_number_that_was_read_is_what_the_table_shows(void **state)
{
    (void)state;
    struct mt_config config = read_one("MEMTAP_ROOT_PID=4711");
    assert_int_equal(mt_config_number(&config, &mt_config_fields[MT_CONFIG_AT_ROOT_PID]), 4711);
    assert_int_equal(mt_config_number(&config, &mt_config_fields[MT_CONFIG_AT_MODE]), MT_MODE_EXACT);
    assert_int_equal(mt_config_number(&config, &mt_config_fields[MT_CONFIG_AT_FOLLOW]), 1);
    assert_string_equal(mt_mode_word(MT_MODE_SAMPLE), "sample");
    assert_null(mt_mode_word(MT_MODE__COUNT));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_an_empty_environment_means_the_defaults),
    cmocka_unit_test(test_each_setting_is_read_by_its_name),
    cmocka_unit_test(test_a_value_that_is_not_of_its_kind_means_the_default),
    cmocka_unit_test(test_a_path_that_is_too_long_is_none),
    cmocka_unit_test(test_only_whole_names_are_settings),
    cmocka_unit_test(test_a_number_that_was_read_is_what_the_table_shows),
};
MT_TEST_MAIN(tests)
