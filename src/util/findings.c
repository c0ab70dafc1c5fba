/* findings.c: what would stop memtap on this machine. */
#include "util/findings.h"

#include "util/agentfile.h"
#include "util/human.h"
#include "util/memory.h"
#include "util/program.h"

#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { SMALL_DISK_BYTES = 256 * 1024 * 1024, PYTHON_FIRST = 8, PYTHON_LAST = 15 };

void mt_findings_add(struct mt_findings *findings, enum mt_finding_level level, const char *topic, const char *format,
                     ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int bytes = vasprintf(&text, format, args);
    va_end(args);
    findings->items = mt_alloc_grow(findings->items, &findings->capacity, findings->count + 1, sizeof *findings->items);
    findings->items[findings->count++] = (struct mt_finding){ level, topic, bytes >= 0 ? text : mt_strdup(format) };
}

void mt_findings_clear(struct mt_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        free(findings->items[i].text);
    }
    free(findings->items);
    *findings = (struct mt_findings){ 0 };
}

enum mt_finding_level mt_findings_worst(const struct mt_findings *findings)
{
    enum mt_finding_level worst = MT_FINDING_OK;
    for (size_t i = 0; i < findings->count; i++) {
        worst = findings->items[i].level > worst ? findings->items[i].level : worst;
    }
    return worst;
}

static void check_agent(struct mt_findings *f)
{
    struct mt_error err = { 0 };
    char *path;
    if (mt_agentfile_find(&path, &err) != MT_OK) {
        mt_findings_add(f, MT_FINDING_PROBLEM, "agent", "%s", mt_error_text(&err));
        return;
    }
    mt_findings_add(f, MT_FINDING_OK, "agent", "%s", path);
    free(path);
}

static void check_system(struct mt_findings *f)
{
    struct utsname name;
    if (uname(&name) == 0) {
        bool known = strcmp(name.machine, "x86_64") == 0;
        mt_findings_add(f, known ? MT_FINDING_OK : MT_FINDING_PROBLEM, "system", "%s %s, %s%s", name.sysname,
                        name.release, name.machine, known ? "" : ": only x86_64 is supported");
    }
    mt_findings_add(f, MT_FINDING_OK, "libc", "glibc %s", gnu_get_libc_version());
}

/* First line of `python --version`; false when it cannot be run. */
static bool python_version(const char *path, char *ret, size_t capacity)
{
    char *command = mt_format("'%s' --version 2>&1", path);
    FILE *pipe = strchr(path, '\'') == NULL ? popen(command, "re") : NULL; /* a quote in a path is not worth quoting */
    bool ok = pipe != NULL && fgets(ret, (int)capacity, pipe) != NULL;
    if (pipe != NULL) {
        (void)pclose(pipe);
    }
    free(command);
    ret[ok ? strcspn(ret, "\n") : 0] = '\0';
    return ok;
}

static void check_python(struct mt_findings *f)
{
    char version[128] = "";
    int minor = 0;
    char *path = NULL;
    if (mt_program_python(&path, NULL, NULL) != MT_OK) {
        mt_findings_add(f, MT_FINDING_NOTE, "python",
                        "no python3 on PATH: .py files cannot be run by name (set MEMTAP_PYTHON)");
        return;
    }
    if (!python_version(path, version, sizeof version) || sscanf(version, "Python 3.%d", &minor) != 1) {
        mt_findings_add(f, MT_FINDING_NOTE, "python", "%s does not say its version", path);
    } else if (minor < PYTHON_FIRST || minor > PYTHON_LAST) {
        mt_findings_add(f, MT_FINDING_NOTE, "python",
                        "%s at %s: not a version whose stacks memtap knows (3.%d to 3.%d); "
                        "native stacks only",
                        version, path, PYTHON_FIRST, PYTHON_LAST);
    } else {
        mt_findings_add(f, MT_FINDING_OK, "python", "%s at %s", version, path);
    }
    free(path);
}

/* Creates and removes a file in folder. */
static int try_to_create(const char *folder)
{
    char *probe = mt_format("%s/.memtap-probe.XXXXXX", folder);
    int fd = mkostemp(probe, O_CLOEXEC);
    int failure = fd < 0 ? errno : 0;
    if (fd >= 0) {
        (void)close(fd);
        (void)unlink(probe);
    }
    free(probe);
    return failure;
}

static void check_folder(struct mt_findings *f, const char *topic, const char *folder, enum mt_finding_level if_not,
                         const char *remedy)
{
    struct statvfs disk;
    char words[128];
    int failure = try_to_create(folder);
    if (failure != 0) {
        mt_findings_add(f, if_not, topic, "cannot write in %s: %s; %s", folder,
                        strerror_r(failure, words, sizeof words), remedy);
        return;
    }
    double available = statvfs(folder, &disk) == 0 ? (double)disk.f_bavail * (double)disk.f_frsize : 0;
    bool small = available < SMALL_DISK_BYTES;
    mt_findings_add(f, small ? MT_FINDING_NOTE : MT_FINDING_OK, topic, "%s is writable, %s available%s", folder,
                    mt_human_bytes(available).text,
                    small ? "; an exact trace may fill it (--max-file, --aggregate)" : "");
}

static void check_limits(struct mt_findings *f)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        mt_findings_add(f, MT_FINDING_NOTE, "limits", "files may grow to %s only (ulimit -f): recording stops there",
                        mt_human_bytes((double)limit.rlim_cur).text);
    }
    const char *preload = getenv("LD_PRELOAD");
    if (preload != NULL && preload[0] != '\0') {
        mt_findings_add(f, MT_FINDING_NOTE, "preload", "LD_PRELOAD is set (%s); memtap puts its agent in front of it",
                        preload);
    }
}

static void check_ptrace(struct mt_findings *f)
{
    static const char *const meanings[] = {
        "0: processes of the same user may be traced",
        "1: only descendants may be traced; attaching needs CAP_SYS_PTRACE",
        "2: tracing needs CAP_SYS_PTRACE",
        "3: no process may be traced",
    };
    FILE *file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
    int scope = 0;
    if (file == NULL || fscanf(file, "%d", &scope) != 1 || scope < 0 || scope > 3) {
        mt_findings_add(f, MT_FINDING_OK, "ptrace", "not restricted by Yama");
    } else {
        mt_findings_add(f, scope == 0 ? MT_FINDING_OK : MT_FINDING_NOTE, "ptrace",
                        "ptrace_scope %s; `memtap run` is not "
                        "affected",
                        meanings[scope]);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

/* The clock page of `memtap run`. */
static void check_shared_memory(struct mt_findings *f)
{
    int fd = memfd_create("memtap-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    bool sealed = fd >= 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    mt_findings_add(f, sealed ? MT_FINDING_OK : MT_FINDING_PROBLEM, "shared memory", "%s",
                    sealed ? "can be made and sealed (memfd_create)"
                           : "cannot be made (memfd_create): memtap run needs it for its clock; a security policy may forbid the call");
}

void mt_findings_host(struct mt_findings *findings)
{
    check_agent(findings);
    check_system(findings);
    check_python(findings);
    check_shared_memory(findings);
    check_folder(findings, "folder", ".", MT_FINDING_PROBLEM, "choose another place with -o");
    check_limits(findings);
    check_ptrace(findings);
}
