/* run_launch.c: from a command line to a running program.
 *
 * Everything that can fail is tried before the fork: program, agent, output. What depends on the program's pid (two
 * variables, the default file name) is filled in by the child between fork and exec; memtap has one thread, so the
 * child may call anything. A pipe that exec closes tells the parent whether exec worked.
 */
#include "cli/run.h"

#include "base/os.h"
#include "cli/command.h"
#include "util/agentfile.h"
#include "util/interrupt.h"
#include "util/memory.h"
#include "util/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- what to run ---------------------------------------------------------------------------------------------- */

static int code_of(mt_status status)
{
    return status == MT_E_NOENT ? MT_EXIT_NOT_FOUND : status == MT_E_PERM ? MT_EXIT_NOT_EXECUTABLE : MT_EXIT_USAGE;
}

/* argv = before… operands…; borrowed strings. */
static void set_argv(struct mt_run *run, const char *const *before, char **operands, int count)
{
    size_t used = 0;
    run->argv = mt_alloc_zero((size_t)count + 4, sizeof *run->argv);
    for (; before != NULL && *before != NULL; before++) {
        run->argv[used++] = mt_strdup(*before);
    }
    for (int i = 0; i < count; i++) {
        run->argv[used++] = mt_strdup(operands[i]);
    }
}

static mt_status use_python(struct mt_run *run, const char *const *before, char **operands, int count,
                            struct mt_error *err)
{
    const char *python = getenv("MEMTAP_PYTHON");
    const char *own = getenv("MEMTAP_OWN_PYTHON"); /* whose package this program came with: python/memtap/_command.py */
    own = own != NULL && own[0] != '\0' ? own : "python3";
    python = python != NULL && python[0] != '\0' ? python : own;
    mt_status status = mt_program_find(python, NULL, &run->program, err);
    if (status != MT_OK) {
        (void)mt_error_prefix(err, "no Python (set MEMTAP_PYTHON to one)");
        return status;
    }
    mt_program_resolve_python(&run->program);
    const char *const head[] = { python, before[0], before[0] != NULL ? before[1] : NULL, NULL };
    set_argv(run, head, operands, count);
    return MT_OK;
}

static bool is_python_file(const char *name)
{
    size_t bytes = strlen(name);
    return bytes > 3 && strcmp(name + bytes - 3, ".py") == 0;
}

static mt_status choose_program(struct mt_run *run, char **operands, int count, struct mt_error *err)
{
    static const char *const nothing[] = { NULL, NULL };
    if (run->options.module != NULL || run->options.code != NULL) {
        const char *const flag[] = { run->options.module != NULL ? "-m" : "-c",
                                     run->options.module != NULL ? run->options.module : run->options.code };
        run->name = run->options.module != NULL ? run->options.module : "python";
        return use_python(run, flag, operands, count, err);
    }
    if (count == 0) {
        return mt_error_set(err, MT_E_INVAL, "nothing to run; usage: memtap run [OPTIONS] PROGRAM [ARGS…]");
    }
    run->name = operands[0];
    if (!is_python_file(operands[0])) {
        set_argv(run, NULL, operands, count);
        return mt_program_find(operands[0], NULL, &run->program, err);
    }
    if (access(operands[0], R_OK) != 0) {
        return mt_error_set_errno(err, errno, "cannot run %s", operands[0]);
    }
    return use_python(run, nothing, operands, count, err);
}

/* ---- where the trace goes ------------------------------------------------------------------------------------- */

/* Creates and removes a file: the only test that also sees read-only mounts, quotas and full inode tables. */
static mt_status try_to_write(const char *folder, struct mt_error *err)
{
    char *probe = mt_format("%s/.memtap-probe.XXXXXX", folder);
    int fd = mkostemp(probe, O_CLOEXEC);
    mt_status status = MT_OK;
    if (fd < 0) {
        status = mt_error_set_errno(err, errno, "cannot write a trace in %s (choose another place with -o)", folder);
    } else {
        (void)close(fd);
        (void)unlink(probe);
    }
    free(probe);
    return status;
}

static void remove_old(const char *file)
{
    struct mt_strlist old = { 0 };
    mt_tracepath_siblings(file, &old);
    mt_strlist_add(&old, file);
    for (size_t i = 0; i < old.count; i++) {
        (void)unlink(old.items[i]);
    }
    mt_strlist_clear(&old);
}

static mt_status check_output_file(struct mt_run *run, struct mt_error *err)
{
    struct stat info;
    if (lstat(run->output, &info) != 0) {
        return MT_OK;
    }
    if (S_ISDIR(info.st_mode)) {
        return mt_error_set(err, MT_E_INVAL, "%s is a folder: name a file in it with -o", run->output);
    }
    if (!S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode)) {
        return mt_error_set(err, MT_E_INVAL, "%s is not a regular file: a trace needs one", run->output);
    }
    if (!run->options.force) {
        return mt_error_set(err, MT_E_EXIST, "%s exists; use -f to replace it or -o for another name", run->output);
    }
    return MT_OK;
}

static mt_status choose_output(struct mt_run *run, struct mt_error *err)
{
    char *absolute;
    const char *wanted = run->options.output != NULL ? run->options.output : "memtap-trace.mtap";
    mt_status status = mt_tracepath_absolute(wanted, &absolute, err);
    if (status != MT_OK) {
        return status;
    }
    if (strlen(absolute) + 64 > sizeof run->output) {
        status = mt_error_set(err, MT_E_INVAL, "the path %s is too long", absolute);
        free(absolute);
        return status;
    }
    (void)snprintf(run->output, sizeof run->output, "%s", absolute);
    const char *slash = strrchr(absolute, '/');
    run->folder = slash == absolute ? mt_strdup("/") : mt_strndup(absolute, (size_t)(slash - absolute));
    free(absolute);
    status = run->options.output != NULL ? check_output_file(run, err) : MT_OK;
    return status == MT_OK ? try_to_write(run->folder, err) : status;
}

mt_status mt_run_prepare(struct mt_run *run, char **operands, int count, int *ret_code, struct mt_error *err)
{
    mt_status status = choose_program(run, operands, count, err);
    if (status != MT_OK) {
        *ret_code = code_of(status);
        return status;
    }
    *ret_code = MT_EXIT_USAGE;
    status = mt_agentfile_find(&run->agent, err);
    return status == MT_OK ? choose_output(run, err) : status;
}

void mt_run_release(struct mt_run *run)
{
    mt_tick_close(&run->tick);
    for (size_t i = 0; run->argv != NULL && run->argv[i] != NULL; i++) {
        free(run->argv[i]);
    }
    free(run->argv);
    free(run->program);
    free(run->agent);
    free(run->folder);
}

/* ---- the program's environment -------------------------------------------------------------------------------- */

struct environment {
    char **items;
    size_t count;
    size_t capacity;
};

static void add_variable(struct environment *env, char *text)
{
    env->items = mt_alloc_grow(env->items, &env->capacity, env->count + 2, sizeof *env->items);
    env->items[env->count++] = text;
    env->items[env->count] = NULL;
}

static bool is_agents(const char *variable)
{
    static const char *const names[] = {
        "MEMTAP_OUTPUT=", "MEMTAP_ROOT_PID=",          "MEMTAP_MODE=",     "MEMTAP_RATE=", "MEMTAP_NATIVE=",
        "MEMTAP_FOLLOW=", "MEMTAP_PYTHON_ALLOCATORS=", "MEMTAP_MAX_FILE=", "MEMTAP_TICK=", "MEMTAP_DURATION=",
        "MEMTAP_OWN_PYTHON=",
        "LD_PRELOAD=",
    };
    for (size_t i = 0; i < MT_COUNTOF(names); i++) {
        if (strncmp(variable, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return false;
}

static char *preload_variable(const char *agent)
{
    const char *old = getenv("LD_PRELOAD");
    return old != NULL && old[0] != '\0' ? mt_format("LD_PRELOAD=%s:%s", agent, old)
                                         : mt_format("LD_PRELOAD=%s", agent);
}

/* Everything but MEMTAP_OUTPUT and MEMTAP_ROOT_PID, which the child adds. */
static void build_environment(const struct mt_run *run, struct environment *env)
{
    static const char *const modes[] = { "exact", "sample", "aggregate" };
    const struct mt_run_options *o = &run->options;
    for (char **variable = environ; *variable != NULL; variable++) {
        if (!is_agents(*variable)) {
            add_variable(env, mt_strdup(*variable));
        }
    }
    add_variable(env, preload_variable(run->agent));
    add_variable(env, mt_format("MEMTAP_MODE=%s", modes[o->mode]));
    add_variable(env, mt_format("MEMTAP_RATE=%llu", (unsigned long long)o->rate_bytes));
    add_variable(env, mt_format("MEMTAP_NATIVE=%d", o->native ? 1 : 0));
    add_variable(env, mt_format("MEMTAP_PYTHON_ALLOCATORS=%d", o->python_allocators ? 1 : 0));
    add_variable(env, mt_format("MEMTAP_FOLLOW=%d", o->follow ? 1 : 0));
    add_variable(env, mt_format("MEMTAP_MAX_FILE=%llu", (unsigned long long)o->max_file_bytes));
    add_variable(env, mt_format("MEMTAP_DURATION=%llu", (unsigned long long)o->duration_ns));
    add_variable(env, mt_format("MEMTAP_TICK=%s", run->tick.path));
}

/* ---- fork and exec -------------------------------------------------------------------------------------------- */

/* What the child says when it cannot become the program. */
struct failure {
    int err; /* errno; EEXIST: the default output exists */
};

static void settle_output(struct mt_run *run, pid_t pid)
{
    if (run->options.output == NULL) {
        char *name = mt_tracepath_default(run->name, (long)pid);
        (void)snprintf(run->output, sizeof run->output, "%.3800s/%s", strcmp(run->folder, "/") == 0 ? "" : run->folder,
                       name);
        free(name);
    }
}

/* A text file without "#!" is run by the shell, as execvp does. */
static void exec_by_shell(const struct mt_run *run, char *const *env)
{
    size_t count = 0;
    while (run->argv[count] != NULL) {
        count++;
    }
    char **argv = mt_alloc_zero(count + 2, sizeof *argv);
    argv[0] = mt_strdup("/bin/sh");
    argv[1] = run->program;
    for (size_t i = 1; i < count; i++) {
        argv[i + 1] = run->argv[i];
    }
    (void)execve(argv[0], argv, env);
}

static MT_NORETURN void become_program(struct mt_run *run, struct environment *env, int report_fd)
{
    struct failure failure = { 0 };
    settle_output(run, getpid());
    add_variable(env, mt_format("MEMTAP_OUTPUT=%s", run->output));
    add_variable(env, mt_format("MEMTAP_ROOT_PID=%d", (int)getpid()));
    if (access(run->output, F_OK) == 0) {
        failure.err = EEXIST;
    } else {
        (void)sigprocmask(SIG_SETMASK, &run->before, NULL);
        (void)execve(run->program, run->argv, env->items);
        if (errno == ENOEXEC) {
            exec_by_shell(run, env->items);
        }
        failure.err = errno;
    }
    if (write(report_fd, &failure, sizeof failure) < 0) {
        _exit(MT_EXIT_NOT_EXECUTABLE);
    }
    _exit(MT_EXIT_NOT_FOUND);
}

static mt_status explain(const struct mt_run *run, const struct failure *failure, int *ret_code, struct mt_error *err)
{
    if (failure->err == EEXIST) {
        *ret_code = MT_EXIT_USAGE;
        return mt_error_set(err, MT_E_EXIST, "%s exists; choose another name with -o", run->output);
    }
    *ret_code = failure->err == ENOENT ? MT_EXIT_NOT_FOUND : MT_EXIT_NOT_EXECUTABLE;
    if (failure->err == ENOENT && access(run->program, F_OK) == 0) {
        return mt_error_set(err, MT_E_NOENT,
                            "cannot run %s: the interpreter it names (#! line or ELF loader) does not exist",
                            run->program);
    }
    return mt_error_set_errno(err, failure->err, "cannot run %s", run->program);
}

/* Blocks what mt_run_wait takes synchronously, and the terminal's signals until their handling is settled. */
static void block_signals(struct mt_run *run)
{
    sigset_t blocked;
    (void)sigemptyset(&run->waited);
    static const int waited[] = { SIGCHLD, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 };
    for (size_t i = 0; i < MT_COUNTOF(waited); i++) {
        (void)sigaddset(&run->waited, waited[i]);
    }
    blocked = run->waited;
    (void)sigaddset(&blocked, SIGINT);
    (void)sigaddset(&blocked, SIGQUIT);
    (void)sigprocmask(SIG_BLOCK, &blocked, &run->before);
}

/* In the parent, after the fork: the terminal sends SIGINT and SIGQUIT to the program itself. */
static void settle_signals(const struct mt_run *run)
{
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGQUIT, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL); /* inherited as ignored, it would make wait fail */
    (void)sigprocmask(SIG_SETMASK, &run->waited, NULL);
}

static mt_status watch_exec(struct mt_run *run, int report_fd, int *ret_code, struct mt_error *err)
{
    struct failure failure;
    ssize_t got;
    do {
        got = read(report_fd, &failure, sizeof failure);
    } while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof failure) {
        return MT_OK; /* closed by exec */
    }
    (void)waitpid(run->pid, &run->wait_status, 0);
    return explain(run, &failure, ret_code, err);
}

static mt_status fork_program(struct mt_run *run, struct environment *env, int *ret_code, struct mt_error *err)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) {
        return mt_error_set_errno(err, errno, "cannot start %s", run->program);
    }
    block_signals(run);
    run->pid = fork();
    if (run->pid == 0) {
        become_program(run, env, report[1]);
    }
    (void)close(report[1]);
    mt_status status = run->pid < 0 ? mt_error_set_errno(err, errno, "cannot start %s", run->program) : MT_OK;
    settle_signals(run);
    if (status == MT_OK) {
        settle_output(run, run->pid);
        status = watch_exec(run, report[0], ret_code, err);
    }
    (void)close(report[0]);
    return status;
}

mt_status mt_run_start(struct mt_run *run, int *ret_code, struct mt_error *err)
{
    struct environment env = { 0 };
    *ret_code = MT_EXIT_USAGE;
    mt_status status = mt_tick_open(&run->tick, run->folder, err);
    if (status != MT_OK) {
        return status;
    }
    if (run->options.force && run->options.output != NULL) {
        remove_old(run->output);
    }
    build_environment(run, &env);
    mt_interrupt_restore();
    run->started_realtime_ns = mt_os_realtime_ns();
    status = fork_program(run, &env, ret_code, err);
    for (size_t i = 0; i < env.count; i++) {
        free(env.items[i]);
    }
    free(env.items);
    return status;
}
