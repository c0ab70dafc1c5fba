/* test_line.c: what keys do to a line, and what of it is seen. */
#include "harness.h"

#include "util/line.h"
#include "util/memory.h"
#include "util/terminal.h"

#include <string.h>

static void type(struct mt_line *line, const char *text)
{
    for (; *text != '\0'; text++) {
        assert_true(mt_line_key(line, (unsigned char)*text));
    }
}

static void press(struct mt_line *line, int key, int times)
{
    while (times-- > 0) {
        assert_true(mt_line_key(line, key));
    }
}

static void test_keys_edit_as_people_know_them(void **state)
{
    (void)state;
    struct mt_line line = { 0 };
    press(&line, MT_KEY_ERASE, 2); /* nothing is there */
    press(&line, MT_KEY_LEFT, 2);
    press(&line, MT_KEY_RIGHT, 2);
    type(&line, "SELECT bytes FROM leaks");
    press(&line, MT_KEY_HOME, 1);
    press(&line, MT_KEY_RIGHT, 7);
    type(&line, "sum(");
    press(&line, MT_KEY_CTRL('f'), 5);
    type(&line, ")");
    assert_string_equal(mt_line_text(&line), "SELECT sum(bytes) FROM leaks");
    press(&line, MT_KEY_END, 1);
    press(&line, MT_KEY_CTRL('w'), 1);
    assert_string_equal(mt_line_text(&line), "SELECT sum(bytes) FROM ");
    press(&line, MT_KEY_CTRL('w'), 2);
    assert_string_equal(mt_line_text(&line), "SELECT sum(");
    press(&line, MT_KEY_CTRL('a'), 1);
    press(&line, MT_KEY_DELETE, 3);
    assert_string_equal(mt_line_text(&line), "ECT sum(");
    press(&line, MT_KEY_CTRL('e'), 1);
    press(&line, MT_KEY_CTRL('b'), 4);
    press(&line, MT_KEY_CTRL('k'), 1);
    assert_string_equal(mt_line_text(&line), "ECT ");
    press(&line, MT_KEY_CTRL('u'), 1);
    assert_true(line.bytes == 0 && line.at == 0);
    assert_false(mt_line_key(&line, MT_KEY_PAGE_UP));
    mt_line_fini(&line);
}

static void test_the_cursor_stands_between_characters(void **state)
{
    (void)state;
    struct mt_line line = { 0 };
    type(&line, "aä€e\xCC\x81z"); /* one, two, three bytes, and a letter with a mark that combines */
    press(&line, MT_KEY_LEFT, 2);
    press(&line, MT_KEY_ERASE, 1);
    assert_string_equal(mt_line_text(&line), "aäe\xCC\x81z");
    press(&line, MT_KEY_DELETE, 1);
    assert_string_equal(mt_line_text(&line), "aäz");
    press(&line, MT_KEY_ERASE, 1);
    assert_string_equal(mt_line_text(&line), "az");
    assert_true(mt_line_key(&line, 0xC3)); /* half a character is not there yet, and never where another key follows */
    assert_string_equal(mt_line_text(&line), "az");
    press(&line, MT_KEY_LEFT, 1);
    type(&line, "x");
    assert_string_equal(mt_line_text(&line), "xaz");
    mt_line_fini(&line);
}

static void assert_window(const struct mt_line *line, size_t columns, const char *seen)
{
    size_t from, to;
    mt_line_window(line, columns, &from, &to);
    assert_true(from <= line->at && line->at <= to);
    char *shown = mt_line_shown(line, from, to);
    assert_string_equal(shown, seen);
    free(shown);
}

static void test_of_a_long_line_the_part_around_the_cursor_is_seen(void **state)
{
    (void)state;
    struct mt_line line = { 0 };
    assert_window(&line, 5, "");
    mt_line_set(&line, "0123456789");
    assert_window(&line, 11, "0123456789");
    assert_window(&line, 5, "6789");
    assert_window(&line, 1, "");
    line.at = 0;
    assert_window(&line, 5, "0123");
    line.at = 5;
    assert_window(&line, 5, "1234");
    mt_line_set(&line, "世界a"); /* two columns each */
    assert_window(&line, 4, "界a");
    mt_line_set(&line, "a\x1b[2J\xFF");
    assert_window(&line, 20, "a?[2J?");
    mt_line_fini(&line);
}

/* It is done for every key: what took time by the square of the line's bytes would not end here. */
static void test_a_very_long_line_is_a_line(void **state)
{
    (void)state;
    enum { BYTES = 4 << 20 };
    struct mt_line line = { 0 };
    char *text = mt_alloc(BYTES + 1);
    memset(text, 'x', BYTES);
    text[BYTES] = '\0';
    mt_line_set(&line, text);
    assert_window(&line, 5, "xxxx");
    press(&line, MT_KEY_LEFT, 2);
    assert_int_equal(line.at, BYTES - 2);
    assert_window(&line, 5, "xxxx");
    free(text);
    mt_line_fini(&line);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_keys_edit_as_people_know_them),
    cmocka_unit_test(test_the_cursor_stands_between_characters),
    cmocka_unit_test(test_of_a_long_line_the_part_around_the_cursor_is_seen),
    cmocka_unit_test(test_a_very_long_line_is_a_line),
};
MT_TEST_MAIN(tests)
