/* armed.c: a program that does what a thread of memtap's could disturb, and says what it saw.
 *
 * Usage: armed WORD…    Each word prints one line "WORD RESULT"; RESULT is the same with and without memtap.
 *   forks      200 forks; each child counts its threads and allocates; the most that /proc/self/status ever said, just before and after
 *   storm      4 threads that fork 50 times each, at the same time
 *   unshare    a user namespace in a child: 0 or errno
 *   setns      the process's own UTS namespace
 *   net        a network namespace of its own, where it may have one; then 20 forks, as above
 *   closefrom  every descriptor above 2 is closed; how many are open afterwards, then some more opened
 *   setuid     to the present user, from a process with two threads
 *   jail       a seccomp filter that lets everything through; threads afterwards
 *   exit       the main thread ends by pthread_exit, the last other one ends the process
 *   wait       reads a line
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long threads_now(void)
{
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    const char *at = strstr(text, "Threads:");
    return at != NULL ? atol(at + 8) : -1;
}

static int child(void)
{
    void *volatile block = malloc(1000);
    free(block);
    _exit(block == NULL ? 99 : (int)threads_now());
}

/* The most threads seen: right behind the call in the parent, where who warns of threads would look, and in a child. */
static long fork_many(int times)
{
    long most = 0;
    for (int i = 0; i < times; i++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0) {
            child();
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
            return -1;
        }
        most = WEXITSTATUS(status) > most ? WEXITSTATUS(status) : most;
    }
    return most;
}

static void *fork_in_thread(void *unused)
{
    (void)unused;
    return (void *)(intptr_t)fork_many(50);
}

static long storm(void)
{
    pthread_t threads[4];
    long sum = 0;
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, fork_in_thread, NULL);
    }
    for (int i = 0; i < 4; i++) {
        void *most = NULL;
        pthread_join(threads[i], &most);
        sum += (intptr_t)most > 2 || (intptr_t)most < 1;
    }
    return sum;
}

static long unshare_in_child(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(unshare(CLONE_NEWUSER) == 0 ? 0 : errno);
    }
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

static long enter_own_namespace(void)
{
    int fd = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
    long result = setns(fd, CLONE_NEWUTS) == 0 ? 0 : errno;
    close(fd);
    return result;
}

static long leave_network(void)
{
    if (unshare(CLONE_NEWNET) != 0) {
        (void)!unshare(CLONE_NEWUSER | CLONE_NEWNET);
    }
    return fork_many(20);
}

static long close_all(void)
{
    long wrong = 0;
    for (int fd = 3; fd < 4096; fd++) {
        close(fd);
    }
    for (int i = 0; i < 2000; i++) { /* among them are the numbers that were memtap's */
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        wrong += fd < 0;
    }
    for (int fd = 3; fd < 1000; fd++) {
        wrong += write(fd, "x", 1) != 1;
    }
    for (int fd = 3; fd < 4096; fd++) {
        close(fd);
    }
    return wrong;
}

static long jail(void)
{
    struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
    const struct sock_fprog program = { .len = 1, .filter = code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        return -errno;
    }
    return threads_now();
}

static void *wait_long(void *argument)
{
    pthread_barrier_wait(argument);
    for (;;) {
        pause();
    }
}

/* Every thread of libc's has to answer: one that does not would keep it for ever. */
static long set_user(void)
{
    static pthread_barrier_t barrier;
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, wait_long, &barrier);
    pthread_barrier_wait(&barrier);
    return setuid(getuid());
}

static void *end_last(void *unused)
{
    (void)unused;
    char byte;
    while (read(0, &byte, 1) == 1) {
    }
    return NULL;
}

static long leave_main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, end_last, NULL);
    printf("exit 0\n");
    fflush(stdout);
    pthread_exit(NULL);
}

static long wait_for_line(void)
{
    char byte = 0;
    while (read(0, &byte, 1) == 1 && byte != '\n') {
    }
    return 0;
}

static long forks(void)
{
    return fork_many(200);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *word;
        long (*run)(void);
    } words[] = {
        { "forks", forks },         { "storm", storm },   { "unshare", unshare_in_child }, { "setns", enter_own_namespace },
        { "closefrom", close_all }, { "setuid", set_user }, { "jail", jail },              { "exit", leave_main },
        { "wait", wait_for_line },  { "net", leave_network },
    };
    for (int i = 1; i < argc; i++) {
        for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
            if (strcmp(argv[i], words[w].word) == 0) {
                printf("%s %ld\n", argv[i], words[w].run());
                fflush(stdout);
            }
        }
    }
    return 0;
}
