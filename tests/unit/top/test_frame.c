/* test_frame.c: what `memtap top` shows, as a function of what it knows. */
#include "harness.h"

#include "top/data.h"
#include "top/frame.h"
#include "util/memory.h"
#include "util/out.h"
#include "util/text.h"

#include <math.h>
#include <string.h>

static const uint64_t MIB = 1 << 20;

static struct mt_top_site site(const char *key, const char *line, const char *by, uint64_t bytes)
{
    return (struct mt_top_site){ .key = mt_strdup(key), .line = mt_strdup(line), .by = mt_strdup(by), .bytes = bytes, .count = bytes / 100,
                                 .since_mark_bytes = (double)bytes / 4, .rate_bytes_per_s = 1024.0 * 580, .age_s = 295 };
}

/* The example of the guide. */
static struct mt_top_look example(void)
{
    struct mt_top_look look = {
        .pid = 4242, .path = mt_strdup("x.mtap"), .program = mt_strdup("service.py"), .python = "3.12", .rate_bytes = 512 << 10,
        .own_share = 0.004, .own_bytes = MIB, .processes = 1, .recording = true, .watched_s = 300,
        .process = { true, 231 * MIB, 225 * MIB, 12, 512 * MIB, 240 * MIB },
        .heap_bytes = 213 * MIB, .heap_count = 20000, .growth_bytes_per_s = 35.0 * 1024 * 1024 / 60,
        .allocated_bytes_per_s = 1.2e9, .freed_bytes_per_s = 1.1e9, .seconds_to_limit = 480, .marked_s = 12,
    };
    look.history = mt_alloc(4 * sizeof *look.history);
    look.history_count = 4;
    memcpy(look.history, (uint64_t[]){ 0, 100, 200, 400 }, 4 * sizeof *look.history);
    look.sites = mt_alloc_zero(3, sizeof *look.sites);
    look.site_count = 3;
    look.sites[0] = site("/app/src/cache.py:31 handle", "cache.py:31 handle", "bytearray", 161 * MIB);
    look.sites[1] = site("/app/src/cache.py:8 <module>", "cache.py:8 import numpy", "", 50 * MIB);
    look.sites[1].import = true;
    look.sites[2] = site("/app/src/log.py:77 emit", "log.py:77 emit", "str", 2 * MIB);
    return look;
}

static char *joined(const struct mt_screen *screen)
{
    struct mt_out *out = mt_out_open_memory();
    for (size_t i = 0; i < screen->count; i++) {
        mt_out_print(out, "%s\n", screen->lines[i].text);
    }
    char *text = mt_strdup(mt_out_text(out, NULL));
    mt_out_discard(out);
    return text;
}

static char *frame(const struct mt_top_look *look, const struct mt_top_ui *ui, size_t columns, size_t rows, size_t limit)
{
    struct mt_screen screen = { 0 };
    struct mt_top_space space = { columns, rows, limit };
    mt_top_frame(look, ui, &space, &screen);
    for (size_t i = 0; i < screen.count && columns > 0; i++) {
        assert_true(mt_text_columns(screen.lines[i].text, strlen(screen.lines[i].text)) <= columns);
    }
    if (rows > 0) {
        assert_int_equal(screen.count, rows);
    }
    char *text = joined(&screen);
    mt_screen_clear(&screen);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in:\n%s", part, text);
    }
}

static void test_a_frame_says_whose_memory_how_much_how_fast_and_until_when(void **state)
{
    (void)state;
    struct mt_top_look look = example();
    struct mt_top_ui ui = { 0 };
    char *text = frame(&look, &ui, 140, 24, 0);
    assert_has(text, "memtap top 4242 · service.py · python 3.12 · 12 threads · sample 512 KiB · own 0.4 % · RSS 231 MiB of 512 MiB (limit in 8 min)\n");
    assert_has(text, " heap 213 MiB ▁▃▅█   +35.0 MiB/min   alloc 1.12 GiB/s   free 1.02 GiB/s   other 11.0 MiB\n");
    assert_has(text, "  161 MiB   +40.2 MiB  +580 KiB/s  1,688,207  4:55  cache.py:31 handle ← bytearray\n");
    assert_has(text, "q quit");
    free(text);
    mt_top_look_fini(&look);
}

static void test_every_line_fits_every_width_and_the_screen_is_full(void **state)
{
    (void)state;
    struct mt_top_look look = example();
    struct mt_top_ui ui = { .expanded = true };
    mt_strlist_add(&ui.stack, "a/rather/long/path/to/a/file/that/is/deep/cache.py:31 a_function_with_a_long_name");
    for (size_t columns = 1; columns < 200; columns++) {
        free(frame(&look, &ui, columns, 24, 0));
    }
    for (size_t rows = 20; rows < 60; rows += 7) {
        free(frame(&look, &ui, 80, rows, 0));
    }
    mt_top_ui_fini(&ui);
    mt_top_look_fini(&look);
}

static void test_imports_stand_last_whatever_they_hold(void **state)
{
    (void)state;
    struct mt_top_look look = example();
    struct mt_top_ui ui = { 0 };
    char *text = frame(&look, &ui, 0, 0, 0);
    assert_true(strstr(text, "log.py:77") < strstr(text, "import numpy"));
    free(text);
    mt_top_look_fini(&look);
}

static void test_a_limit_of_rows_says_what_it_leaves_out(void **state)
{
    (void)state;
    struct mt_top_look look = example();
    struct mt_top_ui ui = { 0 };
    char *text = frame(&look, &ui, 0, 0, 1);
    assert_has(text, " … 2 more rows, 52.0 MiB\n");
    assert_null(strstr(text, "log.py:77"));
    free(text);
    mt_top_look_fini(&look);
}

static void test_names_of_a_target_cannot_drive_the_terminal(void **state)
{
    (void)state;
    struct mt_top_look look = example();
    struct mt_top_ui ui = { 0 };
    free(look.sites[0].line);
    free(look.sites[0].by);
    free(look.program);
    look.sites[0].line = mt_strdup("\x1b[2Jevil.py:1 \x9b x");
    look.sites[0].by = mt_strdup("\r\n\x07");
    look.program = mt_strdup("a\x1b]0;title\x07");
    char *text = frame(&look, &ui, 100, 24, 0);
    for (const char *byte = text; *byte != '\0'; byte++) {
        assert_true((unsigned char)*byte >= 0x20 || *byte == '\n');
    }
    assert_has(text, "\\x1b[2Jevil.py:1");
    free(text);
    mt_top_look_fini(&look);
}

static void test_what_is_not_known_is_not_shown_as_a_number(void **state)
{
    (void)state;
    struct mt_top_look look = example();
    struct mt_top_ui ui = { 0 };
    look.own_share = look.seconds_to_limit = look.allocated_bytes_per_s = look.sites[0].since_mark_bytes = look.sites[0].age_s = (double)NAN;
    look.process = (struct mt_top_process){ false, MT_TOP_UNKNOWN, MT_TOP_UNKNOWN, MT_TOP_UNKNOWN, MT_TOP_UNKNOWN, MT_TOP_UNKNOWN };
    look.recording = false;
    char *text = frame(&look, &ui, 140, 24, 0);
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "RSS"));
    assert_has(text, "PROCESS ENDED");
    assert_has(text, "  —  ");
    free(text);
    mt_top_look_fini(&look);
}

static void test_a_spark_is_as_high_as_the_largest_of_what_a_cell_stands_for(void **state)
{
    (void)state;
    static const uint64_t values[] = { 8, 0, 0, 0, 4, 1 };
    char *spark = mt_top_spark(values, 6, 3);
    assert_string_equal(spark, "█▁▅");
    free(spark);
    spark = mt_top_spark(values, 0, 3);
    assert_string_equal(spark, "");
    free(spark);
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

static void test_keys_move_sort_find_and_quit(void **state)
{
    (void)state;
    struct mt_top_look look = example();
    struct mt_top_ui ui = { 0 };
    assert_int_equal(mt_top_key(&ui, &look, MT_KEY_DOWN, 10), MT_TOP_SHOW);
    assert_string_equal(ui.selected, look.sites[2].key);
    assert_int_equal(mt_top_key(&ui, &look, MT_KEY_ENTER, 10), MT_TOP_SHOW);
    assert_true(ui.expanded);
    (void)mt_top_key(&ui, &look, MT_KEY_HOME, 10);
    assert_string_equal(ui.selected, look.sites[0].key);
    assert_false(ui.expanded);
    (void)mt_top_key(&ui, &look, MT_KEY_PAGE_DOWN, 10);
    assert_string_equal(ui.selected, look.sites[1].key); /* the import, last */
    assert_int_equal(mt_top_key(&ui, &look, 's', 10), MT_TOP_SHOW);
    assert_int_equal(ui.sort, MT_TOP_BY_MARK);
    assert_int_equal(mt_top_key(&ui, &look, 'm', 10), MT_TOP_MARK);
    assert_int_equal(mt_top_key(&ui, &look, 'w', 10), MT_TOP_WRITE);
    assert_int_equal(mt_top_key(&ui, &look, 't', 10), MT_TOP_READ);
    assert_true(ui.by_thread);
    assert_null(ui.selected);
    assert_int_equal(mt_top_key(&ui, &look, 'p', 10), MT_TOP_SHOW);
    assert_int_equal(mt_top_key(&ui, &look, 'p', 10), MT_TOP_READ);
    assert_int_equal(mt_top_key(&ui, &look, 'q', 10), MT_TOP_QUIT);
    assert_int_equal(mt_top_key(&ui, &look, MT_KEY_CLOSED, 10), MT_TOP_QUIT);
    assert_int_equal(mt_top_key(&ui, &look, MT_KEY_NONE, 10), MT_TOP_NOTHING);
    mt_top_ui_fini(&ui);
    mt_top_look_fini(&look);
}

static void test_what_is_typed_behind_a_slash_is_looked_for_and_is_no_command(void **state)
{
    (void)state;
    struct mt_top_look look = example();
    struct mt_top_ui ui = { 0 };
    size_t count;
    for (const char *key = "/LOGq"; *key != '\0'; key++) {
        assert_int_equal(mt_top_key(&ui, &look, *key, 10), MT_TOP_SHOW);
    }
    (void)mt_top_key(&ui, &look, MT_KEY_ERASE, 10);
    assert_string_equal(ui.search, "LOG");
    (void)mt_top_key(&ui, &look, MT_KEY_ENTER, 10);
    size_t *order = mt_top_order(&look, &ui, &count);
    assert_int_equal(count, 1);
    assert_int_equal(order[0], 2);
    free(order);
    (void)mt_top_key(&ui, &look, MT_KEY_ESCAPE, 10);
    free(mt_top_order(&look, &ui, &count));
    assert_int_equal(count, 3);
    for (unsigned i = 0; i < 200; i++) {
        (void)mt_top_key(&ui, &look, i == 0 ? '/' : 'x', 10);
    }
    assert_int_equal(strlen(ui.search), MT_TOP_SEARCH_MAX - 1);
    mt_top_ui_fini(&ui);
    mt_top_look_fini(&look);
}

static int next_key(const char **at, const char *end)
{
    int key = -1;
    return mt_key_parse(at, end, &key) ? key : -1;
}

static void test_sequences_of_terminals_are_keys(void **state)
{
    (void)state;
    static const char typed[] = "\x1b[A\x1bOB\x1b[5~\x1b[6~\x1b[1~\x1b[F\x1b[99~q\r\n\x7f\x1b[";
    static const int keys[] = { MT_KEY_UP, MT_KEY_DOWN, MT_KEY_PAGE_UP, MT_KEY_PAGE_DOWN, MT_KEY_HOME, MT_KEY_END, MT_KEY_NONE, 'q',
                                MT_KEY_ENTER, MT_KEY_ENTER, MT_KEY_ERASE, -1 };
    const char *at = typed, *end = typed + sizeof typed - 1;
    for (size_t i = 0; i < MT_COUNTOF(keys); i++) {
        assert_int_equal(next_key(&at, end), keys[i]);
    }
}

static void test_json_has_null_for_what_is_not_known(void **state)
{
    (void)state;
    struct mt_top_look look = example();
    struct mt_top_ui ui = { 0 };
    look.own_share = (double)NAN;
    look.process.limit_bytes = MT_TOP_UNKNOWN;
    struct mt_out *out = mt_out_open_memory();
    mt_top_write_json(&look, &ui, 1, out);
    const char *text = mt_out_text(out, NULL);
    assert_has(text, "\"own_cpu_share\": null");
    assert_has(text, "\"limit_bytes\": null");
    assert_has(text, "\"heap_bytes\": 223346688");
    assert_int_equal(strchr(text, '\n') - text, (long)strlen(text) - 1);
    mt_out_discard(out);
    mt_top_look_fini(&look);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_frame_says_whose_memory_how_much_how_fast_and_until_when),
    cmocka_unit_test(test_every_line_fits_every_width_and_the_screen_is_full),
    cmocka_unit_test(test_imports_stand_last_whatever_they_hold),
    cmocka_unit_test(test_a_limit_of_rows_says_what_it_leaves_out),
    cmocka_unit_test(test_names_of_a_target_cannot_drive_the_terminal),
    cmocka_unit_test(test_what_is_not_known_is_not_shown_as_a_number),
    cmocka_unit_test(test_a_spark_is_as_high_as_the_largest_of_what_a_cell_stands_for),
    cmocka_unit_test(test_keys_move_sort_find_and_quit),
    cmocka_unit_test(test_what_is_typed_behind_a_slash_is_looked_for_and_is_no_command),
    cmocka_unit_test(test_sequences_of_terminals_are_keys),
    cmocka_unit_test(test_json_has_null_for_what_is_not_known),
};
MT_TEST_MAIN(tests)
