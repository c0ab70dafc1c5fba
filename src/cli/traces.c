/* traces.c: see traces.h. */
#include "cli/traces.h"

#include "attach/recorded.h"
#include "cli/target.h"
#include "control/client.h"
#include "util/exitcode.h"
#include "util/memory.h"
#include "util/tracepath.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint64_t HELLO_NS = 5000000000;

static void add_process(struct mt_traces *t, pid_t pid)
{
    t->processes = mt_alloc_grow(t->processes, &t->process_capacity, t->process_count + 1, sizeof *t->processes);
    t->processes[t->process_count++] = pid;
}

static void take_path(struct mt_traces *t, pid_t pid, char *path)
{
    add_process(t, pid);
    if (path != NULL) {
        mt_strlist_add(&t->paths, path);
    } else if (t->unrecorded == 0) {
        t->unrecorded = pid;
    }
    free(path);
}

static mt_status add_pid(struct mt_traces *t, pid_t pid, struct mt_error *err)
{
    char *path = NULL;
    if (kill(pid, 0) != 0 && errno == ESRCH) {
        return mt_error_set(err, MT_E_NOENT, "there is no process %d; of one that has ended give its trace, *.mtap (and there is no file \"%d\")",
                            (int)pid, (int)pid);
    }
    mt_status status = mt_recorded_trace(pid, &path, err);
    if (status == MT_OK || (status == MT_E_NOENT && kill(pid, 0) == 0)) {
        take_path(t, pid, path);
        return MT_OK;
    }
    return mt_error_prefix(err, "process %d", (int)pid);
}

/* The name is what somebody at the other end of a line says: a FIFO would be waited for, and a device read. */
static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, R_OK) == 0;
}

/* One that listens at a socket or at TCP: it says who it is. Beyond this machine its file cannot be read. */
static mt_status add_armed(struct mt_traces *t, const struct mt_endpoint *where, struct mt_error *err)
{
    struct mt_client client;
    struct mt_reply hello = { 0 };
    struct mt_control_text nothing = { 0 };
    mt_status status = mt_client_open(where, &client, err);
    if (status != MT_OK) {
        return status;
    }
    pid_t pid = client.pid;
    status = mt_client_ask(&client, MT_CONTROL_HELLO, &nothing, HELLO_NS, &hello, err);
    if (status == MT_OK && hello.status != MT_CONTROL_IS_OK) {
        status = mt_error_set(err, MT_E_PERM, "%s: %s", where->text, mt_control_status_text(hello.status));
    }
    if (status == MT_OK && pid != 0) {
        status = add_pid(t, pid, err);
    } else if (status == MT_OK) {
        const char *path = mt_reply_text(&hello, "OUTPUT");
        status = is_file(path)
                     ? MT_OK
                     : mt_error_set(err, MT_E_NOENT, "%s: its trace is not on this machine; copy it here, or ask `memtap serve` there", where->text);
        if (status == MT_OK) {
            mt_strlist_add(&t->paths, path);
        }
    }
    mt_reply_clear(&hello);
    mt_client_close(&client);
    return status;
}

/* What lies in FILE.d is read with FILE. */
static void drop_parts(struct mt_strlist *paths)
{
    size_t kept = 0;
    for (size_t i = 0; i < paths->count; i++) {
        bool doubled = false;
        for (size_t j = 0; j < paths->count && !doubled; j++) {
            if (paths->items[j] == NULL) { /* it was dropped, or moved to the front */
                continue;
            }
            char *folder = mt_tracepath_folder(paths->items[j]);
            size_t bytes = strlen(folder);
            doubled = (strncmp(paths->items[i], folder, bytes) == 0 && paths->items[i][bytes] == '/') ||
                      (j < kept && strcmp(paths->items[i], paths->items[j]) == 0);
            free(folder);
        }
        char *path = paths->items[i];
        paths->items[i] = NULL;
        if (doubled) {
            free(path);
        } else {
            paths->items[kept++] = path;
        }
    }
    paths->count = kept;
    if (paths->items != NULL) {
        paths->items[kept] = NULL;
    }
}

mt_status mt_traces_of(const struct mt_operands *operands, struct mt_traces *ret, struct mt_error *err)
{
    mt_status status = MT_OK;
    *ret = (struct mt_traces){ 0 };
    for (int i = 0; i < operands->count && status == MT_OK; i++) {
        struct mt_endpoint where;
        struct mt_error not_one = { 0 };
        bool exists = access(operands->items[i], F_OK) == 0;
        if (exists || mt_endpoint_parse(operands->items[i], &where, &not_one) != MT_OK || where.kind == MT_ENDPOINT_FILE) {
            mt_strlist_add(&ret->paths, operands->items[i]);
        } else if (where.kind == MT_ENDPOINT_PROCESS) {
            status = add_pid(ret, where.pid, err);
        } else {
            status = add_armed(ret, &where, err);
        }
    }
    if (status == MT_OK && ret->process_count > 1) {
        drop_parts(&ret->paths);
    }
    return status;
}

void mt_traces_fini(struct mt_traces *traces)
{
    mt_strlist_clear(&traces->paths);
    free(traces->processes);
    *traces = (struct mt_traces){ 0 };
}

mt_status mt_traces_check_recorded(const struct mt_traces *traces, struct mt_error *err)
{
    int pid = (int)traces->unrecorded;
    return pid == 0 ? MT_OK
                    : mt_error_set(err, MT_E_NOENT, "process %d is not recorded; `memtap attach %d` begins a recording from now on", pid, pid);
}

mt_status mt_traces_open(char *const *operands, size_t count, struct mt_recording **ret, int *ret_code, struct mt_error *err)
{
    struct mt_operands given = { .items = (char **)(uintptr_t)operands, .count = (int)count };
    struct mt_traces traces;
    mt_status status = mt_traces_of(&given, &traces, err);
    status = status == MT_OK ? mt_traces_check_recorded(&traces, err) : status;
    *ret_code = mt_target_exit_code(status);
    if (status == MT_OK) {
        status = mt_recording_make(traces.paths.items, traces.paths.count, ret, err);
        *ret_code = status == MT_E_INVAL ? MT_EXIT_USAGE : MT_EXIT_FAILED;
    }
    mt_traces_fini(&traces);
    return status;
}
