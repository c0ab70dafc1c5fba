/* test_monitor_settings.c: the monitor's settings from the environment and by JSON: all of a change, or nothing of it. */
#include "harness.h"

#include "serve/monitor_settings.h"
#include "util/json_read.h"

#include <stdlib.h>
#include <string.h>

static mt_status change(struct mt_monitor_settings *settings, const char *text, struct mt_error *err)
{
    struct mt_json_value *read = NULL;
    assert_int_equal(mt_json_read(text, strlen(text), &read, NULL), MT_OK);
    mt_status status = mt_monitor_settings_change(settings, read, err);
    mt_json_value_free(read);
    return status;
}

static void test_defaults_are_those_that_are_written_down(void **state)
{
    (void)state;
    struct mt_monitor_settings settings;
    mt_monitor_settings_read(&settings);
    assert_true(settings.tracemalloc_enabled == 0 && settings.tracemalloc_threshold_mb == 100 && settings.tracemalloc_top_n == 10);
    assert_true(settings.tracemalloc_min_interval_s == 60 && settings.slow_query_threshold_ms == 100 && settings.check_interval_s == 5);
}

static void test_the_environment_is_taken_where_it_can_be_read(void **state)
{
    (void)state;
    struct mt_monitor_settings settings;
    assert_int_equal(setenv("MONITORING_TRACEMALLOC_ENABLED", "yes", 1), 0);
    assert_int_equal(setenv("MONITORING_TRACEMALLOC_THRESHOLD_MB", "1.5", 1), 0);
    assert_int_equal(setenv("MONITORING_TRACEMALLOC_TOP_N", "201", 1), 0);           /* at most 200 */
    assert_int_equal(setenv("MONITORING_SLOW_QUERY_RING_SIZE", "2.5", 1), 0);        /* a whole number */
    assert_int_equal(setenv("MONITORING_TRACEMALLOC_MIN_INTERVAL_S", "nan", 1), 0);  /* a number */
    assert_int_equal(setenv("MONITORING_SLOW_QUERY_THRESHOLD_MS", "many", 1), 0);
    mt_monitor_settings_read(&settings);
    assert_true(settings.tracemalloc_enabled == 1 && settings.tracemalloc_threshold_mb == 1.5);
    assert_true(settings.tracemalloc_top_n == 10 && settings.slow_query_ring_size == 50);
    assert_true(settings.tracemalloc_min_interval_s == 60 && settings.slow_query_threshold_ms == 100);
}

static void test_a_change_is_made_as_a_whole_or_not_at_all(void **state)
{
    static const char *const wrong[] = {
        "{\"tracemalloc_top_n\":5,\"no_such\":1}", "{\"tracemalloc_top_n\":5,\"check_interval_s\":0}", "{\"tracemalloc_top_n\":2.5}",
        "{\"tracemalloc_top_n\":\"5\"}",           "{\"tracemalloc_enabled\":1}",                       "{\"tracemalloc_top_n\":true}",
        "[1]",
    };
    (void)state;
    struct mt_monitor_settings settings, before;
    mt_monitor_settings_read(&settings);
    before = settings;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct mt_error err = { 0 };
        assert_int_equal(change(&settings, wrong[i], &err), MT_E_INVAL);
        assert_true(mt_error_text(&err)[0] != '\0' && memcmp(&settings, &before, sizeof settings) == 0);
    }
    struct mt_error err = { 0 };
    assert_int_equal(change(&settings, "{\"tracemalloc_enabled\":true,\"tracemalloc_top_n\":200,\"check_interval_s\":0.01}", &err), MT_OK);
    assert_true(settings.tracemalloc_enabled == 1 && settings.tracemalloc_top_n == 200 && settings.check_interval_s == 0.01);
    assert_true(settings.tracemalloc_threshold_mb == before.tracemalloc_threshold_mb);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_defaults_are_those_that_are_written_down),
    cmocka_unit_test(test_the_environment_is_taken_where_it_can_be_read),
    cmocka_unit_test(test_a_change_is_made_as_a_whole_or_not_at_all),
};
MT_TEST_MAIN(tests)
