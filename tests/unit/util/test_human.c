/* test_human.c: numbers as people write and read them. */
#include "harness.h"

#include "util/human.h"

static void test_bytes_are_powers_of_1024_in_three_digits(void **state)
{
    static const struct {
        double bytes;
        const char *text;
    } cases[] = {
        { 0, "0 B" },
        { 1, "1 B" },
        { 999, "999 B" },
        { 1000, "1000 B" },
        { 1023, "1023 B" },
        { 1023 * 1024, "1.00 MiB" },
        { 1000 * 1024, "0.98 MiB" },
        { 1024, "1.00 KiB" },
        { 10240, "10.0 KiB" },
        { 102400, "100 KiB" },
        { 1048576, "1.00 MiB" },
        { 1073741824, "1.00 GiB" },
        { -2048, "-2.00 KiB" },
        { 0x1p60, "1.00 EiB" },
        { 0x1p63, "8.00 EiB" },
    };
    (void)state;
    for (size_t i = 0; i < MT_COUNTOF(cases); i++) {
        assert_string_equal(mt_human_bytes(cases[i].bytes).text, cases[i].text);
    }
}

static void test_counts_have_commas_every_three_digits(void **state)
{
    (void)state;
    assert_string_equal(mt_human_count(0).text, "0");
    assert_string_equal(mt_human_count(999).text, "999");
    assert_string_equal(mt_human_count(1000).text, "1,000");
    assert_string_equal(mt_human_count(1234567).text, "1,234,567");
    assert_string_equal(mt_human_count(-12345).text, "-12,345");
    assert_string_equal(mt_human_count(0.4).text, "0");
}

static void test_durations_pick_the_unit(void **state)
{
    (void)state;
    assert_string_equal(mt_human_duration(0).text, "0 ns");
    assert_string_equal(mt_human_duration(812).text, "812 ns");
    assert_string_equal(mt_human_duration(1230000).text, "1.23 ms");
    assert_string_equal(mt_human_duration(4560000000u).text, "4.56 s");
    assert_string_equal(mt_human_duration(187000000000u).text, "3 min 07 s");
    assert_string_equal(mt_human_duration(7500000000000u).text, "2 h 05 min");
}

static void test_percent_of_nothing_is_zero(void **state)
{
    (void)state;
    assert_string_equal(mt_human_percent(1, 8).text, "12.5%");
    assert_string_equal(mt_human_percent(0, 0).text, "0.0%");
}

static void test_sizes_are_read_with_every_unit(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        { "0", 0 },          { "512", 512 },        { "512K", 524288 },  { "512k", 524288 },
        { "1.5M", 1572864 }, { "24 MB", 25165824 }, { "1MiB", 1048576 }, { "2g", 2147483648u },
        { "1T", 0x1p40 },    { " 7 b ", 0 },
    };
    (void)state;
    for (size_t i = 0; i + 1 < MT_COUNTOF(cases); i++) {
        uint64_t bytes = 77;
        assert_true(mt_parse_size(cases[i].text, &bytes));
        assert_int_equal(bytes, cases[i].bytes);
    }
}

static void test_wrong_sizes_leave_the_output_untouched(void **state)
{
    static const char *const wrong[] = { "",    "K",   "x",   "-1",   "+1",       "1Q",  "0x10",
                                         "1 2", "inf", "nan", "9e99", "8388608T", "1K B" };
    (void)state;
    for (size_t i = 0; i < MT_COUNTOF(wrong); i++) {
        uint64_t bytes = 77;
        assert_false(mt_parse_size(wrong[i], &bytes));
        assert_int_equal(bytes, 77);
    }
}

static void test_durations_are_read_with_seconds_as_default(void **state)
{
    uint64_t ns = 0;
    (void)state;
    assert_true(mt_parse_duration("1.5", &ns) && ns == 1500000000u);
    assert_true(mt_parse_duration("250ms", &ns) && ns == 250000000u);
    assert_true(mt_parse_duration("2m", &ns) && ns == 120000000000u);
    assert_true(mt_parse_duration("1 h", &ns) && ns == 3600000000000u);
    assert_true(mt_parse_duration("10ns", &ns) && ns == 10);
    assert_false(mt_parse_duration("10 parsecs", &ns));
    assert_false(mt_parse_duration("1000000000000", &ns)); /* over 2^63 ns */
}

static void test_counts_are_digits_that_fit(void **state)
{
    uint64_t count = 5;
    (void)state;
    assert_true(mt_parse_count("18446744073709551615", &count) && count == UINT64_MAX);
    assert_false(mt_parse_count("18446744073709551616", &count));
    assert_false(mt_parse_count("", &count));
    assert_false(mt_parse_count("1x", &count));
    assert_false(mt_parse_count("-1", &count));
    assert_int_equal(count, UINT64_MAX);
}

static void test_words_for_yes_and_no(void **state)
{
    bool value = false;
    (void)state;
    assert_true(mt_parse_bool("YES", &value) && value);
    assert_true(mt_parse_bool("0", &value) && !value);
    assert_false(mt_parse_bool("2", &value));
}

static void test_a_count_and_its_noun_agree(void **state)
{
    (void)state;
    assert_string_equal(mt_human_counted(0, "process", "processes").text, "0 processes");
    assert_string_equal(mt_human_counted(1, "process", "processes").text, "1 process");
    assert_string_equal(mt_human_counted(0.6, "process", "processes").text, "1 process"); /* as it is written */
    assert_string_equal(mt_human_counted(1234567, "allocation", "allocations").text, "1,234,567 allocations");
    assert_string_equal(mt_human_counted(1e18, "block", "blocks").text, "1,000,000,000,000,000,000 blocks");
}

static void test_a_column_has_one_unit_unless_nothing_would_be_left(void **state)
{
    (void)state;
    double mib = 1048576;
    assert_string_equal(mt_human_bytes_like(161 * mib, 161 * mib).text, "161 MiB");
    assert_string_equal(mt_human_bytes_like(0.5 * mib, 161 * mib).text, "0.50 MiB");
    assert_string_equal(mt_human_bytes_like(0.05 * mib, 161 * mib).text, "51.2 KiB");
    assert_string_equal(mt_human_bytes_like(2 * mib, 1024).text, "2.00 MiB");
    assert_string_equal(mt_human_bytes_like(-2 * mib, 2048 * mib).text, "-2.00 MiB");
    assert_string_equal(mt_human_bytes_like(0, 161 * mib).text, "0 B");
}

static void test_times_in_a_column_are_read_as_on_a_clock(void **state)
{
    (void)state;
    assert_string_equal(mt_human_clock(0.463).text, "463 ms");
    assert_string_equal(mt_human_clock(7.24).text, "7.2 s");
    assert_string_equal(mt_human_clock(295.9).text, "4:55");
    assert_string_equal(mt_human_clock(7510).text, "2:05:10");
    assert_string_equal(mt_human_clock(266700).text, "3 d 02:05");
    assert_string_equal(mt_human_clock(-1).text, "0 ms");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_bytes_are_powers_of_1024_in_three_digits),
    cmocka_unit_test(test_counts_have_commas_every_three_digits),
    cmocka_unit_test(test_a_count_and_its_noun_agree),
    cmocka_unit_test(test_durations_pick_the_unit),
    cmocka_unit_test(test_a_column_has_one_unit_unless_nothing_would_be_left),
    cmocka_unit_test(test_times_in_a_column_are_read_as_on_a_clock),
    cmocka_unit_test(test_percent_of_nothing_is_zero),
    cmocka_unit_test(test_sizes_are_read_with_every_unit),
    cmocka_unit_test(test_wrong_sizes_leave_the_output_untouched),
    cmocka_unit_test(test_durations_are_read_with_seconds_as_default),
    cmocka_unit_test(test_counts_are_digits_that_fit),
    cmocka_unit_test(test_words_for_yes_and_no),
};
MT_TEST_MAIN(tests)
