/* asleep.c: `asleep KIND`: a process that nobody can be borrowed in but its first thread, which waits in the way KIND says.
 *
 * Another thread waits for a line in readv, a call in which no thread is borrowed. It ends the wait; the first thread then allocates
 * what the truth says, which is printed with how often the wait came back for another reason ("disturbed").
 * Before it waits, the first thread leaves addresses of the loader and the allocator on its stack, as programs do.
 */
#include "truth.h"

#include <dlfcn.h>
#include <link.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>

enum { NEW = 1000 };

static pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER, g_held = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t g_changed = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t g_rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t g_barrier;
static sem_t g_semaphore, g_holds;
static pthread_t g_other;
static int g_line_came, g_word, g_pipe[2];
static unsigned g_disturbed;

static int has_come(void)
{
    return __atomic_load_n(&g_line_came, __ATOMIC_ACQUIRE);
}

/* ---- how the first thread waits ------------------------------------------------------------------------------------- */

static void wait_condition(void)
{
    pthread_mutex_lock(&g_mutex);
    while (!has_come()) {
        g_disturbed += pthread_cond_wait(&g_changed, &g_mutex) != 0;
    }
    pthread_mutex_unlock(&g_mutex);
}

static void wait_timed_condition(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 600;
    pthread_mutex_lock(&g_mutex);
    while (!has_come()) {
        g_disturbed += pthread_cond_timedwait(&g_changed, &g_mutex, &until) != 0;
    }
    pthread_mutex_unlock(&g_mutex);
}

static void wait_semaphore(void)
{
    while (sem_wait(&g_semaphore) != 0) {
        g_disturbed++;
    }
}

static void wait_mutex(void)
{
    g_disturbed += pthread_mutex_lock(&g_held) != 0;
    pthread_mutex_unlock(&g_held);
}

static void wait_rwlock(void)
{
    g_disturbed += pthread_rwlock_rdlock(&g_rwlock) != 0;
    pthread_rwlock_unlock(&g_rwlock);
}

static void wait_barrier(void)
{
    (void)pthread_barrier_wait(&g_barrier);
}

static void wait_join(void)
{
    g_disturbed += pthread_join(g_other, NULL) != 0;
}

static void wait_futex(void)
{
    while (__atomic_load_n(&g_word, __ATOMIC_ACQUIRE) == 0) {
        g_disturbed += syscall(SYS_futex, &g_word, FUTEX_WAIT, 0, NULL) != 0 && __atomic_load_n(&g_word, __ATOMIC_ACQUIRE) == 0;
    }
}

static void wait_nanosleep(void)
{
    const struct timespec pause = { 0, 50000000 };
    while (!has_come()) {
        g_disturbed += nanosleep(&pause, NULL) != 0;
    }
}

static void wait_clock(void)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    while (!has_come()) {
        until.tv_nsec = (until.tv_nsec + 50000000) % 1000000000;
        until.tv_sec += until.tv_nsec < 50000000;
        g_disturbed += clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0;
    }
}

static void wait_usleep(void)
{
    while (!has_come()) {
        g_disturbed += usleep(50000) != 0;
    }
}

static void wait_read(void)
{
    char byte;
    g_disturbed += read(g_pipe[0], &byte, 1) != 1;
}

static void wait_stream(void)
{
    char line[8];
    FILE *stream = fdopen(g_pipe[0], "r");
    g_disturbed += fgets(line, sizeof line, stream) == NULL;
}

static void wait_epoll(void)
{
    struct epoll_event event = { .events = EPOLLIN };
    int fd = epoll_create1(0);
    epoll_ctl(fd, EPOLL_CTL_ADD, g_pipe[0], &event);
    g_disturbed += epoll_wait(fd, &event, 1, 600000) != 1;
    close(fd);
}

/* ---- and where nobody may be borrowed ------------------------------------------------------------------------------- */

static void handle(int signal)
{
    (void)signal;
    wait_semaphore(); /* sem_wait in a handler: nothing that is allowed, and done */
}

static void wait_handler(void)
{
    (void)signal(SIGUSR1, handle);
    (void)raise(SIGUSR1);
}

static void handle_by_another(int number)
{
    (void)number;
    wait_handler();
}

/* In the handler of a signal that came within a handler, on a stack of its own. */
static void wait_nested_handler(void)
{
    static char stack[65536];
    const stack_t own = { .ss_sp = stack, .ss_size = sizeof stack };
    struct sigaction action = { .sa_handler = handle_by_another, .sa_flags = SA_ONSTACK };
    sigaltstack(&own, NULL);
    sigaction(SIGUSR2, &action, NULL);
    (void)raise(SIGUSR2);
}

static void before_fork(void)
{
    if (!has_come()) {
        wait_semaphore();
    }
}

/* Within fork, which holds locks while it calls the program. */
static void wait_fork(void)
{
    pthread_atfork(before_fork, NULL, NULL);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    (void)waitpid(pid, NULL, 0);
}

static int look_at_object(struct dl_phdr_info *info, size_t bytes, void *seen)
{
    (void)info;
    (void)bytes;
    (void)seen;
    wait_semaphore();
    return 1;
}

/* Within dl_iterate_phdr, which holds a lock of the loader. */
static void wait_iteration(void)
{
    (void)dl_iterate_phdr(look_at_object, NULL);
}

static const struct {
    const char *name;
    void (*wait)(void);
} g_kinds[] = { { "condition", wait_condition }, { "timed-condition", wait_timed_condition }, { "semaphore", wait_semaphore },
                { "mutex", wait_mutex },         { "rwlock", wait_rwlock },                   { "barrier", wait_barrier },
                { "join", wait_join },           { "futex", wait_futex },                     { "nanosleep", wait_nanosleep },
                { "clock", wait_clock },         { "usleep", wait_usleep },                   { "read", wait_read },
                { "stream", wait_stream },       { "epoll", wait_epoll },                     { "handler", wait_handler },
                { "nested-handler", wait_nested_handler }, { "fork", wait_fork },             { "iteration", wait_iteration } };

/* ---- the other thread ----------------------------------------------------------------------------------------------- */

static void end_all_waits(void)
{
    pthread_mutex_lock(&g_mutex);
    __atomic_store_n(&g_line_came, 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&g_changed);
    pthread_mutex_unlock(&g_mutex);
    sem_post(&g_semaphore);
    pthread_mutex_unlock(&g_held);
    pthread_rwlock_unlock(&g_rwlock);
    __atomic_store_n(&g_word, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &g_word, FUTEX_WAKE, 1);
    (void)!write(g_pipe[1], "\n", 1);
}

static void *other_thread(void *barrier)
{
    char byte = 0;
    struct iovec part = { &byte, 1 };
    pthread_mutex_lock(&g_held);
    pthread_rwlock_wrlock(&g_rwlock);
    sem_post(&g_holds);
    while (readv(0, &part, 1) == 1 && byte != '\n') {
    }
    end_all_waits();
    if (barrier != NULL) {
        (void)pthread_barrier_wait(&g_barrier);
    }
    return NULL;
}

/* ---- what is recorded ----------------------------------------------------------------------------------------------- */

CASE static void *case_new(size_t bytes)
{
    return TRUTH_ALLOC(malloc(bytes), bytes);
}

/* Deep, so that what it leaves lies where the wait's frames come to be. */
static void leave_old_words(unsigned depth)
{
    char room[96];
    memset(room, (int)depth, sizeof room);
    if (depth > 0) {
        leave_old_words(depth - 1);
    }
    void *handle = dlopen(NULL, RTLD_NOW);
    free(truth_keep(malloc(100 + (size_t)room[0])));
    (void)dlsym(handle, "main");
    dlclose(handle);
}

int main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "";
    void *kept[NEW];
    size_t k = 0;
    while (k < sizeof g_kinds / sizeof *g_kinds && strcmp(g_kinds[k].name, kind) != 0) {
        k++;
    }
    if (k == sizeof g_kinds / sizeof *g_kinds || pipe(g_pipe) != 0) {
        return 2;
    }
    truth_row("case_new");
    sem_init(&g_semaphore, 0, 0);
    sem_init(&g_holds, 0, 0);
    pthread_barrier_init(&g_barrier, NULL, 2);
    pthread_create(&g_other, NULL, other_thread, strcmp(kind, "barrier") == 0 ? &g_barrier : NULL);
    sem_wait(&g_holds);
    leave_old_words(8);
    (void)!write(1, "ready\n", 6);
    g_kinds[k].wait();
    for (size_t i = 0; i < NEW; i++) {
        kept[i] = case_new(24 + i % 500);
    }
    for (size_t i = 0; i < NEW; i += 2) {
        truth_free("case_new", 24 + i % 500);
        free(kept[i]);
    }
    if (strcmp(kind, "join") != 0) {
        pthread_join(g_other, NULL);
    }
    if (g_disturbed != 0) {
        fprintf(stderr, "asleep: %s came back %u times\n", kind, g_disturbed);
        return 1;
    }
    truth_print(1);
    return 0;
}
