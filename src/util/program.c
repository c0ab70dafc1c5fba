/* program.c: what a program named on a command line is. */
#include "util/program.h"

#include "util/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_executable_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

static mt_status check_path(const char *name, char **ret, struct mt_error *err)
{
    struct stat info;
    if (stat(name, &info) != 0) {
        mt_status status = errno == EACCES ? MT_E_PERM : MT_E_NOENT;
        return mt_error_set(err, status, "cannot run %s: %s", name, mt_status_text(status));
    }
    if (S_ISDIR(info.st_mode)) {
        return mt_error_set(err, MT_E_PERM, "cannot run %s: it is a directory", name);
    }
    if (!is_executable_file(name)) {
        return mt_error_set(err, MT_E_PERM, "cannot run %s: it is not executable (chmod +x, or name its interpreter)",
                            name);
    }
    *ret = mt_strdup(name);
    return MT_OK;
}

mt_status mt_program_find(const char *name, const char *search, char **ret, struct mt_error *err)
{
    bool denied = false;
    if (strchr(name, '/') != NULL) {
        return check_path(name, ret, err);
    }
    const char *at = search != NULL ? search : getenv("PATH");
    at = at != NULL ? at : "/usr/local/bin:/usr/bin:/bin";
    for (;;) {
        size_t bytes = strcspn(at, ":");
        char *path = bytes == 0 ? mt_format("./%s", name) : mt_format("%.*s/%s", (int)bytes, at, name);
        if (name[0] != '\0' && is_executable_file(path)) {
            *ret = path;
            return MT_OK;
        }
        denied = denied || (name[0] != '\0' && access(path, F_OK) == 0);
        free(path);
        if (at[bytes] == '\0') {
            break;
        }
        at += bytes + 1;
    }
    return denied ? mt_error_set(err, MT_E_PERM, "cannot run %s: the one on PATH is not executable", name)
                  : mt_error_set(err, MT_E_NOENT,
                                 "cannot run %s: not found on PATH (a program in this directory is ./%s)", name, name);
}

static bool is_script(const char *path)
{
    char head[2] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? pread(fd, head, sizeof head, 0) : 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return got == (ssize_t)sizeof head && head[0] == '#' && head[1] == '!';
}

void mt_program_resolve_python(char **program)
{
    char answer[1024] = "";
    if (!is_script(*program) || strchr(*program, '\'') != NULL) {
        return;
    }
    char *command = mt_format("'%s' -c 'import sys; print(sys.executable)' 2>/dev/null", *program);
    FILE *pipe = popen(command, "re");
    bool answered = pipe != NULL && fgets(answer, sizeof answer, pipe) != NULL;
    if (pipe != NULL) {
        (void)pclose(pipe);
    }
    free(command);
    answer[answered ? strcspn(answer, "\n") : 0] = '\0';
    if (answer[0] == '/' && is_executable_file(answer)) {
        free(*program);
        *program = mt_strdup(answer);
    }
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

mt_status mt_program_python(char **ret, const char **ret_word, struct mt_error *err)
{
    const char *chosen = variable("MEMTAP_PYTHON");
    const char *own = variable("MEMTAP_OWN_PYTHON"); /* python/memtap/_command.py */
    const char *word = chosen != NULL ? chosen : own != NULL ? own : "python3";
    mt_status status = mt_program_find(word, NULL, ret, err);
    if (status != MT_OK) {
        (void)mt_error_prefix(err, "no Python (set MEMTAP_PYTHON to one)");
        return status;
    }
    char *found = mt_strdup(*ret);
    mt_program_resolve_python(ret);
    if (ret_word != NULL) {
        *ret_word = strcmp(found, *ret) == 0 ? word : *ret; /* sys.executable must not be the launcher */
    }
    free(found);
    return MT_OK;
}

/* `env NAME` is looked up on PATH. */
static void follow_interpreter(const struct mt_executable *script, char *ret, size_t capacity)
{
    size_t length = strlen(script->interpreter);
    char *found = NULL;
    if (length >= 4 && strcmp(script->interpreter + length - 4, "/env") == 0 && script->argument[0] != '\0' &&
        mt_program_find(script->argument, NULL, &found, NULL) == MT_OK) {
        (void)snprintf(ret, capacity, "%s", found);
    } else {
        (void)snprintf(ret, capacity, "%s", script->interpreter);
    }
    free(found);
}

void mt_program_examine(const char *path, struct mt_program_info *ret)
{
    struct mt_executable file;
    (void)snprintf(ret->path, sizeof ret->path, "%s", path);
    for (int depth = 0; depth < MT_SCRIPT_DEPTH_MAX; depth++) {
        mt_executable_look(AT_FDCWD, ret->path, &file);
        ret->kind = file.kind;
        if (file.kind != MT_PROGRAM_NOT_ELF || file.interpreter[0] == '\0') {
            return;
        }
        follow_interpreter(&file, ret->path, sizeof ret->path);
    }
}

const char *mt_program_obstacle(enum mt_program_kind kind)
{
    switch (kind) {
    case MT_PROGRAM_STATIC:
        return "it is statically linked, so nothing can be preloaded into it; link it dynamically (no -static) to "
               "record it";
    case MT_PROGRAM_SETID:
        return "it is set-user-ID, set-group-ID or has file capabilities, so the loader ignores LD_PRELOAD; run a copy "
               "without those bits, or run memtap as the user it becomes";
    case MT_PROGRAM_OTHER_ARCH:
        return "it is built for another architecture or word size than memtap's agent; use a 64-bit build of it";
    case MT_PROGRAM_MUSL:
        return "it uses the musl C library and this agent is built for glibc; use a glibc build of it";
    case MT_PROGRAM_UNREADABLE:
        return "its file cannot be read, so the reason cannot be told; check its permissions";
    case MT_PROGRAM_NOT_ELF:
        return "it is neither an ELF program nor a script with a #! line; name the interpreter before it";
    case MT_PROGRAM_DYNAMIC:
    case MT_PROGRAM__COUNT:
    default:
        return "";
    }
}
