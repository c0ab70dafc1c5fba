/* spawn.c: from a prepared run to a running program.
 *
 * What depends on the program's pid (two variables, the default file name) is filled in by the child between fork and
 * exec; memtap has one thread, so the child may call anything. A pipe that exec closes tells the parent whether exec
 * worked.
 */
#include "launch/launch.h"

#include "base/os.h"
#include "launch/environment.h"
#include "launch/signals.h"
#include "launch/runfiles.h"
#include "util/exitcode.h"
#include "util/interrupt.h"
#include "util/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- fork and exec -------------------------------------------------------------------------------------------- */

/* What the child says when it cannot become the program. */
struct failure {
    int err;        /* errno */
    bool of_output; /* the trace cannot begin there */
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

static MT_NORETURN void become_program(struct mt_run *run, struct mt_environment *env, int report_fd)
{
    struct failure failure = { 0 };
    settle_output(run, getpid());
    failure.err = mt_runfiles_begin(run->output);
    mt_environment_add_settings(run, getpid(), env); /* they name the folder that was made */
    failure.of_output = failure.err != 0;
    if (failure.err == 0) {
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

void mt_run_become(struct mt_run *run, int *ret_code, struct mt_error *err)
{
    struct mt_environment env = { 0 };
    mt_environment_build(run, &env);
    mt_environment_add_settings(run, getpid(), &env);
    mt_interrupt_restore();
    (void)execve(run->program, run->argv, env.items);
    if (errno == ENOEXEC) {
        exec_by_shell(run, env.items);
    }
    *ret_code = errno == ENOENT ? MT_EXIT_NOT_FOUND : MT_EXIT_NOT_EXECUTABLE;
    (void)mt_error_set_errno(err, errno, "cannot run %s", run->program);
    mt_environment_clear(&env);
}

static mt_status explain(const struct mt_run *run, const struct failure *failure, int *ret_code, struct mt_error *err)
{
    if (failure->of_output) {
        *ret_code = MT_EXIT_USAGE;
        return failure->err == EEXIST
                   ? mt_error_set(err, MT_E_EXIST, "%s exists; choose another name with -o", run->output)
                   : mt_error_set_errno(err, failure->err, "cannot make the folder %s.d", run->output);
    }
    *ret_code = failure->err == ENOENT ? MT_EXIT_NOT_FOUND : MT_EXIT_NOT_EXECUTABLE;
    if (failure->err == ENOENT && access(run->program, F_OK) == 0) {
        return mt_error_set(err, MT_E_NOENT,
                            "cannot run %s: the interpreter it names (#! line or ELF loader) does not exist",
                            run->program);
    }
    return mt_error_set_errno(err, failure->err, "cannot run %s", run->program);
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

static mt_status fork_program(struct mt_run *run, struct mt_environment *env, int *ret_code, struct mt_error *err)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) {
        return mt_error_set_errno(err, errno, "cannot start %s", run->program);
    }
    mt_signals_block(run);
    mt_witness_begin(&run->witness);
    run->pid = fork();
    if (run->pid == 0) {
        become_program(run, env, report[1]);
    }
    (void)close(report[1]);
    mt_status status = run->pid < 0 ? mt_error_set_errno(err, errno, "cannot start %s", run->program) : MT_OK;
    mt_signals_settle();
    if (status == MT_OK) {
        settle_output(run, run->pid);
        status = watch_exec(run, report[0], ret_code, err);
        mt_runfiles_hold(run); /* the child has made it, also when it could not go on */
        mt_watch_open(&run->watch, run->others);
        mt_limit_begin(&run->limit, run->pid, &run->options.snapshot_at);
        run->watch.limit = &run->limit;
        run->watch.unrecorded = &run->helper.unrecorded;
    }
    (void)close(report[0]);
    if (status != MT_OK) {
        mt_witness_end(&run->witness);
    }
    return status;
}

mt_status mt_run_start(struct mt_run *run, int *ret_code, struct mt_error *err)
{
    struct mt_environment env = { 0 };
    *ret_code = MT_EXIT_USAGE;
    mt_status status = mt_tick_open(&run->tick, err);
    if (status != MT_OK) {
        return status;
    }
    mt_helper_open(&run->helper, 0);
    if (run->options.force && run->options.output != NULL) {
        mt_runfiles_remove(run->output);
    }
    mt_environment_build(run, &env);
    mt_interrupt_restore();
    run->started_realtime_ns = mt_os_realtime_ns();
    status = fork_program(run, &env, ret_code, err);
    mt_environment_clear(&env);
    return status;
}
