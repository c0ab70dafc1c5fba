/* filtered.c: a program that forbids itself most system calls on pain of death, and goes on allocating.
 *
 * Usage: filtered prctl|syscall|strict|errno|twice|refused
 *        prctl, syscall   a killing filter, installed by that function; twice: two of them
 *        strict           seccomp's strict mode: read, write and exit alone
 *        errno            a filter that refuses instead of killing
 *        refused          a filter the kernel does not take: nothing changes
 * Ends by the exit call the filter allows, after the truth; the program lives if nobody makes a call behind its back.
 */
#include "truth.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { BLOCKS = 30000 };
#define ALLOW(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

CASE static void case_before(void)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        free(TRUTH_ALLOC(malloc(100 + i % 1000), 100 + i % 1000));
        TRUTH_FREED(100 + i % 1000);
    }
}

CASE static void case_after(void)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        free(TRUTH_ALLOC(malloc(100 + i % 1000), 100 + i % 1000));
        TRUTH_FREED(100 + i % 1000);
    }
}

static int install(const char *how)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_read),
        ALLOW(SYS_write),
        ALLOW(SYS_exit_group),
        ALLOW(SYS_mmap),
        ALLOW(SYS_munmap),
        ALLOW(SYS_brk),
        ALLOW(SYS_futex),
        ALLOW(SYS_prctl),
        ALLOW(SYS_seccomp),
        BPF_STMT(BPF_RET | BPF_K, strcmp(how, "errno") == 0 ? SECCOMP_RET_ERRNO | EPERM : SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = { .len = sizeof code / sizeof code[0], .filter = code };
    if (strcmp(how, "refused") == 0) {
        program.len = 0;
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
    }
    if (strcmp(how, "twice") == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        return 1;
    }
    return strcmp(how, "syscall") == 0 ? (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)
                                       : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        return 2;
    }
    case_before();
    int strict = strcmp(argv[1], "strict") == 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || (strict ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) : install(argv[1])) != 0) {
        return 77; /* not in this kernel */
    }
    case_after();
    truth_print(1);
    syscall(strict ? SYS_exit : SYS_exit_group, 0);
    return 3;
}
