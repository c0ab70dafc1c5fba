/* launch.c: runs one command and measures it: CPU time of its whole process tree, wall time, peak resident size.
 *
 * Why not Python's subprocess: ru_maxrss survives fork and exec, so a child of a large process starts with the size of
 * its parent (11 MB where the truth is 1.6). This launcher is small and uses vfork. It is a child subreaper: helpers
 * that outlive the command (a compressor behind a pipe, a daemon) are waited for and counted.
 *
 * Usage: launch RESULT_FILE SECONDS [NAME=VALUE...] COMMAND [ARGS...]. Writes one JSON object to RESULT_FILE; kills the
 * process group after SECONDS. The variables are the command's alone: a preloaded profiler that follows only the first
 * process it is loaded into must not spend that on the launcher. The command's exit status is in the result; the
 * launcher itself exits 0 unless it could not start it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile pid_t child_group;
static volatile sig_atomic_t timed_out;

static void stop_group(int signal_number)
{
    timed_out = signal_number == SIGALRM;
    if (child_group > 0) {
        kill(-child_group, SIGKILL);
    }
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seconds(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static void handle_signals(void)
{
    struct sigaction action = {.sa_handler = stop_group};
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* Puts leading NAME=VALUE arguments into the environment; returns the first argument that is none. */
static char **take_variables(char **argv)
{
    while (*argv != NULL && strchr(*argv, '=') != NULL) {
        putenv(*argv++);
    }
    return argv;
}

static pid_t start(char **command)
{
    pid_t pid = vfork();
    if (pid == 0) {
        setpgid(0, 0);
        execvp(command[0], command);
        _exit(127);
    }
    return pid;
}

/* Waits for the command, then for everything it left behind; ret_* are the command's own. */
static void wait_all(pid_t pid, int *ret_status, struct rusage *ret_usage, double *ret_end_s)
{
    for (;;) {
        int status;
        struct rusage usage;
        pid_t done = wait4(-1, &status, 0, &usage);
        if (done == pid) {
            *ret_status = status;
            *ret_usage = usage;
            *ret_end_s = now_s();
        } else if (done < 0 && errno != EINTR) {
            return;
        }
    }
}

int main(int argc, char **argv)
{
    char **command = argc < 4 ? NULL : take_variables(argv + 3);
    if (command == NULL || *command == NULL) {
        fprintf(stderr, "usage: launch RESULT_FILE SECONDS [NAME=VALUE...] COMMAND [ARGS...]\n");
        return 2;
    }
    FILE *result = fopen(argv[1], "we");
    if (result == NULL) {
        perror(argv[1]);
        return 1;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    handle_signals();
    double start_s = now_s();
    double end_s = start_s;
    child_group = start(command);
    if (child_group < 0) {
        perror("vfork");
        return 1;
    }
    alarm((unsigned)atoi(argv[2]));
    int status = 0;
    struct rusage own = {0};
    wait_all(child_group, &status, &own, &end_s);
    struct rusage tree;
    getrusage(RUSAGE_CHILDREN, &tree);
    fprintf(result,
            "{\"wall_s\": %.6f, \"all_wall_s\": %.6f, \"user_s\": %.6f, \"sys_s\": %.6f, \"maxrss_kib\": %ld, "
            "\"exit\": %d, \"signal\": %d, \"timed_out\": %s}\n",
            end_s - start_s, now_s() - start_s, seconds(&tree.ru_utime), seconds(&tree.ru_stime), own.ru_maxrss,
            WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0,
            timed_out ? "true" : "false");
    return fclose(result) == 0 ? 0 : 1;
}
