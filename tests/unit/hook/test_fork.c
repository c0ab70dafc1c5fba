/* test_fork.c: a fork while another thread holds the loader's list lock: the child must not walk the list.
 * Link: memtap_hooks
 */
#include "harness.h"

#include "base/objects.h"
#include "fakes/engine.h"
#include "hook/hook.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int g_holding[2]; /* the holder tells it has the lock */
static int g_release[2];

static int hold(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)info;
    (void)bytes;
    (void)context;
    char byte = 0;
    assert_int_equal(write(g_holding[1], "x", 1), 1);
    assert_int_equal(read(g_release[0], &byte, 1), 1);
    return 1;
}

static void *holder(void *arg)
{
    dl_iterate_phdr(hold, NULL);
    return arg;
}

static int count_visit(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)info;
    (void)bytes;
    ++*(unsigned *)context;
    return 0;
}

/* In the child: 0 nothing walked, 1 walked. */
static int walks_in_child(void)
{
    pid_t child = fork();
    if (child == 0) {
        unsigned visits = 0;
        bool walked = mt_objects_walk(count_visit, &visits);
        _exit(walked && visits > 1 ? 1 : walked || visits > 0 ? 2 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void install(void)
{
    assert_int_equal(mt_hooks_install(MT_HOOK_GOT, false), MT_OK);
}

static void test_a_child_of_a_quiet_parent_walks(void **state)
{
    (void)state;
    install();
    assert_int_equal(walks_in_child(), 1);
    mt_hooks_uninstall();
}

static void test_a_child_born_under_the_held_lock_does_not_walk(void **state)
{
    (void)state;
    install();
    char byte = 0;
    pthread_t thread;
    assert_int_equal(pipe(g_holding) | pipe(g_release), 0);
    assert_int_equal(pthread_create(&thread, NULL, holder, NULL), 0);
    assert_int_equal(read(g_holding[0], &byte, 1), 1);
    assert_int_equal(walks_in_child(), 0);
    assert_int_equal(write(g_release[1], "x", 1), 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(walks_in_child(), 1);
    mt_hooks_uninstall();
}

static void test_the_engine_is_told_in_the_child(void **state)
{
    (void)state;
    install();
    pid_t child = fork();
    if (child == 0) {
        _exit(mt_g_fake.forks == 1 ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(mt_g_fake.forks, 0);
    mt_hooks_uninstall();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_child_of_a_quiet_parent_walks),
    cmocka_unit_test(test_a_child_born_under_the_held_lock_does_not_walk),
    cmocka_unit_test(test_the_engine_is_told_in_the_child),
};
MT_TEST_MAIN(tests)
