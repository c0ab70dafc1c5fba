/* test_grid.c: rows and columns for a terminal. */
#include "harness.h"

#include "util/grid.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static void expect_print(struct mt_grid *grid, const char *wanted)
{
    struct mt_out *out = mt_out_open_memory();
    mt_grid_print(grid, out);
    assert_string_equal(mt_out_text(out, NULL), wanted);
    mt_out_discard(out);
    mt_grid_free(grid);
}

static void test_numbers_are_flush_right_and_text_flush_left(void **state)
{
    struct mt_grid *grid = mt_grid_new();
    (void)state;
    mt_grid_column(grid, "name", MT_ALIGN_LEFT, false);
    mt_grid_column(grid, "bytes", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "place", MT_ALIGN_LEFT, true);
    static const char *const cells[] = { "a", "1", "x", "longer", "123456", "yy" };
    for (size_t i = 0; i < MT_COUNTOF(cells); i++) {
        mt_grid_cell(grid, cells[i]);
    }
    assert_int_equal(mt_grid_rows(grid), 2);
    expect_print(grid, "name     bytes  place\n"
                       "a            1  x\n"
                       "longer  123456  yy\n");
}

static void test_empty_cells_at_the_end_leave_no_spaces_and_notes_follow_their_row(void **state)
{
    struct mt_grid *grid = mt_grid_new();
    (void)state;
    mt_grid_column(grid, "n", MT_ALIGN_RIGHT, false);
    mt_grid_column_place(grid, "line");
    mt_grid_column(grid, "by", MT_ALIGN_LEFT, true);
    static const char *const cells[] = { "1", "a.py:1 f", "", "22", "", "x" };
    for (size_t i = 0; i < MT_COUNTOF(cells); i++) {
        mt_grid_cell(grid, cells[i]);
        if (i == 2) {
            mt_grid_note(grid, "    below \x1b");
        }
    }
    expect_print(grid, " n  line      by\n"
                       " 1  a.py:1 f\n"
                       "    below \\x1b\n"
                       "22            x\n");
}

static void test_wide_characters_keep_columns_straight(void **state)
{
    struct mt_grid *grid = mt_grid_new();
    (void)state;
    mt_grid_column(grid, "n", MT_ALIGN_LEFT, false);
    mt_grid_column(grid, "v", MT_ALIGN_LEFT, false);
    mt_grid_cell(grid, "\u4e2d\u6587");
    mt_grid_cell(grid, "1");
    mt_grid_cell(grid, "abcd");
    mt_grid_cell(grid, "2");
    expect_print(grid, "n     v\n\u4e2d\u6587  1\nabcd  2\n");
}

static void test_hostile_cells_cannot_drive_the_terminal(void **state)
{
    struct mt_grid *grid = mt_grid_new();
    (void)state;
    mt_grid_column(grid, "n", MT_ALIGN_LEFT, false);
    mt_grid_cell(grid, "\x1b[31mred\n");
    expect_print(grid, "n\n\\x1b[31mred\\n\n");
}

static void test_a_pipe_gets_long_paths_whole(void **state)
{
    char path[3000];
    struct mt_grid *grid = mt_grid_new();
    struct mt_out *out = mt_out_open_memory();
    (void)state;
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    mt_grid_column(grid, "place", MT_ALIGN_LEFT, true);
    mt_grid_cell(grid, path);
    mt_grid_print(grid, out);
    assert_non_null(strstr(mt_out_text(out, NULL), path));
    mt_out_discard(out);
    mt_grid_free(grid);
}

static void test_an_empty_grid_prints_its_heading(void **state)
{
    struct mt_grid *grid = mt_grid_new();
    (void)state;
    mt_grid_column(grid, "a", MT_ALIGN_LEFT, false);
    assert_int_equal(mt_grid_rows(grid), 0);
    expect_print(grid, "a\n");
    expect_print(mt_grid_new(), "");
}

/* A memory output that is laid out for a terminal of so many columns. */
static struct mt_out *terminal(const char *columns)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY);
    struct mt_out *out = mt_out_open_memory();
    assert_true(fd >= 0);
    setenv("COLUMNS", columns, 1);
    setenv("NO_COLOR", "1", 1);
    mt_out_shown_at(out, fd);
    return out;
}

static void expect_shown(struct mt_out *out, const char *wanted)
{
    assert_string_equal(mt_out_text(out, NULL), wanted);
    mt_out_discard(out);
}

static void fill(struct mt_grid *grid, const char *const *cells, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mt_grid_cell(grid, cells[i]);
    }
}

static void expect_grid(struct mt_grid *grid, const char *columns, const char *wanted)
{
    struct mt_out *out = terminal(columns);
    mt_grid_print(grid, out);
    expect_shown(out, wanted);
}

static void test_a_place_has_the_room_of_an_empty_last_cell_and_others_stay_in_their_column(void **state)
{
    struct mt_grid *grid = mt_grid_new();
    (void)state;
    mt_grid_column(grid, "n", MT_ALIGN_RIGHT, false);
    mt_grid_column_place(grid, "line");
    mt_grid_column(grid, "by", MT_ALIGN_LEFT, true);
    static const char *const cells[] = { "1", "a.py:1 a_function_of_30_columns", "",
                                         "2", "a.py:2 function", "<- str",
                                         "3", "a.py:3 a_function", "<- another of 30 columns here" };
    fill(grid, cells, MT_COUNTOF(cells));
    expect_grid(grid, "36", "n  line               by\n"
                            "1  a.py:1 a_function_of_30_columns\n"
                            "2  a.py:2 function    <- str\n"
                            "3  a.py:3 a_function  <- an\u2026mns here\n");
    mt_grid_free(grid);
}

static void test_the_column_gives_way_where_few_cells_are_cut_for_it(void **state)
{
    struct mt_grid *grid = mt_grid_new();
    (void)state;
    mt_grid_column_place(grid, "line");
    mt_grid_column(grid, "by", MT_ALIGN_LEFT, true);
    static const char *const cells[] = { "a.py:1 function_one", "0123456789abcdef", "a.py:2 function_two", "0123456789abcdef",
                                         "a.py:3 f", "0123456789abcdefghijklmnopqrstuvwxyz" };
    fill(grid, cells, MT_COUNTOF(cells));
    expect_grid(grid, "38", "line                 by\n"
                            "a.py:1 function_one  0123456789abcdef\n"
                            "a.py:2 function_two  0123456789abcdef\n"
                            "a.py:3 f             012345\u2026qrstuvwxyz\n");
    mt_grid_free(grid);
}

static struct mt_grid *with_spares(void)
{
    struct mt_grid *grid = mt_grid_new();
    mt_grid_column(grid, "own", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "blocks", MT_ALIGN_RIGHT, false);
    mt_grid_column_spare(grid, 1);
    mt_grid_column(grid, "oldest", MT_ALIGN_RIGHT, false);
    mt_grid_column_spare(grid, 2);
    mt_grid_column_place(grid, "line");
    static const char *const cells[] = { "1 KiB", "12", "3 s", "lib/a.py:1 ns::function_of_22" };
    fill(grid, cells, MT_COUNTOF(cells));
    return grid;
}

/* Folders and what qualifies a function go first, then the columns that can be spared, the higher rank first, then the function's end. */
static void test_a_column_is_left_out_before_a_name_cannot_be_read(void **state)
{
    struct mt_grid *grid = with_spares();
    (void)state;
    expect_grid(grid, "52", "  own  blocks  oldest  line\n"
                            "1 KiB      12     3 s  lib/a.py:1 ns::function_of_22\n");
    expect_grid(grid, "50", "  own  blocks  oldest  line\n"
                            "1 KiB      12     3 s  lib/a.py:1 \u2026function_of_22\n");
    expect_grid(grid, "46", "  own  blocks  line\n"
                            "1 KiB      12  lib/a.py:1 ns::function_of_22\n");
    expect_grid(grid, "33", "  own  line\n"
                            "1 KiB  lib/a.py:1 \u2026function_of_22\n");
    expect_grid(grid, "20", "  own  line\n"
                            "1 KiB  \u2026/a.py:1 \u2026fu\u2026\n");
    mt_grid_free(grid);
    grid = with_spares();
    expect_print(grid, "  own  blocks  oldest  line\n" /* a pipe has all of them */
                       "1 KiB      12     3 s  lib/a.py:1 ns::function_of_22\n");
}

static void test_a_grid_fits_where_its_numbers_do(void **state)
{
    struct mt_grid *grid = mt_grid_new();
    (void)state;
    mt_grid_column(grid, "a_long_title", MT_ALIGN_RIGHT, false);
    mt_grid_column(grid, "text", MT_ALIGN_LEFT, true);
    static const char *const cells[] = { "1", "0123456789abcdef" };
    fill(grid, cells, MT_COUNTOF(cells));
    assert_int_equal(mt_grid_natural_columns(grid), 12 + 2 + 16);
    assert_true(mt_grid_fits(grid, 0, true));
    assert_true(mt_grid_fits(grid, 26, true));
    assert_false(mt_grid_fits(grid, 25, false));
    mt_grid_free(grid);
    grid = mt_grid_new();
    mt_grid_column_place(grid, "line");
    mt_grid_cell(grid, "app.py:1 a_function_of_its_own");
    assert_true(mt_grid_fits(grid, 30, true));
    assert_false(mt_grid_fits(grid, 29, true));
    assert_true(mt_grid_fits(grid, 29, false));
    mt_grid_free(grid);
}

static void test_lines_break_between_words_on_a_terminal_alone(void **state)
{
    static const char lines[] = "  peak     one two three four five six seven\n\n  alive    x\n";
    struct mt_out *pipe = mt_out_open_memory();
    struct mt_out *narrow = terminal("30");
    (void)state;
    mt_terminal_wrap(pipe, lines, 11);
    expect_shown(pipe, lines);
    mt_terminal_wrap(narrow, lines, 11);
    expect_shown(narrow, "  peak     one two three four\n"
                         "           five six seven\n\n"
                         "  alive    x\n");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_numbers_are_flush_right_and_text_flush_left),
    cmocka_unit_test(test_empty_cells_at_the_end_leave_no_spaces_and_notes_follow_their_row),
    cmocka_unit_test(test_wide_characters_keep_columns_straight),
    cmocka_unit_test(test_hostile_cells_cannot_drive_the_terminal),
    cmocka_unit_test(test_a_pipe_gets_long_paths_whole),
    cmocka_unit_test(test_an_empty_grid_prints_its_heading),
    cmocka_unit_test(test_a_place_has_the_room_of_an_empty_last_cell_and_others_stay_in_their_column),
    cmocka_unit_test(test_the_column_gives_way_where_few_cells_are_cut_for_it),
    cmocka_unit_test(test_a_column_is_left_out_before_a_name_cannot_be_read),
    cmocka_unit_test(test_a_grid_fits_where_its_numbers_do),
    cmocka_unit_test(test_lines_break_between_words_on_a_terminal_alone),
};
MT_TEST_MAIN(tests)
