/* test_text.c: UTF-8 from strangers, made safe to show. */
#include "harness.h"

#include "util/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t decode(const char *bytes, size_t length, size_t *ret_used)
{
    const char *at = bytes;
    uint32_t code_point = mt_utf8_next(&at, bytes + length);
    *ret_used = (size_t)(at - bytes);
    return code_point;
}

static void test_every_code_point_survives_encoding_and_decoding(void **state)
{
    (void)state;
    for (uint32_t code_point = 0; code_point <= 0x10FFFF; code_point++) {
        char bytes[4] = { 0 };
        size_t used;
        if (code_point >= 0xD800 && code_point <= 0xDFFF) {
            continue;
        }
        size_t length = mt_utf8_put(bytes, code_point);
        assert_int_equal(decode(bytes, length, &used), code_point);
        assert_int_equal(used, length);
    }
}

static void test_ill_formed_bytes_are_told_apart_one_by_one(void **state)
{
    static const char *const bad[] = { "\x80", "\xC0\x80", "\xC1\xBF", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                       "\xF5", "\xFF",     "\xE2\x82", "\xE2\x28\xA1", "\xF0\x80\x80\x80" };
    (void)state;
    for (size_t i = 0; i < MT_COUNTOF(bad); i++) {
        size_t used;
        assert_int_equal(decode(bad[i], strlen(bad[i]), &used), MT_UTF8_BYTE + (unsigned char)bad[i][0]);
        assert_int_equal(used, 1);
    }
}

static void test_a_sequence_cut_by_the_end_is_not_read_past_it(void **state)
{
    char *exact = calloc(1, 2); /* a sanitizer would see a read of the third byte */
    size_t used;
    (void)state;
    memcpy(exact, "\xE2\x82", 2);
    assert_int_equal(decode(exact, 2, &used), MT_UTF8_BYTE + 0xE2);
    free(exact);
}

static void expect_clean(const char *from, size_t bytes, const char *wanted)
{
    char *clean = mt_text_clean(from, bytes);
    assert_string_equal(clean, wanted);
    free(clean);
}

static void test_control_characters_become_visible(void **state)
{
    (void)state;
    expect_clean("plain", 5, "plain");
    expect_clean("a\x1b[2Jb", 6, "a\\x1b[2Jb");
    expect_clean("a\nb\tc", 5, "a\\nb\\tc");
    expect_clean("nul\0in", 6, "nul\\x00in");
    expect_clean("\x7f", 1, "\\x7f");
    expect_clean("\xC2\x9B", 2, "\\u009b"); /* C1 CSI */
    expect_clean("\x9B", 1, "\\x9b");         /* the same as a byte */
    expect_clean("gr\xC3\xBC\xC3\x9F", 6, "gr\xC3\xBC\xC3\x9F");
    expect_clean("\xFF", 1, "\\xff");
    expect_clean("\xEF\xBF\xBD", 3, "\xEF\xBF\xBD");
    expect_clean("", 0, "");
}

static void test_what_reorders_or_hides_text_becomes_visible(void **state)
{
    static const uint32_t deceivers[] = { 0xAD,   0x61C,  0x200B, 0x200D, 0x200E, 0x200F,  0x2028,  0x2029,
                                          0x202A, 0x202B, 0x202C, 0x202D, 0x202E, 0x2060,  0x2066,  0x2067,
                                          0x2068, 0x2069, 0xFEFF, 0xFFF9, 0xFFFB, 0xE0001, 0xE0041, 0xE01EF };
    (void)state;
    for (size_t i = 0; i < MT_COUNTOF(deceivers); i++) {
        char bytes[4];
        char wanted[16];
        size_t length = mt_utf8_put(bytes, deceivers[i]);
        (void)snprintf(wanted, sizeof wanted, deceivers[i] < 0x10000 ? "\\u%04x" : "\\U%08x", deceivers[i]);
        assert_true(mt_text_deceives(deceivers[i]));
        expect_clean(bytes, length, wanted);
    }
    expect_clean("e\xCC\x81", 3, "e\xCC\x81");                 /* a combining accent */
    expect_clean("\xD7\xA9\xD7\x9C", 4, "\xD7\xA9\xD7\x9C"); /* Hebrew letters */
    expect_clean("\xF0\x9F\x90\x8D", 4, "\xF0\x9F\x90\x8D"); /* an emoji */
}

static void test_cleaning_clean_text_changes_nothing(void **state)
{
    char bytes[256 * 3];
    (void)state;
    for (unsigned i = 0; i < 256; i++) { /* each byte alone, and before and after another */
        bytes[i * 3] = (char)i;
        bytes[i * 3 + 1] = 'x';
        bytes[i * 3 + 2] = (char)(i ^ 0x80);
    }
    char *clean = mt_text_clean(bytes, sizeof bytes);
    expect_clean(clean, strlen(clean), clean);
    for (const char *at = clean, *end = clean + strlen(clean); at < end;) {
        assert_false(mt_text_deceives(mt_utf8_next(&at, end)));
    }
    free(clean);
}

static void test_a_buffer_is_cleaned_in_place_and_cut_between_letters(void **state)
{
    char fits[16] = "a\x1b";
    char cut[6] = "ab\x1b"; /* ab\x1b has six letters and no room for its end */
    char letters[8] = "\x01\xC3\xBC\xC3\xBC";
    (void)state;
    mt_text_clean_buffer(fits, sizeof fits);
    assert_string_equal(fits, "a\\x1b");
    mt_text_clean_buffer(cut, sizeof cut);
    assert_string_equal(cut, "ab\\x1");
    mt_text_clean_buffer(letters, sizeof letters);
    assert_string_equal(letters, "\\x01\xC3\xBC");
}

static void test_widths_are_terminal_columns(void **state)
{
    (void)state;
    assert_int_equal(mt_text_columns("abc", 3), 3);
    assert_int_equal(mt_text_columns("\xC3\xBC", 2), 1);                 /* ü */
    assert_int_equal(mt_text_columns("\xE4\xB8\xAD\xE6\x96\x87", 6), 4); /* 中文 */
    assert_int_equal(mt_text_columns("e\xCC\x81", 3), 1);                /* e + combining acute */
}

static void expect_fit(const char *text, size_t columns, enum mt_cut cut, const char *wanted)
{
    char *fitted = mt_text_fit(text, columns, cut);
    assert_string_equal(fitted, wanted);
    assert_true(mt_text_columns(fitted, strlen(fitted)) <= columns);
    free(fitted);
}

static void test_cutting_keeps_both_ends_of_a_path(void **state)
{
    (void)state;
    expect_fit("/usr/lib/python3/json.py", 40, MT_CUT_MIDDLE, "/usr/lib/python3/json.py");
    expect_fit("/usr/lib/python3/json.py", 11, MT_CUT_MIDDLE, "/usr\u2026son.py");
    expect_fit("abcdef", 4, MT_CUT_END, "abc\u2026");
    expect_fit("abcdef", 1, MT_CUT_MIDDLE, "\u2026");
    expect_fit("abcdef", 0, MT_CUT_MIDDLE, "");
    expect_fit("\u4e2d\u6587\u4e2d\u6587", 4, MT_CUT_MIDDLE, "\u2026\u6587");
}

static void test_cutting_a_place_never_cuts_the_name_of_its_file(void **state)
{
    (void)state;
    expect_fit("app/cache.py:31 handle", 22, MT_CUT_PLACE, "app/cache.py:31 handle");
    expect_fit("app/cache.py:31 handle", 21, MT_CUT_PLACE, "\u2026/cache.py:31 handle");
    expect_fit("app/cache.py:31 handle", 19, MT_CUT_PLACE, "\u2026/cache.py:31 hand\u2026");
    expect_fit("app/cache.py:31 handle", 15, MT_CUT_PLACE, "app/cache.py:31");
    expect_fit("app/cache.py:31 handle", 14, MT_CUT_PLACE, "\u2026/cache.py:31");
    expect_fit("app/cache.py:31 handle", 12, MT_CUT_PLACE, "cache.py:31");
    expect_fit("a/b/c/cache.py:31 f", 16, MT_CUT_PLACE, "\u2026/cache.py:31 f");
    expect_fit("a/b/c/cache.py:31 f", 17, MT_CUT_PLACE, "\u2026/c/cache.py:31 f");
    expect_fit("SSL_new (libssl.so.3)", 16, MT_CUT_PLACE, "SSL_new (libssl\u2026");
    expect_fit("app/long_file_name.py", 10, MT_CUT_PLACE, "lon\u2026ame.py");
    expect_fit("app/a_very_long_file_name.py:31 f", 20, MT_CUT_PLACE, "a_very_\u2026e_name.py:31"); /* its line stays */
    expect_fit("app/cache.py handle_all", 17, MT_CUT_PLACE, "\u2026/cache.py handl\u2026"); /* by function: a place without a line */
    assert_int_equal(mt_text_place_columns("SSL_new (libssl.so.3)"), 0);
    assert_int_equal(mt_text_place_columns("app/cache.py:31 handle"), strlen("_/cache.py:31"));
    assert_int_equal(mt_text_place_columns("cache.py:31 handle"), strlen("cache.py:31"));
}

static void test_cutting_a_function_keeps_what_it_is_called(void **state)
{
    (void)state;
    expect_fit("a.cpp:3 ns::Type<x::y>::handle", 30, MT_CUT_PLACE, "a.cpp:3 ns::Type<x::y>::handle");
    expect_fit("a.cpp:3 ns::Type<x::y>::handle", 29, MT_CUT_PLACE, "a.cpp:3 \u2026Type<x::y>::handle");
    expect_fit("a.cpp:3 ns::Type<x::y>::handle", 20, MT_CUT_PLACE, "a.cpp:3 \u2026handle");
    expect_fit("a.cpp:3 ns::Type<x::y>::handle", 14, MT_CUT_PLACE, "a.cpp:3 \u2026hand\u2026");
    expect_fit("\u2190 Service::make_generator[], malloc", 26, MT_CUT_NAMES, "\u2190 \u2026make_generator[]");
    expect_fit("\u2190 Service::make_generator[], malloc", 31, MT_CUT_NAMES, "\u2190 Service::make_generator[], \u2026");
    expect_fit("\u2190 std::vector::push_back", 14, MT_CUT_NAMES, "\u2190 \u2026push_back");
    expect_fit("\u2190 operator new", 10, MT_CUT_NAMES, "\u2190 operato\u2026");
    expect_fit("\u2190 bytes, list, \u2026", 12, MT_CUT_NAMES, "\u2190 bytes, \u2026");
    expect_fit("\u2190 asyncio.tasks.gather", 12, MT_CUT_NAMES, "\u2190 \u2026gather");
    expect_fit("a::b::handle", 10, MT_CUT_NAME, "\u2026b::handle");
    expect_fit("a.py:1 import http.server", 20, MT_CUT_PLACE, "a.py:1 import http.\u2026"); /* no part of a name: a word before it */
    expect_fit("/home/a/b/python3 svc.py", 19, MT_CUT_COMMAND, "\u2026/b/python3 svc.py");
    expect_fit("/home/a/b/python3 svc.py", 14, MT_CUT_COMMAND, "\u2026/python3 svc\u2026");
    expect_fit("/home/a/b/python3", 12, MT_CUT_PLACE, "\u2026/b/python3");
    expect_fit("ns::Type::handle", 8, MT_CUT_PLACE, "\u2026handle"); /* one word, and no path */
    assert_int_equal(mt_text_place_readable_columns("app/cache.py:31 ns::handle"), strlen("_/cache.py:31 _handle"));
    assert_int_equal(mt_text_place_readable_columns("handle"), strlen("handle"));
    assert_int_equal(mt_text_place_readable_columns("a.py:1 b.handle, c.py:2 d"), strlen("a.py:1 _handle"));
}

static void test_the_nearest_word_forgives_typing_errors(void **state)
{
    static const char *const words[] = { "summary", "stats", "tree", "table", "leaks", NULL };
    (void)state;
    assert_string_equal(mt_text_nearest("sumary", words), "summary");
    assert_string_equal(mt_text_nearest("stast", words), "stats");
    assert_string_equal(mt_text_nearest("tabel", words), "table");
    assert_null(mt_text_nearest("xyzzy", words));
    assert_null(mt_text_nearest("a-word-much-longer-than-any-table-row-of-the-matrix", words));
}

static void test_a_line_ends_at_a_space_that_fits(void **state)
{
    (void)state;
    assert_int_equal(mt_text_line("one two three", 80), 13);
    assert_int_equal(mt_text_line("one two three", 13), 13);
    assert_int_equal(mt_text_line("one two three", 12), 7);
    assert_int_equal(mt_text_line("one two three", 7), 7);
    assert_int_equal(mt_text_line("one two three", 6), 3);
    assert_int_equal(mt_text_line("longer than that", 3), 6);
    assert_int_equal(mt_text_line(" indented", 3), 9);
    assert_int_equal(mt_text_line("\u00e4\u00e4\u00e4 b", 3), 6); /* columns, not bytes */
    assert_int_equal(mt_text_line("", 3), 0);
}

static void test_the_last_name_of_a_path_is_never_empty(void **state)
{
    (void)state;
    assert_string_equal(mt_text_base_name("/a/b.c"), "b.c");
    assert_string_equal(mt_text_base_name("/a/"), "");
    assert_string_equal(mt_text_last_name("/a/b.c"), "b.c");
    assert_string_equal(mt_text_last_name("b.c"), "b.c");
    assert_string_equal(mt_text_last_name("/a/"), "/a/");
    assert_string_equal(mt_text_last_name(""), "");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_the_last_name_of_a_path_is_never_empty),
    cmocka_unit_test(test_every_code_point_survives_encoding_and_decoding),
    cmocka_unit_test(test_ill_formed_bytes_are_told_apart_one_by_one),
    cmocka_unit_test(test_a_sequence_cut_by_the_end_is_not_read_past_it),
    cmocka_unit_test(test_control_characters_become_visible),
    cmocka_unit_test(test_what_reorders_or_hides_text_becomes_visible),
    cmocka_unit_test(test_cleaning_clean_text_changes_nothing),
    cmocka_unit_test(test_a_buffer_is_cleaned_in_place_and_cut_between_letters),
    cmocka_unit_test(test_widths_are_terminal_columns),
    cmocka_unit_test(test_cutting_keeps_both_ends_of_a_path),
    cmocka_unit_test(test_cutting_a_place_never_cuts_the_name_of_its_file),
    cmocka_unit_test(test_cutting_a_function_keeps_what_it_is_called),
    cmocka_unit_test(test_a_line_ends_at_a_space_that_fits),
    cmocka_unit_test(test_the_nearest_word_forgives_typing_errors),
};
MT_TEST_MAIN(tests)
