/* test_checkpoint_killed.c: wherever the process of a bounded recording is killed, the trace knows all that was alive, and what was
 * begun and not finished is not taken for damage. */
#include "books.h"

#include "base/atomic.h"
#include "heap/tracefile.h"
#include "wire/journal_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

extern void (*mt_g_tracefile_step)(void); /* of builds with MT_CHECKS, as the engine under test is */
static unsigned g_steps, g_die_at;

static void step(void)
{
    if (++g_steps == g_die_at) {
        (void)kill(getpid(), SIGKILL);
    }
}

/* Churns until the second base is there, or it is killed before. Returns how many steps that took. */
static void churn_until_two_bases(void)
{
    uint64_t random = 88172645463325252u, first = 0;
    start(LIMIT);
    while (g_mt.header->base_offset == 0) {
        churn(0, &random);
    }
    first = g_mt.header->base_offset;
    mt_g_tracefile_step = step;
    while (g_mt.header->base_offset == first) {
        churn(0, &random);
    }
}

/* What the reader takes for damage. */
static unsigned damage(void)
{
    struct mt_trace *trace;
    assert_int_equal(mt_trace_open(g_path, &trace, NULL), MT_OK);
    const struct mt_trace_completeness *c = mt_trace_completeness(trace);
    unsigned places = (unsigned)c->holes + (c->truncated_at != 0);
    mt_trace_close(trace);
    return places;
}

/* As its process left it, and when the tool has put the journal into it. Returns what is taken for damage, the same in both. */
static unsigned expect_books_of_the_killed(void)
{
    unsigned before = damage();
    expect_books();
    int fd = open(g_path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(mt_journal_fold(fd, g_path), MT_OK);
    assert_int_equal(close(fd), 0);
    expect_books();
    assert_int_equal(damage(), before);
    return before;
}

static void empty_directory(void)
{
    char command[256];
    (void)snprintf(command, sizeof command, "rm -f %s/* %s/.t*", g_directory, g_directory);
    assert_int_equal(system(command), 0);
}

/* Also between the steps of a block: what was begun of it is in its slot. Nobody knows of the room of a base until its header is written:
 * that one looks like an end that is missing. */
static void test_killed_at_each_step_it_is_complete(void **state)
{
    (void)state;
    unsigned steps = UINT32_MAX, damaged = 0;
    make_books();
    unsigned *total = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (unsigned at = 1; at <= steps; at++) {
        pid_t child = fork();
        if (child == 0) {
            g_die_at = at == steps ? 0 : at;
            churn_until_two_bases();
            *total = g_steps;
            _exit(7);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status)) {
            assert_int_equal(WEXITSTATUS(status), 7);
            steps = at;
        } else {
            assert_int_equal(WTERMSIG(status), SIGKILL);
            damaged += expect_books_of_the_killed();
        }
        empty_directory();
    }
    assert_true(*total > 10);
    assert_int_equal(damaged, 1);
    assert_int_equal(steps, *total + 1);
}

/* ---- killed while two threads write ------------------------------------------------------------------------------------ */

enum { CLAIMED = 1, WRITTEN = 2 }; /* steps of a block, the payload behind the second */
static _Thread_local unsigned t_steps, t_stop_at;
static uint32_t g_stopped;

/* The other thread waits in the middle of its block until the process is killed. */
static void stop(void)
{
    if (++t_steps != t_stop_at) {
        return;
    }
    if (mt_exchange_acq_rel(&g_stopped, 1u) == 1) {
        (void)kill(getpid(), SIGKILL);
    }
    for (;;) {
        (void)pause();
    }
}

static void *churn_until_it_stops(void *at)
{
    uint64_t random = 4711;
    t_stop_at = (unsigned)(uintptr_t)at;
    for (;;) {
        churn(1, &random);
    }
    return NULL;
}

/* blocks: that are behind the one of the other thread, and whole. */
static void churn_until_both_stop(unsigned other, unsigned own, unsigned blocks)
{
    pthread_t thread;
    uint64_t random = 88172645463325252u;
    start(LIMIT);
    mt_g_tracefile_step = stop;
    t_stop_at = 0;
    assert_int_equal(pthread_create(&thread, NULL, churn_until_it_stops, (void *)(uintptr_t)other), 0);
    while (mt_load_acquire(&g_stopped) == 0) {
        (void)sched_yield();
    }
    t_steps = 0;
    t_stop_at = 2 * blocks + own;
    for (;;) {
        churn(0, &random);
    }
}

static void test_killed_while_two_threads_write_it_is_complete(void **state)
{
    (void)state;
    make_books();
    for (unsigned i = 0; i < 8; i++) {
        pid_t child = fork();
        if (child == 0) {
            churn_until_both_stop(i & 1 ? CLAIMED : WRITTEN, i & 2 ? CLAIMED : WRITTEN, i & 4 ? 1 : 0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(expect_books_of_the_killed(), 0);
        empty_directory();
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
static const struct CMUnitTest tests[] = {
    CASE(test_killed_at_each_step_it_is_complete),
    CASE(test_killed_while_two_threads_write_it_is_complete),
};
MT_TEST_MAIN(tests)
