/* killed.c: processes that do not say when they end.
 *
 * Usage: killed self | vfork | failed | child | exec | filtered. The first three kill themselves, the second after a vfork child has called
 * _exit, the third after an exec that failed. In
 * the others a child takes CHILD_BYTES and does nothing more; the parent takes PARENT_BYTES beside it, so that both are held
 * together, and gives them back. Then the child is killed, or becomes a program that is not recorded (a raw exec
 * without environment; or one that has all its settings, under a seccomp filter installed by a raw call), and the parent takes LATER_BYTES, which nobody holds beside the child's. Steps are in order: the child says
 * that it has its memory, and memtap, the parent of all, is seen to watch the child before, and no longer to watch it after.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20, CHILD_BYTES = 16 * MIB, PARENT_BYTES = 32 * MIB, LATER_BYTES = 40 * MIB, DESCRIPTORS = 256 };

static void *volatile g_kept;

static void need(bool good)
{
    if (!good) {
        _exit(99);
    }
}

static void *nothing_to_do(void *unused)
{
    return unused;
}

/* With a second thread the clock of events is that of the machine: they lie where they were, not up to a tick beside. */
static void time_events(void)
{
    pthread_t other;
    need(pthread_create(&other, NULL, nothing_to_do, NULL) == 0 && pthread_join(other, NULL) == 0);
}

/* What the kernel says of a descriptor of another process; nothing, if there is none. */
static void read_descriptor(pid_t tool, int number, char *ret_text, size_t bytes)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", (int)tool, number);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, ret_text, bytes - 1) : 0;
    ret_text[got > 0 ? got : 0] = '\0';
    if (fd >= 0) {
        close(fd);
    }
}

/* A descriptor of memtap's is a pidfd of this process, or of one that has been waited for: there is no other. */
static bool names_process(pid_t tool, int number, pid_t pid)
{
    char text[4096], wanted[32];
    snprintf(wanted, sizeof wanted, "\nPid:\t%d\n", (int)pid);
    read_descriptor(tool, number, text, sizeof text);
    return strstr(text, wanted) != NULL || strstr(text, "\nPid:\t-1\n") != NULL;
}

/* One that memtap waits for. While it makes out whose trace there is, it has a pidfd for a moment that it does not wait for. */
static bool is_waited_for(pid_t tool, int number)
{
    char text[4096], wanted[32];
    bool found = false;
    snprintf(wanted, sizeof wanted, "tfd: %8d ", number);
    for (int fd = 0; fd < DESCRIPTORS && !found; fd++) {
        read_descriptor(tool, fd, text, sizeof text);
        found = strstr(text, wanted) != NULL;
    }
    return found;
}

static bool is_watched(pid_t tool, pid_t pid)
{
    bool found = false;
    for (int fd = 0; fd < DESCRIPTORS && !found; fd++) {
        found = names_process(tool, fd, pid) && is_waited_for(tool, fd);
    }
    return found;
}

static void wait_until_watched(pid_t pid, bool wanted)
{
    pid_t tool = getppid();
    while (is_watched(tool, pid) != wanted) {
        sched_yield();
    }
}

/* By the instruction itself, which no hook sees. It allows everything. */
static void install_filter(void)
{
    struct sock_filter allow[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
    struct sock_fprog program = { sizeof allow / sizeof allow[0], allow };
    long result;
    need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"((long)SYS_prctl), "D"((long)PR_SET_SECCOMP), "S"((long)SECCOMP_MODE_FILTER), "d"(&program)
                     : "rcx", "r11", "memory");
    need(result == 0);
}

static void be_child(int ready, int go, const char *how)
{
    char byte;
    char *const nothing[] = { NULL };
    g_kept = malloc(CHILD_BYTES);
    need(write(ready, "", 1) == 1);
    need(read(go, &byte, 1) == 1 && strcmp(how, "child") != 0);
    dup2(go, 0);
    if (how[0] == 'f') {
        install_filter();
        execl("/bin/cat", "cat", NULL);
    }
    syscall(SYS_execve, "/bin/cat", (char *const[]){ "cat", NULL }, nothing); /* behind the back of hooks */
    _exit(98);
}

static void beside_child(const char *how)
{
    bool execs = strcmp(how, "child") != 0;
    int go[2], ready[2];
    char byte;
    need(pipe2(go, O_CLOEXEC) == 0 && pipe2(ready, O_CLOEXEC) == 0);
    pid_t child = fork();
    if (child == 0) {
        close(go[1]);
        be_child(ready[1], go[0], how);
    }
    time_events();
    need(read(ready[0], &byte, 1) == 1);
    wait_until_watched(child, true);
    g_kept = malloc(PARENT_BYTES);
    free(g_kept);
    if (execs) {
        need(write(go[1], "", 1) == 1);
    } else {
        need(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    }
    wait_until_watched(child, false);
    g_kept = malloc(LATER_BYTES);
    close(go[1]);
    need(!execs || waitpid(child, NULL, 0) == child);
}

int main(int argc, char **argv)
{
    const char *how = argc == 2 ? argv[1] : "";
    if (strcmp(how, "self") == 0 || strcmp(how, "vfork") == 0 || strcmp(how, "failed") == 0) {
        g_kept = malloc(CHILD_BYTES);
        pid_t child = how[0] == 'v' ? vfork() : -1;
        if (child == 0) {
            _exit(127);
        }
        need(child < 0 || waitpid(child, NULL, 0) == child);
        if (how[0] == 'f') {
            time_events(); /* and exec says when it was */
            need(execl("/nowhere", "nowhere", NULL) != 0);
        }
        kill(getpid(), SIGKILL);
    }
    beside_child(how);
    return 0;
}
