/* processes.c: fork with and without exec, vfork, posix_spawn, system, popen; every process allocates and says so.
 *
 * Usage: processes CASE. Each process that takes part appends one line of truth to the file named by the environment
 * variable TRUTH_FILE: {"pid": P, "case_x": {...}}. `processes leaf` is what exec starts. The parent waits for all.
 */
#include "truth.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;
static char g_self[512];

static void report(void)
{
    int fd = open(getenv("TRUTH_FILE"), O_WRONLY | O_APPEND | O_CREAT, 0600);
    char pid[64];
    int n = snprintf(pid, sizeof pid, "%d ", (int)getpid());
    if (fd < 0 || write(fd, pid, (size_t)n) != n) {
        abort();
    }
    truth_print(fd);
    close(fd);
}

static void forget(void)
{
    for (unsigned i = 0; i < g_truth_count; i++) {
        g_truth[i] = (struct truth){ .function = g_truth[i].function };
    }
}

CASE static void case_parent(void)
{
    TRUTH_ALLOC(malloc(1111), 1111);
}

static void *g_inherited;
CASE static void case_inherited(void)
{
    g_inherited = TRUTH_ALLOC(malloc(2222), 2222);
}

CASE static void case_child(void)
{
    for (int i = 0; i < 50; i++) {
        TRUTH_ALLOC(malloc(3333), 3333);
    }
    free(g_inherited); /* the parent's block: the child's trace never saw it born */
}

CASE static void case_leaf(void)
{
    for (int i = 0; i < 7; i++) {
        TRUTH_ALLOC(malloc(4444), 4444);
    }
}

CASE static void case_grandchild(void)
{
    TRUTH_ALLOC(malloc(5555), 5555);
}

static void wait_for(pid_t child)
{
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        abort();
    }
}

static void exec_leaf(void)
{
    execl(g_self, g_self, "leaf", (char *)NULL);
    _exit(127);
}

static void run_fork(void)
{
    pid_t child = fork();
    if (child == 0) {
        forget();
        case_child();
        pid_t grandchild = fork();
        if (grandchild == 0) {
            forget();
            case_grandchild();
            report();
            _exit(0);
        }
        wait_for(grandchild);
        report();
        exit(0);
    }
    wait_for(child);
}

static void run_fork_exec(void)
{
    pid_t child = fork();
    if (child == 0) {
        forget();
        case_child();
        report();
        exec_leaf();
    }
    wait_for(child);
}

static void run_vfork(void)
{
    pid_t child = vfork();
    if (child == 0) {
        exec_leaf();
    }
    wait_for(child);
}

static void run_spawn(void)
{
    char *const argv[] = { g_self, "leaf", NULL };
    pid_t child;
    if (posix_spawn(&child, g_self, NULL, NULL, argv, environ) != 0) {
        abort();
    }
    wait_for(child);
}

static void run_system(void)
{
    char command[600];
    snprintf(command, sizeof command, "'%s' leaf", g_self);
    if (system(command) != 0) {
        abort();
    }
}

static void run_popen(void)
{
    char command[600];
    snprintf(command, sizeof command, "'%s' leaf", g_self);
    FILE *pipe = popen(command, "r");
    if (pipe == NULL || pclose(pipe) != 0) {
        abort();
    }
}

/* Exec without a fork: same pid, two programs. */
static void run_exec(void)
{
    report();
    exec_leaf();
}

/* Children of children, 20 forks from two levels. */
static void run_many(void)
{
    for (int i = 0; i < 4; i++) {
        pid_t child = fork();
        if (child == 0) {
            forget();
            case_child();
            report();
            for (int j = 0; j < 4; j++) {
                pid_t grandchild = fork();
                if (grandchild == 0) {
                    forget();
                    case_grandchild();
                    report();
                    _exit(0);
                }
                wait_for(grandchild);
            }
            exit(0);
        }
        wait_for(child);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} g_cases[] = {
    { "fork", run_fork },     { "fork_exec", run_fork_exec }, { "vfork", run_vfork }, { "spawn", run_spawn },
    { "system", run_system }, { "popen", run_popen },         { "exec", run_exec },   { "many", run_many },
};

int main(int argc, char **argv)
{
    if (readlink("/proc/self/exe", g_self, sizeof g_self - 1) <= 0 || argc != 2) {
        return 2;
    }
    if (strcmp(argv[1], "leaf") == 0) {
        case_leaf();
        report();
        return 0;
    }
    for (size_t i = 0; i < sizeof g_cases / sizeof g_cases[0]; i++) {
        if (strcmp(argv[1], g_cases[i].name) == 0) {
            case_parent();
            case_inherited();
            g_cases[i].run();
            report();
            return 0;
        }
    }
    return 2;
}
