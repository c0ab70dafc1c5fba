/* Unit tests of the copies of seccomp filters: what they answer is what the kernel does. */
#include "harness.h"

#include "base/os.h"
#include "base/rawcall.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
#define UNLESS_EQUAL(value, skipped) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skipped)

static bool allowed(long number, long first)
{
    return mt_raw_is_allowed(number, (const long[]){ first, 0, 0, 0, 0, 0 });
}

static uint32_t add(const struct sock_filter *code, size_t count)
{
    const struct sock_fprog program = { .len = (unsigned short)count, .filter = (struct sock_filter *)(uintptr_t)code };
    return mt_os_filter_add(&program);
}

static void test_without_a_filter_everything_is_made(void **state)
{
    (void)state;
    assert_false(mt_os_is_restricted());
    assert_int_equal(mt_raw4(SYS_getpid, 0, 0, 0, 0), getpid());
}

static void test_a_killing_filter_holds_back_what_it_does_not_allow(void **state)
{
    (void)state;
    const struct sock_filter code[] = {
        LOAD(arch), UNLESS_EQUAL(AUDIT_ARCH_X86_64, 4), LOAD(nr), UNLESS_EQUAL(SYS_getpid, 1),
        RETURN(SECCOMP_RET_ALLOW), RETURN(SECCOMP_RET_KILL_PROCESS), RETURN(SECCOMP_RET_KILL_PROCESS),
    };
    (void)add(code, MT_COUNTOF(code));
    assert_true(mt_os_is_restricted());
    assert_true(allowed(SYS_getpid, 0));
    assert_false(allowed(SYS_gettid, 0));
    assert_int_equal(mt_raw4(SYS_getpid, 0, 0, 0, 0), getpid());
    assert_int_equal(mt_raw4(SYS_gettid, 0, 0, 0, 0), -EPERM);
}

static void test_arguments_decide_too(void **state)
{
    (void)state;
    const struct sock_filter code[] = {
        LOAD(args[0]), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xFF), BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_STX, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_IMM, 7), BPF_STMT(BPF_LDX | BPF_W | BPF_MEM, 3),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 1), RETURN(SECCOMP_RET_LOG), RETURN(SECCOMP_RET_TRAP),
    };
    (void)add(code, MT_COUNTOF(code));
    assert_true(allowed(SYS_close, 7));
    assert_true(allowed(SYS_close, 0x107));
    assert_false(allowed(SYS_close, 8));
}

static void test_what_a_copy_cannot_tell_is_forbidden(void **state)
{
    (void)state;
    const struct sock_filter code[] = { LOAD(instruction_pointer), RETURN(SECCOMP_RET_ALLOW) };
    (void)add(code, MT_COUNTOF(code));
    assert_false(allowed(SYS_getpid, 0));
}

static void test_every_filter_must_allow(void **state)
{
    (void)state;
    const struct sock_filter all[] = { RETURN(SECCOMP_RET_ALLOW) };
    const struct sock_filter none[] = { RETURN(SECCOMP_RET_ERRNO | EPERM) };
    (void)add(all, 1);
    assert_true(allowed(SYS_getpid, 0));
    uint32_t place = add(none, 1);
    assert_false(allowed(SYS_getpid, 0));
    mt_os_filter_undo(place);
    assert_true(allowed(SYS_getpid, 0));
}

static void test_more_filters_than_are_kept_forbid_everything(void **state)
{
    (void)state;
    const struct sock_filter all[] = { RETURN(SECCOMP_RET_ALLOW) };
    for (int i = 0; i < 16; i++) {
        (void)add(all, 1);
    }
    assert_true(allowed(SYS_getpid, 0));
    mt_os_filter_undo(add(all, 1));
    assert_false(allowed(SYS_getpid, 0));
}

static void test_strict_mode_forbids_everything(void **state)
{
    (void)state;
    (void)mt_os_filter_add(NULL);
    assert_false(allowed(SYS_read, 0));
    assert_int_equal(mt_os_pid(), -EPERM);
}

static void test_a_filter_that_cannot_be_read_is_the_kernel_s_to_refuse(void **state)
{
    (void)state;
    assert_true(mt_os_filter_lets_write((const void *)8));
    mt_os_filter_undo(mt_os_filter_add((const void *)8));
    assert_true(allowed(SYS_getpid, 0));
}

/* The kernel runs the filter in a child, which lives if our answer was the kernel's. */
static void test_the_answer_is_the_kernel_s(void **state)
{
    (void)state;
    struct sock_filter code[] = {
        LOAD(nr), UNLESS_EQUAL(SYS_exit_group, 1), RETURN(SECCOMP_RET_ALLOW), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 1),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1), RETURN(SECCOMP_RET_ERRNO | ENOSYS), RETURN(SECCOMP_RET_ALLOW),
    };
    const long calls[] = { SYS_getpid, SYS_gettid, SYS_getuid, SYS_getgid, SYS_geteuid, SYS_getegid, SYS_getppid };
    struct sock_fprog program = { .len = MT_COUNTOF(code), .filter = code };
    pid_t child = fork();
    if (child == 0) {
        bool same = true;
        (void)mt_os_filter_add(&program);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
            _exit(77);
        }
        for (size_t i = 0; i < MT_COUNTOF(calls); i++) {
            same = same && allowed(calls[i], 0) == (syscall(calls[i]) >= 0);
        }
        _exit(same ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        skip(); /* no seccomp in this kernel */
    }
    assert_int_equal(status, 0);
}

/* A filter that says that there is no such call: whoever pauses must not spin. */
static void test_a_pause_is_made_without_ppoll(void **state)
{
    (void)state;
    enum { PAUSE_NS = 20000000 };
    pid_t child = fork();
    if (child == 0) {
        struct sock_filter code[] = { LOAD(nr), UNLESS_EQUAL(SYS_ppoll, 1), RETURN(SECCOMP_RET_ERRNO | ENOSYS), RETURN(SECCOMP_RET_ALLOW) };
        const struct sock_fprog program = { .len = MT_COUNTOF(code), .filter = code };
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
            _exit(77);
        }
        uint64_t before = mt_os_monotonic_ns();
        mt_os_pause_ns(PAUSE_NS);
        _exit(mt_os_monotonic_ns() - before >= PAUSE_NS ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        skip(); /* no seccomp in this kernel */
    }
    assert_int_equal(status, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_without_a_filter_everything_is_made),
    cmocka_unit_test(test_a_killing_filter_holds_back_what_it_does_not_allow),
    cmocka_unit_test(test_arguments_decide_too),
    cmocka_unit_test(test_what_a_copy_cannot_tell_is_forbidden),
    cmocka_unit_test(test_every_filter_must_allow),
    cmocka_unit_test(test_more_filters_than_are_kept_forbid_everything),
    cmocka_unit_test(test_strict_mode_forbids_everything),
    cmocka_unit_test(test_a_filter_that_cannot_be_read_is_the_kernel_s_to_refuse),
    cmocka_unit_test(test_the_answer_is_the_kernel_s),
    cmocka_unit_test(test_a_pause_is_made_without_ppoll),
};
MT_TEST_MAIN(tests)
