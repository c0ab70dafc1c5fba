/* restricted.c: installs a seccomp filter, and executes itself under it.
 *
 * Usage: restricted libc|raw killing|harmless [fork]. libc: by prctl of libc; raw: by the system call itself, which no hook sees.
 * killing: death for calls that no program needs to start, and that somebody who writes a file in it makes; harmless: for
 * ptrace. The program that is executed, `restricted leaf`, allocates seven blocks. fork: instead of that, three children do so, and
 * status 1 says that one of them did not end well.
 */
#include "truth.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILL_FOR(number)                                                                                               \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

CASE static void case_leaf(void)
{
    for (int i = 0; i < 7; i++) {
        TRUTH_ALLOC(malloc(4444), 4444);
    }
}

static long install(int by_libc, struct sock_fprog *program)
{
    if (by_libc) {
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program);
    }
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"((long)SYS_prctl), "D"((long)PR_SET_SECCOMP), "S"((long)SECCOMP_MODE_FILTER), "d"(program)
                     : "rcx", "r11", "memory");
    return result;
}

static int have_children(void)
{
    int failed = 0;
    for (int i = 0; i < 3; i++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            case_leaf();
            _exit(0);
        }
        failed |= child < 0 || waitpid(child, &status, 0) != child || status != 0;
    }
    return failed;
}

int main(int argc, char **argv)
{
    struct sock_filter killing[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        KILL_FOR(SYS_pwrite64),
        KILL_FOR(SYS_ftruncate),
        KILL_FOR(SYS_fallocate),
        KILL_FOR(SYS_mincore),
        KILL_FOR(SYS_fcntl),
        KILL_FOR(SYS_socket),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_filter harmless[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        KILL_FOR(SYS_ptrace),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    if (argc == 2 && strcmp(argv[1], "leaf") == 0) {
        case_leaf();
        return 0;
    }
    if (argc != 3 && argc != 4) {
        return 2;
    }
    struct sock_fprog program = { sizeof killing / sizeof killing[0], killing };
    if (strcmp(argv[2], "harmless") == 0) {
        program = (struct sock_fprog){ sizeof harmless / sizeof harmless[0], harmless };
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || install(strcmp(argv[1], "libc") == 0, &program) != 0) {
        return 77; /* not in this kernel */
    }
    if (argc == 4) {
        return have_children();
    }
    execl("/proc/self/exe", argv[0], "leaf", (char *)NULL);
    return 1;
}
