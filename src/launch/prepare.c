/* prepare.c: what to run, and where its trace goes.
 *
 * Everything that can fail is tried before anything is started: program, agent, output. Reads and probes only.
 */
#include "launch/launch.h"

#include "launch/runfiles.h"
#include "util/agentfile.h"
#include "util/exitcode.h"
#include "util/memory.h"
#include "util/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    const char *python;
    mt_status status = mt_program_python(&run->program, &python, err);
    if (status != MT_OK) {
        return status;
    }
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
    status = run->options.output != NULL ? mt_runfiles_check(run, err) : MT_OK;
    return status == MT_OK ? try_to_write(run->folder, err) : status;
}

/* Other programs that cannot be recorded do not look at LD_PRELOAD; musl's loader ends when it cannot load what is there. */
static bool refuses_agent(const char *program)
{
    struct mt_program_info info;
    mt_program_examine(program, &info);
    return info.kind == MT_PROGRAM_MUSL;
}

mt_status mt_run_prepare(struct mt_run *run, char **operands, int count, int *ret_code, struct mt_error *err)
{
    mt_tick_begin(&run->tick);
    mt_status status = choose_program(run, operands, count, err);
    if (status != MT_OK) {
        *ret_code = code_of(status);
        return status;
    }
    run->alone = refuses_agent(run->program);
    *ret_code = MT_EXIT_USAGE;
    status = mt_agentfile_find(&run->agent, err);
    if (run->options.mode == MT_MODE_OFF) {
        return status; /* there is no trace */
    }
    return status == MT_OK ? choose_output(run, err) : status;
}

void mt_run_release(struct mt_run *run)
{
    mt_helper_free(&run->helper);
    mt_limit_fini(&run->limit);
    mt_tick_close(&run->tick);
    mt_runfiles_release(run);
    for (size_t i = 0; run->argv != NULL && run->argv[i] != NULL; i++) {
        free(run->argv[i]);
    }
    free(run->argv);
    free(run->program);
    free(run->agent);
    free(run->folder);
}
