/* surroundings.c: programs that change what the agent stands on, then allocate.
 *
 * Usage: surroundings HOW. Closes every descriptor, changes directory and root, lowers limits, drops privileges, turns
 * into a daemon, unlinks its own trace's folder. The work must be done and reported as if memtap were not there; what is
 * recorded must be what was done, unless the limit forbids the file to grow.
 */
#include "truth.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int g_out = 1;
static unsigned g_rounds = 1000;

CASE static void case_work(void)
{
    for (size_t i = 0; i < g_rounds; i++) {
        void *p = TRUTH_ALLOC(malloc(100 + i % 1000), 100 + i % 1000);
        if (i % 10 != 0) {
            free(p);
            TRUTH_FREED(100 + i % 1000);
        }
    }
}

static void limit(int resource, rlim_t value)
{
    struct rlimit now;
    if (getrlimit(resource, &now) != 0) {
        abort();
    }
    now.rlim_cur = value;
    if (setrlimit(resource, &now) != 0) {
        abort();
    }
}

static void set_none(void) {}

static void set_close_all(void)
{
    if (close_range(3, ~0u, 0) != 0) {
        abort();
    }
}

/* Also the standard ones; what is opened next gets number 0, and must not be the trace. */
static void set_close_standard(void)
{
    g_out = fcntl(1, F_DUPFD, 100);
    close(0);
    close(1);
    close(2);
    if (open("/dev/null", O_RDWR) != 0 || open("/dev/null", O_RDWR) != 1) {
        abort();
    }
}

static void set_chdir(void)
{
    if (chdir("/") != 0) {
        abort();
    }
}

static void set_chroot(void)
{
    if (mkdir("new-root", 0700) != 0 || chroot("new-root") != 0 || chdir("/") != 0) {
        _exit(77); /* not permitted here */
    }
}

static void set_nofile(void) { limit(RLIMIT_NOFILE, 0); }
static void set_core(void) { limit(RLIMIT_CORE, 0); }

static void set_as(void)
{
    limit(RLIMIT_AS, (rlim_t)1 << 30);
    g_rounds = 20000;
}

/* Files may not grow: without care a write raises SIGXFSZ and kills the program. */
static void set_fsize(void)
{
    limit(RLIMIT_FSIZE, 64 * 1024);
    g_rounds = 500000;
}

static void set_fsize_zero(void)
{
    limit(RLIMIT_FSIZE, 0);
    g_rounds = 500000;
}

static void set_umask(void) { umask(0777); }
static void set_nodump(void) { prctl(PR_SET_DUMPABLE, 0); }

static void set_user(void)
{
    if (setgid(65534) != 0 || setuid(65534) != 0) {
        _exit(77);
    }
}

static void set_sigmask(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
}

/* Double fork: the work is done in a process whose parent is gone. The first process waits on a pipe. */
static void set_daemon(void)
{
    int ends[2];
    char byte;
    if (pipe(ends) != 0) {
        abort();
    }
    pid_t child = fork();
    if (child == 0) {
        setsid();
        if (fork() != 0) {
            _exit(0);
        }
        close(ends[0]); /* ends[1] stays open until the daemon ends */
        return;
    }
    close(ends[1]);
    while (read(ends[0], &byte, 1) > 0) {
    }
    waitpid(child, NULL, 0);
    exit(0);
}

#define SETTING(name) { #name, set_##name }
static const struct {
    const char *name;
    void (*set)(void);
} g_settings[] = {
    SETTING(none),  SETTING(close_all),  SETTING(close_standard), SETTING(chdir), SETTING(chroot),  SETTING(nofile),
    SETTING(core),  SETTING(as),         SETTING(fsize),          SETTING(umask), SETTING(nodump),  SETTING(user),
    SETTING(daemon), SETTING(fsize_zero), SETTING(sigmask),
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof g_settings / sizeof g_settings[0]; i++) {
        if (argc == 2 && strcmp(argv[1], g_settings[i].name) == 0) {
            case_work();
            g_settings[i].set();
            case_work();
            truth_print(g_out);
            return 0;
        }
    }
    for (size_t i = 0; argc == 1 && i < sizeof g_settings / sizeof g_settings[0]; i++) {
        printf("%s\n", g_settings[i].name);
    }
    return argc == 1 ? 0 : 2;
}
