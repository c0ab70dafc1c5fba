/* endings.c: every way a process can end, after the same known work; the program's last act before it is the truth.
 *
 * Usage: endings HOW. The harness compares exit status, output and signals with and without memtap, and the trace with
 * the truth, which must be complete up to the end in every case.
 */
#include "truth.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

CASE static void case_work(void)
{
    for (size_t i = 0; i < 1000; i++) {
        void *p = TRUTH_ALLOC(malloc(100 + i), 100 + i);
        if (i % 3 != 0) {
            free(p);
            TRUTH_FREED(100 + i);
        }
    }
}

static void *exit_in_thread(void *unused)
{
    (void)unused;
    exit(11);
}

static void *linger(void *unused)
{
    usleep(20000); /* outlives main; the process ends with the last thread */
    return unused;
}

static void end_return(void) {}
static void end_exit(void) { exit(3); }
static void end__exit(void) { _exit(4); }
static void end_quick_exit(void) { quick_exit(5); }
static void end_exit_group(void) { syscall(SYS_exit_group, 6); }
static void end_abort(void) { abort(); }
static void end_kill(void) { kill(getpid(), SIGKILL); }
static void end_term(void) { raise(SIGTERM); }
static void end_trap(void) { __builtin_trap(); }

static void end_segv(void)
{
    *(volatile int *)truth_keep(NULL) = 1;
}

static void end_overflow(void)
{
    volatile char page[4096];
    page[0] = 1;
    if (page[0] == 1) {
        end_overflow();
    }
    page[1] = 2;
}

static void end_thread_exit(void)
{
    pthread_t id;
    pthread_create(&id, NULL, exit_in_thread, NULL);
    pthread_join(id, NULL);
}

static void end_main_leaves(void)
{
    pthread_t id;
    pthread_create(&id, NULL, linger, NULL);
    pthread_exit(NULL);
}

static void end_other_threads(void)
{
    pthread_t id;
    pthread_create(&id, NULL, linger, NULL);
    exit(8);
}

static void end_exec(void)
{
    execl("/bin/sh", "sh", "-c", "exit 9", (char *)NULL);
}

#define ENDING(name) { #name, end_##name }
static const struct {
    const char *name;
    void (*end)(void);
} g_endings[] = {
    ENDING(return), ENDING(exit), ENDING(_exit),       ENDING(quick_exit), ENDING(exit_group),
    ENDING(abort),  ENDING(kill), ENDING(term),        ENDING(segv),       ENDING(overflow),
    ENDING(trap),   ENDING(exec), ENDING(thread_exit), ENDING(main_leaves), ENDING(other_threads),
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof g_endings / sizeof g_endings[0]; i++) {
        if (argc == 2 && strcmp(argv[1], g_endings[i].name) == 0) {
            case_work();
            truth_print(1);
            g_endings[i].end();
            return 0;
        }
    }
    for (size_t i = 0; argc == 1 && i < sizeof g_endings / sizeof g_endings[0]; i++) {
        printf("%s\n", g_endings[i].name);
    }
    return argc == 1 ? 0 : 2;
}
