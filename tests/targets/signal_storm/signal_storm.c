/* signal_storm.c: timers interrupt allocating threads at any instruction, the handlers allocate too.
 *
 * Usage: signal_storm THREADS HANDLERS INTERVAL_US. Linked with an allocator that allows it (plugins/bump.c).
 * Each thread has a timer of its own; odd threads handle the signal on an alternate stack. The loops stop when the
 * handlers have run HANDLERS times in total: the work is bounded by events, not by time. Prints the truth.
 */
#include "truth.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

enum { THREADS_MAX = 16 };
static volatile unsigned long g_handled;
static unsigned long g_wanted = 20000;
static unsigned g_interval_us = 50;

CASE static void case_handler(int signal)
{
    (void)signal;
    void *p = TRUTH_ALLOC(malloc(77), 77);
    p = TRUTH_ALLOC(realloc(p, 177), 177);
    TRUTH_FREED(77);
    free(p);
    TRUTH_FREED(177);
    TRUTH_ALLOC(malloc(78), 78);
    __atomic_add_fetch(&g_handled, 1, __ATOMIC_RELAXED);
}

CASE static void case_interrupted(void)
{
    void *p = TRUTH_ALLOC(malloc(91), 91);
    p = TRUTH_ALLOC(realloc(p, 191), 191);
    TRUTH_FREED(91);
    free(p);
    TRUTH_FREED(191);
    TRUTH_ALLOC(calloc(1, 92), 92);
}

static void start_timer(int signal)
{
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = signal };
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    struct itimerspec every = { .it_value.tv_nsec = 1000L * g_interval_us, .it_interval.tv_nsec = 1000L * g_interval_us };
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 || timer_settime(timer, 0, &every, NULL) != 0) {
        abort();
    }
}

static void *thread_main(void *argument)
{
    unsigned index = (unsigned)(uintptr_t)argument;
    static char stacks[THREADS_MAX][64 * 1024];
    stack_t stack = { .ss_sp = stacks[index], .ss_size = sizeof stacks[index] };
    if (sigaltstack(&stack, NULL) != 0) {
        abort();
    }
    start_timer(index % 2 ? SIGUSR2 : SIGUSR1);
    while (g_handled < g_wanted) {
        case_interrupted();
    }
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned threads = argc > 1 ? (unsigned)atoi(argv[1]) : 4;
    g_wanted = argc > 2 ? (unsigned long)atol(argv[2]) : g_wanted;
    g_interval_us = argc > 3 ? (unsigned)atoi(argv[3]) : g_interval_us;
    if (threads > THREADS_MAX) {
        return 2;
    }
    truth_row("case_handler"); /* a handler must not be the first to take the lock of the rows */
    truth_row("case_interrupted");
    struct sigaction action = { .sa_handler = case_handler };
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR2, &action, NULL);
    pthread_t ids[THREADS_MAX];
    for (unsigned i = 0; i < threads; i++) {
        if (pthread_create(&ids[i], NULL, thread_main, (void *)(uintptr_t)i) != 0) {
            abort();
        }
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
    }
    truth_print(1);
    return 0;
}
