/* Which file is used for a module: build-ids, debug links, search directories, alternate files. The program is calls.c;
 * what is true of it is read from its source and from nm. */
#include "symbol/programs.h"

static void assert_nothing(struct mt_symbolizer *symbolizer, const struct built *built)
{
    assert_int_equal(mt_symbolizer_quality(symbolizer, &built->subject.ref), MT_SYMBOLS_NONE);
    assert_name(symbolizer, built, built->elsewhere, NULL);
}

static void expect_full(const struct built *built, const char *dir)
{
    struct mt_symbolizer *symbolizer = symbolizer_over(dir);
    assert_full(symbolizer, built);
    mt_symbolizer_free(symbolizer);
}

static void expect_nothing(const struct built *built, const char *dir)
{
    struct mt_symbolizer *symbolizer = symbolizer_over(dir);
    assert_nothing(symbolizer, built);
    mt_symbolizer_free(symbolizer);
}

static void test_recorded_path_is_used(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    expect_full(&built, NULL);
}

static void test_path_of_a_deleted_file_that_is_back_is_used(void **state)
{
    struct built built;
    char path[PATH_MAX + 16];
    (void)state;
    build(&built, "");
    snprintf(path, sizeof path, "%s (deleted)", built.subject.path);
    built.subject.ref.path = path;
    expect_full(&built, NULL);
}

static void test_wrong_build_id_is_never_used(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    built.subject.build_id[0] ^= 1;
    expect_nothing(&built, NULL);
    expect_nothing(&built, g_folder);
}

static void test_file_with_a_build_id_is_refused_when_none_was_recorded(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    built.subject.ref.build_id_bytes = 0;
    expect_nothing(&built, g_folder);
}

static void test_file_without_build_id_is_used_when_none_was_recorded(void **state)
{
    struct built built;
    (void)state;
    build(&built, "-Wl,--build-id=none");
    assert_int_equal(built.subject.ref.build_id_bytes, 0);
    expect_full(&built, NULL);
}

static void test_file_without_build_id_is_refused_when_one_was_recorded(void **state)
{
    struct built built;
    (void)state;
    build(&built, "-Wl,--build-id=none");
    built.subject.ref.build_id_bytes = 20;
    expect_nothing(&built, g_folder);
}

static void test_relative_path_is_not_taken_from_the_current_directory(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    built.subject.ref.path = "program";
    expect_nothing(&built, NULL);
    expect_full(&built, g_folder);
}

/* ---- separate debug files -------------------------------------------------------------------------------------- */

/* Splits "program" into a stripped one and "program.debug"; `debug_to` is where the debug file goes. */
static void split(const char *debug_to)
{
    assert_true(run("objcopy --only-keep-debug program kept && strip --strip-all program"));
    assert_true(run("mkdir -p \"$(dirname '%s')\" && mv kept '%s'", debug_to, debug_to));
}

static void test_debug_file_of_that_name_in_a_search_dir_is_used(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    split("symbols/program.debug");
    expect_full(&built, "symbols");
}

static void test_debug_file_in_build_id_layout_is_used(void **state)
{
    struct built built;
    char path[256] = "symbols/.build-id/", *at = path + strlen(path);
    (void)state;
    build(&built, "");
    for (size_t i = 0; i < built.subject.ref.build_id_bytes; i++) {
        at += sprintf(at, i == 1 ? "/%02x" : "%02x", built.subject.build_id[i]);
    }
    strcat(path, ".debug");
    split(path);
    expect_full(&built, "symbols");
}

static void test_debug_file_of_any_name_in_a_search_dir_is_used(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    split("symbols/deep/er/renamed.bin");
    expect_full(&built, "symbols");
}

static void test_moved_program_is_found_by_its_build_id(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    assert_true(run("mkdir sysroot && mv program sysroot/other-name"));
    expect_nothing(&built, NULL);
    expect_full(&built, "sysroot");
}

static void test_debug_file_of_another_build_is_refused_whatever_its_name(void **state)
{
    struct built built;
    (void)state;
    build(&built, "-rdynamic");
    split("elsewhere/program.debug");
    assert_true(run("mkdir symbols && cc -O1 -g -Wl,--build-id -o symbols/program.debug $programs/calls.c"));
    struct mt_symbolizer *symbolizer = symbolizer_over("symbols");
    assert_int_equal(mt_symbolizer_quality(symbolizer, &built.subject.ref), MT_SYMBOLS_DYNSYM);
    assert_name(symbolizer, &built, built.elsewhere, "elsewhere");
    mt_symbolizer_free(symbolizer);
}

static void test_search_path_of_the_environment_is_used_without_an_option(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    split("second/renamed.bin");
    setenv("MEMTAP_DEBUG_PATH", "first:second", 1);
    expect_full(&built, NULL);
    setenv("MEMTAP_DEBUG_PATH", "first", 1);
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    assert_int_not_equal(mt_symbolizer_quality(symbolizer, &built.subject.ref), MT_SYMBOLS_DWARF);
    mt_symbolizer_free(symbolizer);
    unsetenv("MEMTAP_DEBUG_PATH");
}

static void test_debug_link_is_followed_beside_the_file(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    split("linked.dbg");
    assert_true(run("objcopy --add-gnu-debuglink=linked.dbg program"));
    expect_full(&built, NULL);
    assert_true(run("mkdir .debug && mv linked.dbg .debug"));
    expect_full(&built, NULL);
}

static void test_debug_link_without_build_id_needs_its_checksum(void **state)
{
    struct built built;
    (void)state;
    build(&built, "-Wl,--build-id=none");
    split("linked.dbg");
    assert_true(run("objcopy --add-gnu-debuglink=linked.dbg program"));
    expect_full(&built, NULL);
    assert_true(run("printf x >> linked.dbg"));
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    assert_int_not_equal(mt_symbolizer_quality(symbolizer, &built.subject.ref), MT_SYMBOLS_DWARF);
    mt_symbolizer_free(symbolizer);
}

/* dwz moves what two files share into a third; names then come from there. */
static void test_alternate_debug_file_is_followed(void **state)
{
    struct built built;
    (void)state;
    NEED_TOOL("dwz");
    build(&built, "-gdwarf-4");
    assert_true(run("cc -O1 -gdwarf-4 -Wl,--build-id -o second $programs/calls.c"));
    assert_true(run("dwz -m shared.dwz program second"));
    assert_true(run("readelf -SW program | grep -q gnu_debugaltlink"));
    expect_full(&built, NULL);
}

static void test_missing_alternate_debug_file_leaves_lines(void **state)
{
    struct built built;
    (void)state;
    NEED_TOOL("dwz");
    build(&built, "-gdwarf-4");
    assert_true(run("cc -O1 -gdwarf-4 -Wl,--build-id -o second $programs/calls.c"));
    assert_true(run("dwz -m shared.dwz program second && rm shared.dwz"));
    struct mt_symbolizer *symbolizer = symbolizer_over(NULL);
    struct mt_symbol_frames frames = mt_symbolize(symbolizer, &built.subject.ref, built.elsewhere);
    assert_true(frames.count >= 1);
    assert_string_equal(frames.frames[frames.count - 1].function, "elsewhere"); /* from .symtab, or a name left behind */
    assert_in_range(frames.frames[frames.count - 1].line, line_of_elsewhere(), line_of_elsewhere() + 3);
    mt_symbolizer_free(symbolizer);
}

/* A pipe that nobody writes to blocks whoever opens it. */
static void test_pipes_in_the_place_of_files_do_not_block(void **state)
{
    struct built built;
    (void)state;
    build(&built, "");
    assert_true(run("mkdir symbols && mkfifo symbols/program.debug symbols/other"));
    assert_true(run("mkfifo alt && printf '%%s/alt\\0idididididididididid' \"$PWD\" > link"));
    assert_true(run("objcopy --add-section .gnu_debugaltlink=link program"));
    expect_full(&built, "symbols");
    assert_true(run("rm program && mkfifo program"));
    expect_nothing(&built, "symbols");
}

#define IN_WORKSPACE(test) cmocka_unit_test_setup_teardown(test, workspace_enter, workspace_leave)

static const struct CMUnitTest tests[] = {
    IN_WORKSPACE(test_recorded_path_is_used),
    IN_WORKSPACE(test_path_of_a_deleted_file_that_is_back_is_used),
    IN_WORKSPACE(test_wrong_build_id_is_never_used),
    IN_WORKSPACE(test_file_with_a_build_id_is_refused_when_none_was_recorded),
    IN_WORKSPACE(test_file_without_build_id_is_used_when_none_was_recorded),
    IN_WORKSPACE(test_file_without_build_id_is_refused_when_one_was_recorded),
    IN_WORKSPACE(test_relative_path_is_not_taken_from_the_current_directory),
    IN_WORKSPACE(test_debug_file_of_that_name_in_a_search_dir_is_used),
    IN_WORKSPACE(test_debug_file_in_build_id_layout_is_used),
    IN_WORKSPACE(test_debug_file_of_any_name_in_a_search_dir_is_used),
    IN_WORKSPACE(test_moved_program_is_found_by_its_build_id),
    IN_WORKSPACE(test_debug_file_of_another_build_is_refused_whatever_its_name),
    IN_WORKSPACE(test_search_path_of_the_environment_is_used_without_an_option),
    IN_WORKSPACE(test_debug_link_is_followed_beside_the_file),
    IN_WORKSPACE(test_debug_link_without_build_id_needs_its_checksum),
    IN_WORKSPACE(test_alternate_debug_file_is_followed),
    IN_WORKSPACE(test_missing_alternate_debug_file_leaves_lines),
    IN_WORKSPACE(test_pipes_in_the_place_of_files_do_not_block),
};

MT_TEST_MAIN(tests)
