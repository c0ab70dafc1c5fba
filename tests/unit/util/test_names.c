/* test_names.c: the names of trace files, moments in a recording, numbered names. */
#include "harness.h"

#include "util/memory.h"
#include "util/namemap.h"
#include "util/timepoint.h"
#include "util/tracepath.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_names_in_the_folder_are_pid_and_maybe_a_number(void **state)
{
    (void)state;
    assert_true(mt_tracepath_is_other("12.mtap"));
    assert_true(mt_tracepath_is_other("12.3.mtap"));
    static const char *const others[] = { "a.mtap", ".mtap", "12", "12.3.4.mtap", "12..mtap", "12.mtap.part", "x12.mtap", "12.mtap-" };
    for (size_t i = 0; i < MT_COUNTOF(others); i++) {
        assert_false(mt_tracepath_is_other(others[i]));
    }
}

static void expect_default(const char *program, const char *wanted)
{
    char *name = mt_tracepath_default(program, 77);
    assert_string_equal(name, wanted);
    free(name);
}

static void test_the_default_name_tells_program_and_pid(void **state)
{
    (void)state;
    expect_default("app.py", "memtap-app.77.mtap");
    expect_default("/usr/bin/ls", "memtap-ls.77.mtap");
    expect_default("http.server", "memtap-http.server.77.mtap");
    expect_default("dir/", "memtap-program.77.mtap");
}

static void touch(const char *folder, const char *name)
{
    char *path = mt_format("%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
    free(path);
}

static void test_the_folder_of_a_file_gives_its_traces_only(void **state)
{
    char folder[] = "/tmp/memtap-names.XXXXXX";
    struct mt_strlist paths = { 0 };
    (void)state;
    assert_non_null(mkdtemp(folder));
    char *file = mt_format("%s/x.mtap", folder);
    char *inside = mt_tracepath_folder(file);
    char *fifo = mt_format("%s/13.mtap", inside);
    char *last = mt_format("%s/9.1.mtap", inside);
    mt_tracepath_others(file, &paths);
    assert_int_equal(paths.count, 0);
    assert_int_equal(mkdir(inside, 0700), 0);
    touch(inside, "9.1.mtap");
    touch(inside, "12.mtap");
    touch(inside, "notes.mtap");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    mt_tracepath_others(file, &paths);
    assert_int_equal(paths.count, 2);
    assert_string_equal(paths.items[1], last);
    mt_strlist_clear(&paths);
    char *command = mt_format("rm -r %s", folder);
    assert_int_equal(system(command), 0);
    free(command);
    free(last);
    free(fifo);
    free(inside);
    free(file);
}

static void test_a_folder_stands_for_its_traces(void **state)
{
    char folder[] = "/tmp/memtap-names.XXXXXX";
    struct mt_strlist paths = { 0 };
    struct mt_error err = { 0 };
    (void)state;
    assert_non_null(mkdtemp(folder));
    char *operands[] = { folder, NULL };
    assert_int_equal(mt_tracepath_expand(operands, 1, &paths, &err), MT_E_NOENT);
    assert_non_null(strstr(err.text, folder));
    touch(folder, "b.mtap");
    touch(folder, "a.mtap");
    touch(folder, "a.9.mtap");
    touch(folder, "other.txt");
    assert_int_equal(mt_tracepath_expand(operands, 1, &paths, &err), MT_OK);
    assert_int_equal(paths.count, 3);
    assert_non_null(strstr(paths.items[0], "/a.9.mtap"));
    assert_non_null(strstr(paths.items[2], "/b.mtap"));
    mt_strlist_clear(&paths);
    char *command = mt_format("rm -r '%s'", folder);
    assert_int_equal(system(command), 0);
    free(command);
}

static void test_absolute_paths_need_their_folder(void **state)
{
    struct mt_error err = { 0 };
    char *path = NULL;
    (void)state;
    assert_int_equal(mt_tracepath_absolute("/tmp/../tmp/x.mtap", &path, &err), MT_OK);
    assert_string_equal(path, "/tmp/x.mtap");
    free(path);
    assert_int_equal(mt_tracepath_absolute("/no/such/x.mtap", &path, &err), MT_E_NOENT);
    assert_int_equal(mt_tracepath_absolute("/tmp/", &path, &err), MT_E_INVAL);
}

static void test_moments_are_seconds_shares_or_words(void **state)
{
    struct mt_timepoint point;
    struct mt_timepoint pair[2];
    (void)state;
    assert_true(mt_timepoint_parse("1.5", 3, &point));
    assert_int_equal(mt_timepoint_resolve(&point, 100, 50), 1500000000);
    assert_true(mt_timepoint_parse("50%", 3, &point));
    assert_int_equal(mt_timepoint_resolve(&point, 1000, 7), 500);
    assert_true(mt_timepoint_parse("peak", 4, &point));
    assert_int_equal(mt_timepoint_resolve(&point, 1000, 7), 7);
    assert_true(mt_timepoint_parse_pair("250ms,100%", pair));
    assert_int_equal(mt_timepoint_resolve(&pair[0], 1000, 7), 250000000);
    assert_int_equal(mt_timepoint_resolve(&pair[1], 1000, 7), 1000);
    assert_true(mt_timepoint_parse_pair("end,exit", pair));
    assert_int_equal(pair[0].kind, MT_TIMEPOINT_END);
    assert_int_equal(pair[1].kind, MT_TIMEPOINT_EXIT);
    assert_true(mt_timepoint_parse("oom", 3, &point));
    assert_int_equal(point.kind, MT_TIMEPOINT_OOM);
    assert_true(mt_timepoint_parse("mark", 4, &point));
    assert_int_equal(point.kind, MT_TIMEPOINT_MARK);
    assert_int_equal(point.ns, 0);
    assert_true(mt_timepoint_parse("mark:12", 7, &point));
    assert_int_equal(point.ns, 12);
    assert_false(mt_timepoint_parse("mark:0", 6, &point));
    assert_false(mt_timepoint_parse("mark:", 5, &point));
    assert_true(mt_timepoint_parse("main-end", 8, &point));
    assert_int_equal(point.kind, MT_TIMEPOINT_MAIN_END);
}

static void test_other_moments_are_refused(void **state)
{
    static const char *const wrong[] = { "", "x", "101%", "%", "-1", "1s%", "peaks", "ends", "main", "1,2" };
    struct mt_timepoint point;
    struct mt_timepoint pair[2];
    (void)state;
    for (size_t i = 0; i < MT_COUNTOF(wrong); i++) {
        assert_false(mt_timepoint_parse(wrong[i], strlen(wrong[i]), &point));
    }
    assert_false(mt_timepoint_parse_pair("1", pair));
    assert_false(mt_timepoint_parse_pair("1,", pair));
    assert_false(mt_timepoint_parse_pair("1,2,3", pair));
}

static void test_equal_names_have_equal_numbers(void **state)
{
    enum { NAMES = 20000 };
    struct mt_namemap *map = mt_namemap_new();
    bool is_new;
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < NAMES; i++) {
            char name[32];
            int bytes = snprintf(name, sizeof name, "name %u", i);
            assert_int_equal(mt_namemap_put(map, name, (size_t)bytes, &is_new), i);
            assert_int_equal(is_new, round == 0);
        }
    }
    assert_int_equal(mt_namemap_put(map, "", 0, &is_new), NAMES);
    assert_int_equal(mt_namemap_put(map, "", 0, NULL), NAMES);
    assert_int_equal(mt_namemap_count(map), NAMES + 1);
    mt_namemap_free(map);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_names_in_the_folder_are_pid_and_maybe_a_number),
    cmocka_unit_test(test_the_folder_of_a_file_gives_its_traces_only),
    cmocka_unit_test(test_the_default_name_tells_program_and_pid),
    cmocka_unit_test(test_a_folder_stands_for_its_traces),
    cmocka_unit_test(test_absolute_paths_need_their_folder),
    cmocka_unit_test(test_moments_are_seconds_shares_or_words),
    cmocka_unit_test(test_other_moments_are_refused),
    cmocka_unit_test(test_equal_names_have_equal_numbers),
};
MT_TEST_MAIN(tests)
