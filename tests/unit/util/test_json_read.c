/* test_json_read.c: JSON from strangers. */
#include "harness.h"

#include "util/json_read.h"
#include "util/memory.h"

#include <malloc.h>
#include <string.h>

static struct mt_json_value *read_good(const char *text)
{
    struct mt_json_value *value = NULL;
    struct mt_error err = { 0 };
    assert_int_equal(mt_json_read(text, strlen(text), &value, &err), MT_OK);
    return value;
}

static void test_values_are_what_was_written(void **state)
{
    (void)state;
    struct mt_json_value *v = read_good(" {\"a\": [1, -2.5e3, true, null], \"b\": \"x\\n\\u00e9\\ud83d\\ude00\\/\", \"a\": {}, \"c\": 9223372036854775807} ");
    const struct mt_json_value *b = mt_json_member(v, "b");
    assert_string_equal(b->text, "x\n\xc3\xa9\xf0\x9f\x98\x80/");
    assert_int_equal(mt_json_member(v, "a")->type, MT_JSON_OBJECT); /* the last one */
    assert_true(mt_json_member(v, "c")->is_whole && mt_json_member(v, "c")->whole == INT64_MAX);
    const struct mt_json_value *items = v->first->first;
    assert_true(items->is_whole && items->whole == 1);
    assert_true(!items->next->is_whole && items->next->number == -2500.0);
    assert_true(items->next->next->type == MT_JSON_BOOL && items->next->next->truth);
    assert_int_equal(items->next->next->next->type, MT_JSON_NULL);
    assert_null(mt_json_member(v, "d"));
    assert_null(mt_json_member(items, "a"));
    mt_json_value_free(v);
}

static void test_what_is_no_json_is_refused(void **state)
{
    static const char *const bad[] = { "", " ", "{", "[1,]", "{\"a\":1,}", "{a:1}", "[1 2]", "01", "1.", ".5", "-", "+1", "1e", "nul", "tru e", "\"", "\"\\x\"", "\"\\u12\"",
                                       "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\u0000\"", "\"\t\"", "\"\xff\"", "\"\xed\xa0\x80\"", "1 1", "{} x", "NaN", "1e999",
                                       "{\"a\" 1}", "{1: 2}", "[\"a]", "'a'", "[1]//" };
    (void)state;
    for (size_t i = 0; i < MT_COUNTOF(bad); i++) {
        struct mt_json_value *value = NULL;
        struct mt_error err = { 0 };
        assert_int_equal(mt_json_read(bad[i], strlen(bad[i]), &value, &err), MT_E_INVAL);
        assert_non_null(strstr(err.text, "no JSON: "));
    }
}

static void test_nesting_has_a_limit(void **state)
{
    char text[2 * MT_JSON_READ_DEPTH_MAX + 3];
    struct mt_json_value *value;
    (void)state;
    memset(text, '[', MT_JSON_READ_DEPTH_MAX);
    memset(text + MT_JSON_READ_DEPTH_MAX, ']', MT_JSON_READ_DEPTH_MAX);
    text[2 * MT_JSON_READ_DEPTH_MAX] = '\0';
    mt_json_value_free(read_good(text));
    memset(text, '[', MT_JSON_READ_DEPTH_MAX + 1);
    assert_int_equal(mt_json_read(text, MT_JSON_READ_DEPTH_MAX + 1, &value, NULL), MT_E_INVAL);
}

/* Any cut of a text is refused or read, without a byte read behind it (under AddressSanitizer). */
static void test_a_cut_text_is_refused(void **state)
{
    static const char whole[] = "{\"payload\": {\"expr\": \"S\\u00e9\\ud83d\\ude00\", \"opts\": {\"limit\": 12.5e1, \"x\": [true, null]}}}";
    (void)state;
    for (size_t bytes = 0; bytes < sizeof whole - 1; bytes++) {
        struct mt_json_value *value = NULL;
        char *copy = mt_alloc(bytes);
        memcpy(copy, whole, bytes);
        assert_int_equal(mt_json_read(copy, bytes, &value, NULL), MT_E_INVAL);
        free(copy);
    }
    mt_json_value_free(read_good(whole));
}

/* A text takes the room of its own characters, not of the document. */
static void test_a_text_is_as_large_as_it_is(void **state)
{
    enum { LARGE = 100000 };
    static const char first[] = "[\"a\\\"\\u00e9\", \"";
    (void)state;
    char *text = mt_alloc(LARGE);
    memset(text, 'x', LARGE);
    memcpy(text, first, sizeof first - 1);
    memcpy(text + LARGE - 3, "\"]", 3);
    struct mt_json_value *v = read_good(text);
    assert_string_equal(v->first->text, "a\"\xc3\xa9");
    assert_true(malloc_usable_size(v->first->text) < 1000);
    assert_int_equal(strlen(v->first->next->text), LARGE - 3 - (sizeof first - 1));
    mt_json_value_free(v);
    free(text);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_values_are_what_was_written),
    cmocka_unit_test(test_what_is_no_json_is_refused),
    cmocka_unit_test(test_nesting_has_a_limit),
    cmocka_unit_test(test_a_cut_text_is_refused),
    cmocka_unit_test(test_a_text_is_as_large_as_it_is),
};
MT_TEST_MAIN(tests)
