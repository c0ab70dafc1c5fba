/* Whether a filter keeps the agent of another process from its work: launch/filtered. */
#include "harness.h"

#include "launch/filtered.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static uint64_t own_filters(void)
{
    char line[512];
    unsigned long long count = UINT64_MAX;
    FILE *status = fopen("/proc/self/status", "re");
    assert_non_null(status);
    while (fgets(line, sizeof line, status) != NULL && sscanf(line, "Seccomp_filters: %llu", &count) != 1) {
    }
    (void)fclose(status);
    return count;
}

static void install(unsigned count)
{
    struct sock_filter allow[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
    struct sock_fprog program = { 1, allow };
    bool good = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    for (unsigned i = 0; i < count; i++) {
        good = good && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
    }
    if (!good) {
        _exit(99);
    }
}

/* What is said of a program that runs under so many filters more than the test, with these settings. It says that it runs by a byte. */
static enum mt_filtered look(unsigned filters, const char *const *environment)
{
    int in[2], out[2];
    char byte;
    assert_true(pipe(in) == 0 && pipe(out) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        install(filters);
        (void)dup2(in[0], 0);
        (void)dup2(out[1], 1);
        (void)close(in[1]);
        char name[] = "cat";
        (void)execve("/bin/cat", (char *const[]){ name, NULL }, (char *const *)(uintptr_t)environment);
        _exit(98);
    }
    assert_true(write(in[1], "x", 1) == 1 && read(out[0], &byte, 1) == 1);
    enum mt_filtered found = mt_filtered_look(pid);
    for (int i = 0; i < 2; i++) {
        (void)close(in[i]);
        (void)close(out[i]);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return found;
}

static void test_only_filters_beyond_those_known_keep_the_agent_from_its_work(void **state)
{
    (void)state;
    uint64_t own = own_filters();
    if (own == UINT64_MAX) {
        print_message("this kernel does not tell how many filters there are (before 5.9)\n");
        skip();
    }
    for (unsigned known = 0; known < 3; known++) {
        char setting[64];
        snprintf(setting, sizeof setting, "MEMTAP_FILTERS=%llu", (unsigned long long)own + known);
        const char *const with[] = { "A=1", "MEMTAP_OUTPUT=/x.mtap", setting, "B=2", NULL };
        for (unsigned filters = 0; filters < 4; filters++) {
            assert_int_equal(look(filters, with), filters > known ? MT_FILTERED_UNKNOWN : MT_FILTERED_NOT);
        }
    }
}

static void test_without_settings_it_is_not_the_filter(void **state)
{
    (void)state;
    assert_int_equal(look(1, (const char *const[]){ NULL }), MT_FILTERED_NOT);
    assert_int_equal(look(1, (const char *const[]){ "MEMTAP_FILTERS=0", "XMEMTAP_OUTPUT=/x", NULL }), MT_FILTERED_NOT);
}

static void test_who_is_gone_has_no_environment(void **state)
{
    (void)state;
    assert_int_equal(mt_filtered_look(-1), MT_FILTERED_NOT_KNOWN_YET);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_only_filters_beyond_those_known_keep_the_agent_from_its_work),
    cmocka_unit_test(test_without_settings_it_is_not_the_filter),
    cmocka_unit_test(test_who_is_gone_has_no_environment),
};
MT_TEST_MAIN(tests)
