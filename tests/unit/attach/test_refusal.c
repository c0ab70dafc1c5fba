/* Each thing that keeps memtap out of a process has its sentence, with what to do. */
#include "attach/refusal.h"

#include "harness.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

static const struct mt_process_facts PLAIN = { .pid = 77, .group = 77, .user = 1000, .filters = 0, .state = 'S' };
static const struct mt_ptrace_rules OPEN = { .user = 1000 };

static void expect(mt_status status, mt_status wanted, const struct mt_error *err, const char *word)
{
    assert_int_equal(status, wanted);
    if (strstr(err->text, word) == NULL) {
        print_message("no \"%s\" in: %s\n", word, err->text);
    }
    assert_non_null(strstr(err->text, word));
}

static void judge(struct mt_process_facts facts, mt_status wanted, const char *word)
{
    struct mt_error err = { 0 };
    expect(mt_process_facts_judge(&facts, &OPEN, &err), wanted, &err, word);
}

static struct mt_process_facts plain(void)
{
    return PLAIN;
}

static void test_an_ordinary_process_is_not_refused(void **state)
{
    struct mt_error err = { 0 };
    (void)state;
    assert_int_equal(mt_process_facts_judge(&PLAIN, &OPEN, &err), MT_OK);
    struct mt_process_facts stopped = plain();
    stopped.state = 'T';
    assert_int_equal(mt_process_facts_judge(&stopped, &OPEN, &err), MT_OK);
}

static void test_what_a_process_is_can_forbid_it(void **state)
{
    (void)state;
    struct mt_process_facts facts = plain();
    facts.state = 'Z';
    judge(facts, MT_E_NOENT, "zombie");
    facts = plain();
    facts.kernel_thread = true;
    judge(facts, MT_E_UNSUPPORTED, "kernel");
    facts = plain();
    facts.group = 70;
    judge(facts, MT_E_INVAL, "process 70");
    facts = plain();
    facts.tracer = 12;
    judge(facts, MT_E_BUSY, "12");
    facts = plain();
    facts.shadow_stack = true;
    judge(facts, MT_E_UNSUPPORTED, "GLIBC_TUNABLES");
    facts = plain();
    facts.seccomp = 2;
    facts.filters = 1;
    judge(facts, MT_E_UNSUPPORTED, "seccomp");
}

static void test_filters_that_memtap_is_under_as_well_do_not_forbid_it(void **state)
{
    struct mt_process_facts facts = plain();
    struct mt_ptrace_rules rules = OPEN;
    (void)state;
    facts.seccomp = 2;
    facts.filters = rules.filters = 2;
    assert_int_equal(mt_process_facts_judge(&facts, &rules, NULL), MT_OK);
}

static void kernel_says_no(struct mt_ptrace_rules rules, const char *word)
{
    struct mt_error err = { 0 };
    expect(mt_refusal_of_kernel(&PLAIN, &rules, &err), MT_E_PERM, &err, word);
}

static void test_the_kernel_s_no_names_what_changes_it(void **state)
{
    (void)state;
    struct mt_ptrace_rules rules = OPEN;
    kernel_says_no(rules, "PR_SET_DUMPABLE");
    rules.yama_scope = 1;
    kernel_says_no(rules, "sysctl kernel.yama.ptrace_scope=0");
    rules.yama_scope = 2;
    kernel_says_no(rules, "CAP_SYS_PTRACE");
    rules.yama_scope = 3;
    kernel_says_no(rules, "starts again");
    rules = OPEN;
    rules.user = 5;
    kernel_says_no(rules, "user 1000");
    rules = OPEN;
    rules.may_trace_any = true;
    kernel_says_no(rules, "seccomp");
}

static void test_facts_come_from_the_process(void **state)
{
    struct mt_process_facts facts;
    struct mt_error err = { 0 };
    int status;
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        (void)raise(SIGSTOP);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(mt_process_facts_read(pid, &facts, &err), MT_OK);
    assert_int_equal(facts.tracer, getpid());
    assert_int_equal(facts.group, pid);
    assert_int_equal(facts.user, getuid());
    expect(mt_process_facts_judge(&facts, &OPEN, &err), MT_E_BUSY, &err, "tracing");
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, __WALL) == pid && !WIFSIGNALED(status)) {
    }
    struct mt_error gone = { 0 };
    expect(mt_process_facts_read(pid, &facts, &gone), MT_E_NOENT, &gone, "no process");
}

/* As a child of vfork does until it calls exec; it has our memory, so it does nothing. */
static __attribute__((no_sanitize("address", "thread", "undefined"))) int rest(void *unused)
{
    (void)unused;
    while (syscall(SYS_pause) != 0) {
    }
    return 0;
}

static void test_a_child_that_has_its_parent_s_memory_is_told(void **state)
{
    static char stack[65536] __attribute__((aligned(16)));
    struct mt_process_facts facts;
    struct mt_error err = { 0 };
    (void)state;
    pid_t pid = clone(rest, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
    assert_true(pid > 0);
    assert_int_equal(mt_process_facts_read(pid, &facts, &err), MT_OK);
    assert_true(facts.is_vforked);
    assert_int_equal(facts.parent, getpid());
    expect(mt_process_facts_judge(&facts, &OPEN, &err), MT_E_INTERRUPTED, &err, "memory of its parent");
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    pid = fork();
    if (pid == 0) {
        (void)rest(NULL);
    }
    struct mt_error none = { 0 };
    assert_int_equal(mt_process_facts_read(pid, &facts, &none), MT_OK);
    assert_false(facts.is_vforked);
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_a_zombie_and_oneself_are_refused_by_name(void **state)
{
    struct mt_subject subject;
    struct mt_error err = { 0 };
    siginfo_t info;
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    expect(mt_subject_open(pid, &subject, &err), MT_E_NOENT, &err, "zombie");
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    struct mt_error own = { 0 };
    expect(mt_subject_open(getpid(), &subject, &own), MT_E_INVAL, &own, "itself");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_an_ordinary_process_is_not_refused),
    cmocka_unit_test(test_what_a_process_is_can_forbid_it),
    cmocka_unit_test(test_filters_that_memtap_is_under_as_well_do_not_forbid_it),
    cmocka_unit_test(test_the_kernel_s_no_names_what_changes_it),
    cmocka_unit_test(test_facts_come_from_the_process),
    cmocka_unit_test(test_a_child_that_has_its_parent_s_memory_is_told),
    cmocka_unit_test(test_a_zombie_and_oneself_are_refused_by_name),
};
MT_TEST_MAIN(tests)
