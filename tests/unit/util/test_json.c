/* test_json.c: streaming JSON and CSV fields. */
#include "harness.h"

#include "util/json.h"

#include <math.h>
#include <string.h>

static void expect_text(struct mt_out *out, const char *wanted)
{
    assert_string_equal(mt_out_text(out, NULL), wanted);
    mt_out_discard(out);
}

static void test_commas_and_nesting_are_kept(void **state)
{
    struct mt_out *out = mt_out_open_memory();
    struct mt_json json;
    (void)state;
    mt_json_init(&json, out, 0);
    mt_json_object(&json);
    mt_json_put_u64(&json, "a", UINT64_MAX);
    mt_json_key(&json, "b");
    mt_json_array(&json);
    mt_json_s64(&json, -5);
    mt_json_null(&json);
    mt_json_bool(&json, true);
    mt_json_object(&json);
    mt_json_object_end(&json);
    mt_json_array_end(&json);
    mt_json_put_text(&json, "c", NULL);
    mt_json_object_end(&json);
    expect_text(out, "{\"a\": 18446744073709551615, \"b\": [-5, null, true, {}], \"c\": null}");
}

static void test_outer_containers_are_broken_into_lines(void **state)
{
    struct mt_out *out = mt_out_open_memory();
    struct mt_json json;
    (void)state;
    mt_json_init(&json, out, 1);
    mt_json_array(&json);
    for (int i = 0; i < 2; i++) {
        mt_json_object(&json);
        mt_json_put_u64(&json, "i", (uint64_t)i);
        mt_json_object_end(&json);
    }
    mt_json_array_end(&json);
    expect_text(out, "[\n  {\"i\": 0},\n  {\"i\": 1}\n]");
}

static void test_an_empty_array_stays_on_one_line(void **state)
{
    struct mt_out *out = mt_out_open_memory();
    struct mt_json json;
    (void)state;
    mt_json_init(&json, out, 3);
    mt_json_array(&json);
    mt_json_array_end(&json);
    expect_text(out, "[]");
}

static void expect_escaped(const char *bytes, size_t length, const char *wanted)
{
    struct mt_out *out = mt_out_open_memory();
    struct mt_json json;
    mt_json_init(&json, out, 0);
    mt_json_bytes(&json, bytes, length);
    expect_text(out, wanted);
}

static void test_strings_are_escaped_and_lose_nothing(void **state)
{
    (void)state;
    expect_escaped("a\"b\\c", 5, "\"a\\\"b\\\\c\"");
    expect_escaped("\n\r\t\b\f", 5, "\"\\n\\r\\t\\b\\f\"");
    expect_escaped("\0\x1b\x7f", 3, "\"\\u0000\\u001b\\u007f\"");
    expect_escaped("\xFFok\xC3", 4, "\"\\udcffok\\udcc3\"");
    expect_escaped("\xC2\x9B", 2, "\"\\u009b\"");
    expect_escaped("\xE2\x80\xAE", 3, "\"\\u202e\"");
    expect_escaped("\xF3\xA0\x81\x81", 4, "\"\\udb40\\udc41\"");     /* U+E0041 */
    expect_escaped("\xED\xA0\x80", 3, "\"\\udced\\udca0\\udc80\""); /* a surrogate as bytes is not UTF-8 */
    expect_escaped("gr\xC3\xBC\xC3\x9F", 6, "\"gr\xC3\xBC\xC3\x9F\"");
    expect_escaped("\xE2\x80\xA8", 3, "\"\\u2028\"");
    expect_escaped("", 0, "\"\"");
}

static void expect_double(double value, const char *wanted)
{
    struct mt_out *out = mt_out_open_memory();
    struct mt_json json;
    mt_json_init(&json, out, 0);
    mt_json_double(&json, value);
    expect_text(out, wanted);
}

static void test_doubles_round_trip_and_stay_finite(void **state)
{
    (void)state;
    expect_double(0.1, "0.1");
    expect_double(1e300, "1e+300");
    expect_double(1.0 / 3, "0.3333333333333333");
    expect_double(NAN, "null");
    expect_double(-INFINITY, "null");
    expect_double(0, "0");
}

static void expect_csv(const char *field, const char *wanted)
{
    struct mt_out *out = mt_out_open_memory();
    mt_csv_field(out, field);
    expect_text(out, wanted);
}

static void test_csv_fields_are_quoted_when_they_must_be(void **state)
{
    (void)state;
    expect_csv("plain", "plain");
    expect_csv("a,b", "\"a,b\"");
    expect_csv("a\"b", "\"a\"\"b\"");
    expect_csv("a;b", "\"a;b\"");
    expect_csv("two\nlines", "two\\nlines");
    expect_csv("\x1b[31m\xC2\x9B", "\\x1b[31m\\u009b");
    expect_csv("", "");
}

static void test_csv_fields_are_no_formulas(void **state)
{
    (void)state;
    expect_csv("=1+1", "\"'=1+1\"");
    expect_csv("+cmd|' /C calc'!A0", "\"'+cmd|' /C calc'!A0\"");
    expect_csv("-1", "\"'-1\"");
    expect_csv("@SUM(A1)", "\"'@SUM(A1)\"");
    expect_csv("\t=1", "\"'\\t=1\"");
    expect_csv("\r=1", "\"'\\r=1\"");
    expect_csv("\xEF\xBC\x9D" "1", "\"'\xEF\xBC\x9D" "1\"");
    expect_csv("=\"a\"", "\"'=\"\"a\"\"\"");
    expect_csv("a=1", "a=1");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_commas_and_nesting_are_kept),
    cmocka_unit_test(test_outer_containers_are_broken_into_lines),
    cmocka_unit_test(test_an_empty_array_stays_on_one_line),
    cmocka_unit_test(test_strings_are_escaped_and_lose_nothing),
    cmocka_unit_test(test_doubles_round_trip_and_stay_finite),
    cmocka_unit_test(test_csv_fields_are_quoted_when_they_must_be),
    cmocka_unit_test(test_csv_fields_are_no_formulas),
};
MT_TEST_MAIN(tests)
