/* cleaned.c: executes itself by every function there is, with an environment from which everything was taken.
 *
 * Usage: cleaned HOW. The new program is `cleaned leaf WANTED`: it allocates seven blocks, and fails when its environment
 * has not the one variable of the program's own that it was given (WANTED=1: OWN=kept) or has it without (0), or anything
 * of memtap's. The parent
 * waits for it, and fails when an argument or a variable of its own was changed by the call.
 */
#define _GNU_SOURCE
#include "truth.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static char g_self[512];
static char g_own[] = "OWN=kept";
static char g_other[] = "LD_PRELOAD=";
static char *g_none[] = { NULL };
static char *g_one[] = { g_own, NULL };
static char *g_preload[] = { g_own, g_other, NULL };
static char *g_leaf[] = { g_self, "leaf", "0", NULL };
static char *g_leaf_with_one[] = { g_self, "leaf", "1", NULL };

CASE static void case_leaf(void)
{
    for (int i = 0; i < 7; i++) {
        TRUTH_ALLOC(malloc(4444), 4444);
    }
}

/* ---- in the child, after fork ----------------------------------------------------------------------------------------- */

static void by_execve(void) { execve(g_self, g_leaf, g_none); }
static void by_execve_null(void) { execve(g_self, g_leaf, NULL); }
static void by_execve_one(void) { execve(g_self, g_leaf_with_one, g_one); }
static void by_execve_preload(void) { execve(g_self, g_leaf_with_one, g_preload); }
static void by_execv(void) { clearenv(); execv(g_self, g_leaf); }
static void by_execvp(void) { clearenv(); execvp(g_self, g_leaf); }
static void by_execvpe(void) { execvpe(g_self, g_leaf_with_one, g_one); }
static void by_execl(void) { clearenv(); execl(g_self, g_self, "leaf", "0", (char *)NULL); }
static void by_execlp(void) { clearenv(); execlp(g_self, g_self, "leaf", "0", (char *)NULL); }
static void by_execle(void) { execle(g_self, g_self, "leaf", "1", (char *)NULL, g_one); }
static void by_fexecve(void) { fexecve(open(g_self, O_RDONLY | O_CLOEXEC), g_leaf_with_one, g_one); }
static void by_unset(void) { unsetenv("LD_PRELOAD"); execv(g_self, g_leaf); }

/* Behind two folders that do not have it. */
static void by_path(void)
{
    char path[600];
    char *name = strrchr(g_self, '/');
    clearenv();
    *name = '\0';
    snprintf(path, sizeof path, "/nowhere:/proc:%s", g_self);
    *name = '/';
    setenv("PATH", path, 1);
    execlp(name + 1, g_self, "leaf", "0", (char *)NULL);
}

static void by_execveat(void)
{
#if __GLIBC_PREREQ(2, 34)
    execveat(open(g_self, O_PATH | O_CLOEXEC), "", g_leaf, g_none, AT_EMPTY_PATH);
#else
    by_fexecve();
#endif
}

/* An environment with more variables than can be carried on a small stack. */
static void by_execve_many(void)
{
    enum { MANY = 1000 };
    static char text[MANY][16];
    static char *many[MANY + 2];
    for (int i = 0; i < MANY; i++) {
        snprintf(text[i], sizeof text[i], "V%d=%d", i, i);
        many[i] = text[i];
    }
    many[MANY] = g_own;
    execve(g_self, g_leaf_with_one, many);
}

/* The exec fails, the program goes on and tries another. */
static void by_second(void)
{
    char **volatile nowhere = (char **)16;
    if (execve("/nowhere/at/all", g_leaf, g_none) != -1 || errno != ENOENT || execve(g_self, g_leaf, nowhere) != -1 ||
        errno != EFAULT) {
        _exit(9);
    }
    by_execve();
}

static const struct {
    const char *name;
    void (*run)(void);
} g_execs[] = {
    { "execve", by_execve },         { "execve_null", by_execve_null }, { "execve_one", by_execve_one },
    { "preload", by_execve_preload }, { "execv", by_execv },            { "execvp", by_execvp },
    { "execvpe", by_execvpe },       { "execl", by_execl },             { "execlp", by_execlp },
    { "execle", by_execle },         { "fexecve", by_fexecve },         { "execveat", by_execveat },
    { "unset", by_unset },           { "path", by_path },               { "many", by_execve_many },
    { "second", by_second },
};

/* ---- in the parent ---------------------------------------------------------------------------------------------------- */

static pid_t by_vfork(void)
{
    pid_t child = vfork();
    if (child == 0) {
        execve(g_self, g_leaf, g_none);
        _exit(9);
    }
    return child;
}

static pid_t by_spawn(void)
{
    pid_t child;
    return posix_spawn(&child, g_self, NULL, NULL, g_leaf_with_one, g_one) == 0 ? child : -1;
}

static pid_t by_spawnp(void)
{
    pid_t child;
    return posix_spawnp(&child, g_self, NULL, NULL, g_leaf, g_none) == 0 ? child : -1;
}

static const char *command(void)
{
    static char text[600];
    snprintf(text, sizeof text, "'%s' leaf 0", g_self);
    clearenv();
    return text;
}

static int started(const char *how)
{
    int status = -1;
    pid_t child = -1;
    if (strcmp(how, "system") == 0) {
        return system(command());
    }
    if (strcmp(how, "popen") == 0) {
        FILE *pipe = popen(command(), "r");
        return pipe != NULL ? pclose(pipe) : -1;
    }
    if (strcmp(how, "vfork") == 0) {
        child = by_vfork();
    } else if (strcmp(how, "spawn") == 0) {
        child = by_spawn();
    } else if (strcmp(how, "spawnp") == 0) {
        child = by_spawnp();
    } else if ((child = fork()) == 0) {
        for (size_t i = 0; i < sizeof g_execs / sizeof g_execs[0]; i++) {
            if (strcmp(how, g_execs[i].name) == 0) {
                g_execs[i].run();
            }
        }
        _exit(9);
    }
    return child > 0 && waitpid(child, &status, 0) == child ? status : -1;
}

int main(int argc, char **argv)
{
    if (readlink("/proc/self/exe", g_self, sizeof g_self - 1) <= 0 || argc < 2) {
        return 2;
    }
    if (strcmp(argv[1], "leaf") == 0) {
        const char *own = getenv("OWN");
        case_leaf();
        for (char **variable = environ; *variable != NULL; variable++) {
            if (strstr(*variable, "libmemtap-agent") != NULL || strncmp(*variable, "MEMTAP_", 7) == 0 || strstr(*variable, "verify_asan") != NULL) {
                fprintf(stderr, "was not given %s\n", *variable);
                return 4;
            }
        }
        return argc == 3 && (own != NULL && strcmp(own, "kept") == 0) == (argv[2][0] == '1') ? 0 : 3;
    }
    int status = started(argv[1]);
    int whole = strcmp(g_own, "OWN=kept") == 0 && strcmp(g_other, "LD_PRELOAD=") == 0 && g_one[0] == g_own && g_one[1] == NULL &&
                g_preload[1] == g_other && g_preload[2] == NULL && g_none[0] == NULL && strcmp(g_leaf[1], "leaf") == 0;
    return status == 0 && whole ? 0 : 1;
}
