/* test_out.c: output that is whole or not there. */
#include "harness.h"
#include "scratch.h"

#include "util/interrupt.h"
#include "util/out.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *path_in(const char *name)
{
    return mt_format("%s/%s", g_folder, name);
}

static size_t files_in_folder(void)
{
    size_t count = 0;
    DIR *dir = opendir(g_folder);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        count += e->d_name[0] != '.' ? 1 : 0;
    }
    closedir(dir);
    return count;
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void expect_content(const char *path, const char *wanted)
{
    char text[256] = "";
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_true(read(fd, text, sizeof text - 1) >= 0);
    close(fd);
    assert_string_equal(text, wanted);
}

static void test_a_file_appears_at_commit_and_not_before(void **state)
{
    char *path = path_in("a");
    struct mt_out *out;
    (void)state;
    assert_int_equal(mt_out_open(path, &out, NULL), MT_OK);
    mt_out_string(out, "hello ");
    mt_out_print(out, "%d", 42);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(mt_out_commit(out, NULL), MT_OK);
    expect_content(path, "hello 42");
    assert_int_equal(files_in_folder(), 1);
    free(path);
}

static void test_a_discarded_output_leaves_the_old_file(void **state)
{
    char *path = path_in("a");
    struct mt_out *out;
    (void)state;
    write_file(path, "old");
    assert_int_equal(mt_out_open(path, &out, NULL), MT_OK);
    mt_out_string(out, "new");
    mt_out_discard(out);
    expect_content(path, "old");
    assert_int_equal(files_in_folder(), 1);
    free(path);
}

static void test_replacing_keeps_the_mode_and_follows_links(void **state)
{
    char *path = path_in("a");
    char *link_path = path_in("link");
    struct mt_out *out;
    struct stat info;
    (void)state;
    write_file(path, "old");
    assert_int_equal(symlink("a", link_path), 0);
    assert_int_equal(mt_out_open(link_path, &out, NULL), MT_OK);
    mt_out_string(out, "new");
    assert_int_equal(mt_out_commit(out, NULL), MT_OK);
    expect_content(path, "new");
    assert_int_equal(lstat(link_path, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
    free(path);
    free(link_path);
}

static void test_a_write_error_is_reported_once_and_leaves_nothing(void **state)
{
    char *path = path_in("a");
    struct rlimit limit = { 1000, RLIM_INFINITY };
    struct mt_error err = { 0 };
    struct mt_out *out;
    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(mt_out_open(path, &out, &err), MT_OK);
    for (int i = 0; i < 100000; i++) {
        mt_out_string(out, "0123456789");
    }
    assert_true(mt_out_failed(out));
    assert_int_not_equal(mt_out_commit(out, &err), MT_OK);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(files_in_folder(), 0);
    free(path);
}

static void test_a_device_is_written_directly(void **state)
{
    struct mt_out *out;
    struct mt_error err = { 0 };
    (void)state;
    assert_int_equal(mt_out_open("/dev/null", &out, &err), MT_OK);
    mt_out_string(out, "gone");
    assert_int_equal(mt_out_commit(out, &err), MT_OK);
    assert_int_equal(mt_out_open("/dev/full", &out, &err), MT_OK);
    mt_out_string(out, "no room");
    assert_int_equal(mt_out_commit(out, &err), MT_E_NOSPACE);
}

static void test_a_folder_is_refused_with_words(void **state)
{
    struct mt_out *out;
    struct mt_error err = { 0 };
    (void)state;
    assert_int_equal(mt_out_open(g_folder, &out, &err), MT_E_INVAL);
    assert_non_null(strstr(err.text, "directory"));
    assert_int_equal(mt_out_open("/no/such/folder/x", &out, &err), MT_E_NOENT);
}

static void test_a_reader_that_goes_away_is_no_error(void **state)
{
    int pipes[2];
    struct mt_out *out;
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(pipes), 0);
    close(pipes[0]);
    assert_int_equal(dup2(pipes[1], STDOUT_FILENO), STDOUT_FILENO);
    assert_int_equal(mt_out_open("-", &out, NULL), MT_OK);
    for (int i = 0; i < 100000; i++) {
        mt_out_string(out, "0123456789");
    }
    assert_true(mt_out_failed(out));
    assert_int_equal(mt_out_commit(out, NULL), MT_OK);
}

static void test_memory_output_keeps_nul_bytes(void **state)
{
    size_t bytes;
    struct mt_out *out = mt_out_open_memory();
    (void)state;
    mt_out_write(out, "a\0b", 3);
    assert_memory_equal(mt_out_text(out, &bytes), "a\0b", 4);
    assert_int_equal(bytes, 3);
    mt_out_discard(out);
}

static void test_a_deadly_signal_removes_the_temporary(void **state)
{
    char *path = path_in("a");
    int status;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct mt_out *out;
        mt_interrupt_install();
        if (mt_out_open(path, &out, NULL) != MT_OK || files_in_folder() != 1) {
            _exit(99);
        }
        mt_out_string(out, "half");
        raise(SIGINT);
        _exit(98);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    assert_int_equal(files_in_folder(), 0);
    free(path);
}

static void test_a_new_file_has_the_mode_the_umask_leaves(void **state)
{
    (void)state;
    struct mt_error err = { 0 };
    struct mt_out *out;
    struct stat info;
    char *path = path_in("new");
    mode_t before = umask(027);
    assert_int_equal(mt_out_open(path, &out, &err), MT_OK);
    assert_int_equal(mt_out_commit(out, &err), MT_OK);
    assert_int_equal(umask(before), 027);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
    free(path);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_a_file_appears_at_commit_and_not_before, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(test_a_discarded_output_leaves_the_old_file, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(test_replacing_keeps_the_mode_and_follows_links, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(test_a_new_file_has_the_mode_the_umask_leaves, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(test_a_device_is_written_directly, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(test_a_folder_is_refused_with_words, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(test_memory_output_keeps_nul_bytes, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(test_a_deadly_signal_removes_the_temporary, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(test_a_write_error_is_reported_once_and_leaves_nothing, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(test_a_reader_that_goes_away_is_no_error, make_folder, remove_folder),
};
MT_TEST_MAIN(tests)
