/* thread.c: see thread.h. What the kernel does with interrupted calls: arch/x86/kernel/signal.c, arch_do_signal_or_restart. */
#include "attach/thread.h"

#include "base/os.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

enum { ERESTARTSYS = 512, ERESTARTNOINTR = 513, ERESTARTNOHAND = 514, ERESTART_RESTARTBLOCK = 516 };

static long trace(int request, pid_t tid, uintptr_t address, uintptr_t data)
{
    return syscall(SYS_ptrace, (long)request, (long)tid, address, data);
}

static bool is_event_stop(int status)
{
    return WIFSTOPPED(status) && status >> 16 == PTRACE_EVENT_STOP;
}

/* Until a thread has something to say (the caller blocks SIGCHLD), a millisecond at most. */
static void rest(void)
{
    struct timespec pause = { 0, 1000000 };
    sigset_t child;
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    (void)sigtimedwait(&child, NULL, &pause);
}

/* 1: *ret_status is there. 0: nothing yet. -1: it has ended. */
static int look(pid_t tid, int *ret_status)
{
    pid_t got = waitpid(tid, ret_status, __WALL | WNOHANG);
    if (got == 0) {
        return 0;
    }
    return got == tid && WIFSTOPPED(*ret_status) ? 1 : -1;
}

/* ---- stopping and letting go ---------------------------------------------------------------------------------------- */

static enum mt_thread_answer wait_for_stop(struct mt_thread *thread, uint64_t patience_ns)
{
    int status = 0;
    uint64_t start = mt_os_monotonic_ns(), now = start;
    thread->since_ns = start;
    for (; now - start < patience_ns; now = mt_os_monotonic_ns()) {
        int seen = look(thread->tid, &status);
        if (seen < 0) {
            return MT_THREAD_GONE;
        }
        if (seen == 0) {
            thread->since_ns = now;
            rest();
        } else if (is_event_stop(status)) {
            thread->stopped_by_signal = WSTOPSIG(status) != SIGTRAP;
            return MT_THREAD_STOPPED;
        } else if (trace(PTRACE_CONT, thread->tid, 0, (uintptr_t)WSTOPSIG(status)) != 0) {
            return MT_THREAD_GONE;
        }
    }
    return MT_THREAD_NO_STOP;
}

static enum mt_thread_answer refused(int error)
{
    return error == ESRCH ? MT_THREAD_GONE : error == EPERM || error == EACCES || error == ENOSYS ? MT_THREAD_DENIED : MT_THREAD_GONE;
}

enum mt_thread_answer mt_thread_stop(pid_t process, pid_t tid, uint64_t patience_ns, struct mt_thread *ret)
{
    *ret = (struct mt_thread){ .process = process, .tid = tid };
    if (trace(PTRACE_SEIZE, tid, 0, PTRACE_O_TRACESYSGOOD) != 0) {
        return refused(errno);
    }
    if (trace(PTRACE_INTERRUPT, tid, 0, 0) != 0) {
        return MT_THREAD_GONE;
    }
    enum mt_thread_answer answer = wait_for_stop(ret, patience_ns);
    if (answer == MT_THREAD_STOPPED && trace(PTRACE_GETREGS, tid, 0, (uintptr_t)&ret->registers) != 0) {
        return MT_THREAD_GONE;
    }
    return answer;
}

/* The kernel restarts calls by itself, but not those that say EINTR to any interruption (epoll_wait, recv with a time limit). */
static void undo_interruption(struct mt_thread *thread)
{
    uint64_t number;
    int64_t outcome;
    if (mt_thread_was_in_call(&thread->registers, &number, &outcome) && outcome == -EINTR &&
        !mt_thread_has_signal(thread->process, thread->tid)) {
        mt_thread_make_again(&thread->registers, outcome);
        (void)trace(PTRACE_SETREGS, thread->tid, 0, (uintptr_t)&thread->registers);
    }
}

void mt_thread_let_go(struct mt_thread *thread)
{
    undo_interruption(thread);
    (void)trace(PTRACE_DETACH, thread->tid, 0, 0);
}

uint64_t mt_thread_stopped_ns(const struct mt_thread *thread)
{
    return thread->before_ns + (mt_os_monotonic_ns() - thread->since_ns);
}

bool mt_thread_send(struct mt_thread *thread, const struct user_regs_struct *registers, bool keep)
{
    return trace(PTRACE_SETREGS, thread->tid, 0, (uintptr_t)registers) == 0 &&
           trace(keep ? PTRACE_CONT : PTRACE_DETACH, thread->tid, 0, 0) == 0;
}

bool mt_thread_hand_on(const struct mt_thread *thread)
{
    int status = 0;
    int seen = look(thread->tid, &status);
    if (seen > 0) {
        int signal = is_event_stop(status) ? 0 : WSTOPSIG(status);
        return trace(PTRACE_CONT, thread->tid, 0, (uintptr_t)signal) == 0;
    }
    return seen == 0;
}

void mt_thread_release(struct mt_thread *thread)
{
    static const uint64_t patience_ns = 1000000000;
    if (trace(PTRACE_INTERRUPT, thread->tid, 0, 0) == 0 && wait_for_stop(thread, patience_ns) == MT_THREAD_STOPPED &&
        trace(PTRACE_GETREGS, thread->tid, 0, (uintptr_t)&thread->registers) == 0) {
        mt_thread_let_go(thread);
    }
}

/* ---- a system call -------------------------------------------------------------------------------------------------- */

enum { EVENTS_MAX = 8, CALL_STOP = SIGTRAP | 0x80 /* PTRACE_O_TRACESYSGOOD */ };

/* Until it stops again. Returns the wait status; -1: the thread has ended, or is not back in time. */
static int wait_for_call(struct mt_thread *thread, uint64_t patience_ns)
{
    uint64_t start = mt_os_monotonic_ns();
    int status = 0, seen = 0;
    thread->before_ns += start - thread->since_ns;
    for (uint64_t now = start; seen == 0 && now - start < patience_ns; now = mt_os_monotonic_ns()) {
        thread->since_ns = now;
        seen = look(thread->tid, &status);
        if (seen == 0) {
            rest();
        }
    }
    return seen > 0 ? status : -1;
}

/* To the next entry or exit of a system call; a stopped process (state T) reports its stop first, once or twice. */
static int run_to_call(struct mt_thread *thread, uint64_t patience_ns)
{
    int status = -1;
    for (int events = 0; events < EVENTS_MAX; events++) {
        if (trace(PTRACE_SYSCALL, thread->tid, 0, 0) != 0 || (status = wait_for_call(thread, patience_ns)) == -1) {
            return -1;
        }
        if (!is_event_stop(status)) {
            break;
        }
    }
    return status;
}

/* Not by a single step: if we die, its trap would end the process. The kernel forgets that calls are traced. */
bool mt_thread_call(struct mt_thread *thread, const struct user_regs_struct *registers, uint64_t patience_ns, int64_t *ret_result)
{
    struct user_regs_struct after;
    if (trace(PTRACE_SETREGS, thread->tid, 0, (uintptr_t)registers) != 0) {
        return false;
    }
    int status = run_to_call(thread, patience_ns);
    if (status != -1 && WSTOPSIG(status) != CALL_STOP) { /* a signal came first, or the stop of the process does not end */
        (void)trace(PTRACE_SETREGS, thread->tid, 0, (uintptr_t)&thread->registers);
        (void)trace(PTRACE_DETACH, thread->tid, 0, is_event_stop(status) ? 0 : (uintptr_t)WSTOPSIG(status));
        return false;
    }
    status = status != -1 ? run_to_call(thread, patience_ns) : -1;
    if (status == -1 || WSTOPSIG(status) != CALL_STOP || trace(PTRACE_GETREGS, thread->tid, 0, (uintptr_t)&after) != 0) {
        return false; /* the frame below its stack brings it back */
    }
    *ret_result = (int64_t)after.rax;
    return true;
}

/* Behind a call the kernel makes none again by itself. */
bool mt_thread_restore(struct mt_thread *thread)
{
    uint64_t number;
    int64_t outcome;
    if (mt_thread_was_in_call(&thread->registers, &number, &outcome) &&
        !(outcome == -EINTR && mt_thread_has_signal(thread->process, thread->tid))) {
        mt_thread_make_again(&thread->registers, outcome);
    }
    return trace(PTRACE_SETREGS, thread->tid, 0, (uintptr_t)&thread->registers) == 0;
}

bool mt_thread_signal_mask(const struct mt_thread *thread, uint64_t *ret_mask)
{
    return trace(PTRACE_GETSIGMASK, thread->tid, sizeof *ret_mask, (uintptr_t)ret_mask) == 0;
}

size_t mt_thread_vector_state(const struct mt_thread *thread, void *ret, size_t capacity)
{
    struct iovec part = { .iov_base = ret, .iov_len = capacity };
    return trace(PTRACE_GETREGSET, thread->tid, NT_X86_XSTATE, (uintptr_t)&part) == 0 ? part.iov_len : 0;
}

/* ---- interrupted calls ---------------------------------------------------------------------------------------------- */

bool mt_thread_was_in_call(const struct user_regs_struct *registers, uint64_t *ret_number, int64_t *ret_outcome)
{
    int64_t outcome = (int64_t)registers->rax;
    bool restartable = outcome == -ERESTARTSYS || outcome == -ERESTARTNOINTR || outcome == -ERESTARTNOHAND ||
                       outcome == -ERESTART_RESTARTBLOCK || outcome == -EINTR;
    if ((int64_t)registers->orig_rax < 0 || !restartable) {
        return false;
    }
    *ret_number = registers->orig_rax;
    *ret_outcome = outcome;
    return true;
}

void mt_thread_make_again(struct user_regs_struct *registers, int64_t outcome)
{
    registers->rip -= 2; /* the syscall instruction */
    registers->rax = outcome == -ERESTART_RESTARTBLOCK ? SYS_restart_syscall : registers->orig_rax;
    registers->orig_rax = UINT64_MAX;
}

bool mt_thread_has_signal(pid_t process, pid_t tid)
{
    char path[64], line[256];
    unsigned long long own = 0, shared = 0, blocked = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/status", (int)process, (int)tid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        own = strncmp(line, "SigPnd:", 7) == 0 ? strtoull(line + 7, NULL, 16) : own;
        shared = strncmp(line, "ShdPnd:", 7) == 0 ? strtoull(line + 7, NULL, 16) : shared;
        blocked = strncmp(line, "SigBlk:", 7) == 0 ? strtoull(line + 7, NULL, 16) : blocked;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return ((own | shared) & ~blocked) != 0;
}
