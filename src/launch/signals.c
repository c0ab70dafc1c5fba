/* signals.c: see signals.h. */
#include "launch/signals.h"

#include "base/os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { GENERATIONS_MAX = 64 };

void mt_signals_block(struct mt_run *run)
{
    sigset_t all;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, &run->before);
}

void mt_signals_settle(void)
{
    (void)signal(SIGINT, SIG_IGN); /* afterwards: the program is interrupted, completing its trace is not */
    (void)signal(SIGQUIT, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL); /* inherited as ignored, it would make wait fail */
}

bool mt_signals_take(uint64_t deadline_ns, siginfo_t *ret)
{
    sigset_t all;
    uint64_t now = mt_os_monotonic_ns();
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    struct timespec timeout = { .tv_sec = (time_t)(left / 1000000000), .tv_nsec = (long)(left % 1000000000) };
    (void)sigfillset(&all);
    return sigtimedwait(&all, ret, &timeout) > 0;
}

/* ---- whose signal it is ------------------------------------------------------------------------------------------ */

static pid_t parent_of(pid_t pid)
{
    char path[64];
    char text[512] = "";
    int parent = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    size_t bytes = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file != NULL) {
        (void)fclose(file);
    }
    const char *after_name = bytes > 0 ? strrchr(text, ')') : NULL; /* the name may hold anything */
    return after_name != NULL && sscanf(after_name, ") %*c %d", &parent) == 1 ? (pid_t)parent : 0;
}

/* The program, or a process it has started: it signals its group, or its parent, and knows nothing of memtap. */
static bool is_of_program(pid_t program, pid_t pid)
{
    for (int i = 0; i < GENERATIONS_MAX && pid > 1; i++) {
        if (pid == program) {
            return true;
        }
        pid = parent_of(pid);
    }
    return false;
}

/* The kernel sends most signals to a whole foreground group. These come to one process: a clock set before memtap was
 * started in its place, and the hang-up of a terminal whose session memtap leads. */
static bool is_for_memtap_alone(int number)
{
    return number == SIGALRM || number == SIGVTALRM || number == SIGPROF || (number == SIGHUP && getsid(0) == getpid());
}

static bool is_to_pass(struct mt_run *run, const siginfo_t *info)
{
    if (info->si_code > 0) {
        return info->si_code == SI_KERNEL && is_for_memtap_alone(info->si_signo);
    }
    if (mt_witness_saw(&run->witness, info) && getpgid(run->pid) == getpgrp()) {
        return false; /* the program is in the group it was sent to */
    }
    bool has_sender = info->si_code == SI_USER || info->si_code == SI_TKILL || info->si_code == SI_QUEUE;
    return !has_sender || !is_of_program(run->pid, info->si_pid);
}

/* ---- passing on -------------------------------------------------------------------------------------------------- */

/* A value that was queued with the signal goes along. */
static void forward(pid_t pid, const siginfo_t *info)
{
    siginfo_t copy = *info;
    bool queued = info->si_code == SI_QUEUE && syscall(SYS_rt_sigqueueinfo, pid, info->si_signo, &copy) == 0;
    if (!queued) {
        (void)kill(pid, info->si_signo);
    }
}

static bool stops_by_default(int number)
{
    return number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
}

void mt_signals_pass_on(struct mt_run *run, const siginfo_t *info)
{
    if (stops_by_default(info->si_signo)) {
        run->stop_asked = info->si_signo;
    }
    if (info->si_signo == SIGCONT) {
        run->stop_asked = 0;
    }
    if (!is_to_pass(run, info)) {
        return; /* the program has it, or sent it */
    }
    if (info->si_signo == run->options.snapshot_signal) {
        mt_tick_ask_snapshot(&run->tick);
    } else {
        forward(run->pid, info);
    }
}

/* ---- job control ------------------------------------------------------------------------------------------------- */

/* Stopping for the reason the program has stopped for: that is what the shell shows. */
static void stop_by(int number)
{
    sigset_t one;
    (void)sigemptyset(&one);
    (void)sigaddset(&one, number);
    void (*before)(int) = signal(number, SIG_DFL);
    (void)raise(number);
    (void)sigprocmask(SIG_UNBLOCK, &one, NULL); /* stops here */
    (void)sigprocmask(SIG_BLOCK, &one, NULL);
    (void)signal(number, before);
}

void mt_signals_program_stopped(struct mt_run *run, int number)
{
    if (run->stop_asked == number) {
        run->stop_asked = 0;
        stop_by(number);
    }
}

void mt_signals_release(struct mt_run *run)
{
    siginfo_t info;
    while (mt_signals_take(0, &info)) {
    }
    (void)sigprocmask(SIG_SETMASK, &run->before, NULL);
}
