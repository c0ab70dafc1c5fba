/* What /proc says of a process: util/process. */
#include "harness.h"

#include "util/memory.h"
#include "util/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>

static char *new_file(int *ret_fd)
{
    char *path = mt_strdup("/tmp/memtap-test-process-XXXXXX");
    *ret_fd = mkstemp(path);
    assert_true(*ret_fd >= 0);
    return path;
}

static void drop_file(char *path)
{
    assert_int_equal(unlink(path), 0);
    free(path);
}

/* A name that looks like the end of a name, and a process that waits in read until its pipe is closed. */
static void test_when_a_process_began_is_its_own_and_stays(void **state)
{
    (void)state;
    uint64_t own = mt_process_started(getpid());
    assert_true(own > 0 && own == mt_process_started(getpid()));
    assert_int_equal(prctl(PR_SET_NAME, ") 1 (x) 2"), 0);
    assert_true(mt_process_started(getpid()) == own);
    int ends[2];
    char byte;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    assert_true(child > 0 && mt_process_started(child) >= own);
    assert_true(close(ends[1]) == 0 && waitpid(child, NULL, 0) == child);
    assert_true(close(ends[0]) == 0 && mt_process_started(-1) == 0);
}

static void test_state_and_times_are_of_the_thread_or_of_the_whole(void **state)
{
    struct mt_process_stat whole, thread;
    (void)state;
    for (volatile unsigned i = 0; !mt_process_stat_read(getpid(), 0, &whole) || whole.cpu_ticks == 0; i++) {
    }
    assert_true(mt_process_stat_read(getpid(), getpid(), &thread));
    assert_int_equal(whole.state, 'R');
    assert_int_equal(thread.state, 'R');
    assert_true(thread.started_ticks == whole.started_ticks);
    assert_false(mt_process_stat_read(getpid(), -1, &thread));
    assert_false(mt_process_stat_read(-1, 0, &thread));
}

static void test_an_image_is_the_programs(void **state)
{
    (void)state;
    assert_true(mt_process_image(getpid()) != 0 && mt_process_image(getpid()) == mt_process_image(getpid()));
    assert_true(mt_process_image(-1) == 0);
}

static void test_who_holds_a_file_writes_it(void **state)
{
    int fd;
    char *path = new_file(&fd);
    (void)state;
    assert_int_equal(mt_process_writing(path, (uint64_t)getpid()), getpid());
    assert_int_equal(mt_process_writing(path, (uint64_t)getppid()), 0);
    assert_int_equal(mt_process_writing(path, UINT64_C(1) << 40), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(mt_process_writing(path, (uint64_t)getpid()), 0);
    drop_file(path);
}

/* The child closes the file when a byte comes, says so, and ends with the pipe: who wrote is looked for in its descriptors once. */
static void test_who_writes_is_looked_for_until_it_ends(void **state)
{
    int fd, ends[2], said[2];
    char *path = new_file(&fd), byte = 'x';
    struct mt_process_writer writer = { 0 };
    (void)state;
    assert_true(pipe(ends) == 0 && pipe(said) == 0);
    pid_t child = fork();
    if (child == 0) {
        (void)close(ends[1]);
        bool told = read(ends[0], &byte, 1) == 1 && close(fd) == 0 && write(said[1], &byte, 1) == 1;
        _exit(told && read(ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    assert_true(child > 0 && close(fd) == 0);
    mt_process_writer_find(&writer, path, (uint64_t)child);
    assert_int_equal(writer.pid, child);
    assert_true(write(ends[1], &byte, 1) == 1 && read(said[0], &byte, 1) == 1);
    assert_int_equal(mt_process_writing(path, (uint64_t)child), 0);
    mt_process_writer_find(&writer, path, (uint64_t)child);
    assert_int_equal(writer.pid, child);
    assert_true(close(ends[1]) == 0 && waitpid(child, NULL, 0) == child);
    mt_process_writer_find(&writer, path, (uint64_t)child);
    assert_int_equal(writer.pid, 0);
    assert_true(close(ends[0]) == 0 && close(said[0]) == 0 && close(said[1]) == 0);
    drop_file(path);
}

/* Process 1 of a pid namespace of its own that holds the file, until the pipe is closed. 0: there may be none here. */
static pid_t start_inside(int ends[2])
{
    char byte;
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
    if (pid < 0 && errno == EPERM) {
        pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
    }
    if (pid == 0) {
        (void)close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    return pid > 0 ? pid : 0;
}

static void test_a_process_of_another_pid_namespace_is_found_by_its_file(void **state)
{
    int fd, ends[2], status = -1;
    char *path = new_file(&fd);
    struct mt_process_numbers numbers;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    pid_t child = start_inside(ends);
    assert_int_equal(close(fd), 0);
    if (child == 0) {
        drop_file(path);
        skip(); /* neither root nor user namespaces */
    }
    mt_process_numbers_read(child, &numbers);
    assert_true(numbers.count >= 2 && numbers.items[0] == (uint64_t)child && numbers.items[numbers.count - 1] == 1);
    assert_int_equal(mt_process_writing(path, 1), child);
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(mt_process_writing(path, 1), 0); /* ours is another process 1 */
    drop_file(path);
}

/* Nobody's file, and a process of root's of which nobody sees what it holds. */
static void test_a_process_out_of_sight_writes_no_file_of_another_user(void **state)
{
    int fd, status = -1;
    const uid_t nobody = 65534;
    (void)state;
    if (geteuid() != 0) {
        skip(); /* only root becomes another user */
    }
    char *path = new_file(&fd);
    assert_int_equal(fchown(fd, nobody, nobody), 0);
    assert_int_equal(close(fd), 0);
    pid_t child = fork();
    if (child == 0) {
        bool is_nobody = setresgid(nobody, nobody, nobody) == 0 && setresuid(nobody, nobody, nobody) == 0;
        _exit(is_nobody ? mt_process_writing(path, (uint64_t)getppid()) == 0 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    drop_file(path);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_when_a_process_began_is_its_own_and_stays),
    cmocka_unit_test(test_state_and_times_are_of_the_thread_or_of_the_whole),
    cmocka_unit_test(test_an_image_is_the_programs),
    cmocka_unit_test(test_who_holds_a_file_writes_it),
    cmocka_unit_test(test_who_writes_is_looked_for_until_it_ends),
    cmocka_unit_test(test_a_process_of_another_pid_namespace_is_found_by_its_file),
    cmocka_unit_test(test_a_process_out_of_sight_writes_no_file_of_another_user),
};

MT_TEST_MAIN(tests)
