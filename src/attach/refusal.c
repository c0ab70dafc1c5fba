/* refusal.c: see refusal.h. */
#include "attach/refusal.h"

#include "base/executable.h"
#include "util/memory.h"
#include "util/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- what is there -------------------------------------------------------------------------------------------------- */

static long number_in_file(const char *path, long otherwise)
{
    FILE *file = fopen(path, "re");
    long value = otherwise;
    if (file != NULL) {
        if (fscanf(file, "%ld", &value) != 1) {
            value = otherwise;
        }
        (void)fclose(file);
    }
    return value;
}

/* The text behind NAME: in a line of a status file, or NULL. */
static const char *field(const char *line, const char *name)
{
    size_t bytes = strlen(name);
    return strncmp(line, name, bytes) == 0 && line[bytes] == ':' ? line + bytes + 1 + strspn(line + bytes + 1, " \t") : NULL;
}

static void read_number(const char *line, const char *name, long *ret)
{
    const char *text = field(line, name);
    if (text != NULL) {
        *ret = strtol(text, NULL, 10);
    }
}

static void read_line(const char *line, struct mt_process_facts *ret)
{
    read_number(line, "Tgid", &ret->group);
    read_number(line, "TracerPid", &ret->tracer);
    read_number(line, "PPid", &ret->parent);
    read_number(line, "Uid", &ret->user);
    read_number(line, "Seccomp", &ret->seccomp);
    read_number(line, "Seccomp_filters", &ret->filters);
    const char *state = field(line, "State");
    const char *kernel = field(line, "Kthread");
    const char *features = field(line, "x86_Thread_features");
    ret->state = state != NULL ? *state : ret->state;
    ret->kernel_thread |= kernel != NULL && *kernel == '1';
    ret->shadow_stack |= features != NULL && strstr(features, "shstk") != NULL;
}

/* False: there is no such thread. */
static bool read_status(pid_t tid, struct mt_process_facts *ret)
{
    char line[512];
    char *path = mt_format("/proc/%d/status", (int)tid);
    FILE *file = fopen(path, "re");
    free(path);
    if (file == NULL) {
        return false;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        read_line(line, ret);
    }
    (void)fclose(file);
    return true;
}

static bool has_ended(const struct mt_process_facts *facts)
{
    return facts->state == 'Z' || facts->state == 'X';
}

/* The first thread has called pthread_exit: any other one that goes on. */
static void find_alive(struct mt_process_facts *facts)
{
    char *path = mt_format("/proc/%d/task", (int)facts->pid);
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder != NULL && facts->alive == facts->pid && (entry = readdir(folder)) != NULL) {
        struct mt_process_facts other = { .pid = facts->pid, .alive = (pid_t)strtol(entry->d_name, NULL, 10), .user = -1, .filters = -1 };
        if (other.alive > 0 && other.alive != facts->pid && read_status(other.alive, &other) && !has_ended(&other)) {
            *facts = other;
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    free(path);
}

mt_status mt_process_facts_read(pid_t pid, struct mt_process_facts *ret, struct mt_error *err)
{
    struct mt_process_facts facts = { .pid = pid, .alive = pid, .user = -1, .filters = -1 };
    if (!read_status(pid, &facts)) {
        return mt_error_set(err, MT_E_NOENT, "there is no process %d (in this pid namespace)", (int)pid);
    }
    if (has_ended(&facts)) {
        find_alive(&facts);
    }
    facts.stopped = facts.state == 'T';
    facts.is_vforked = facts.parent > 0 && syscall(SYS_kcmp, (long)pid, facts.parent, (long)KCMP_VM, 0L, 0L) == 0;
    *ret = facts;
    return MT_OK;
}

bool mt_process_has_ended(pid_t pid)
{
    struct mt_process_facts now;
    return mt_process_facts_read(pid, &now, NULL) != MT_OK || has_ended(&now);
}

static bool has_capability(const char *status_path, unsigned capability)
{
    char line[512];
    unsigned long long set = 0;
    FILE *file = fopen(status_path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *text = field(line, "CapEff");
        set = text != NULL ? strtoull(text, NULL, 16) : set;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return (set >> capability & 1) != 0;
}

void mt_ptrace_rules_here(struct mt_ptrace_rules *ret)
{
    struct mt_process_facts own = { .filters = -1 };
    (void)(mt_process_facts_read(getpid(), &own, NULL) == MT_OK);
    *ret = (struct mt_ptrace_rules){
        .yama_scope = (int)number_in_file("/proc/sys/kernel/yama/ptrace_scope", 0),
        .may_trace_any = has_capability("/proc/self/status", CAP_SYS_PTRACE),
        .user = (long)geteuid(),
        .filters = own.filters,
    };
}

/* ---- what follows from it ------------------------------------------------------------------------------------------- */

/* Its name, cleaned by whoever prints it. */
static void name_of(long pid, char *ret, size_t capacity)
{
    char *path = mt_format("/proc/%ld/comm", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL || fgets(ret, (int)capacity, file) == NULL) {
        (void)snprintf(ret, capacity, "?");
    }
    ret[strcspn(ret, "\n")] = '\0';
    if (file != NULL) {
        (void)fclose(file);
    }
    free(path);
}

static mt_status refuse_traced(const struct mt_process_facts *facts, struct mt_error *err)
{
    char name[64];
    name_of(facts->tracer, name, sizeof name);
    return mt_error_set(err, MT_E_BUSY, "process %ld (%s) is tracing process %d already: end that first, a process has one tracer",
                        facts->tracer, name, (int)facts->pid);
}

mt_status mt_process_facts_judge(const struct mt_process_facts *facts, const struct mt_ptrace_rules *rules, struct mt_error *err)
{
    int pid = (int)facts->pid;
    if (facts->pid == getpid()) {
        return mt_error_set(err, MT_E_INVAL, "process %d is memtap itself", pid);
    }
    if (has_ended(facts)) {
        return mt_error_set(err, MT_E_NOENT, "process %d has ended (it is a zombie until its parent asks for its exit code)", pid);
    }
    if (facts->kernel_thread) {
        return mt_error_set(err, MT_E_UNSUPPORTED, "%d is a thread of the kernel", pid);
    }
    if (facts->group != facts->pid) {
        return mt_error_set(err, MT_E_INVAL, "%d is a thread of process %ld: give that", pid, facts->group);
    }
    if (facts->tracer > 0) {
        return refuse_traced(facts, err);
    }
    if (facts->is_vforked) {
        return mt_error_set(err, MT_E_INTERRUPTED,
                            "process %d still shares the memory of its parent %ld (vfork, posix_spawn): it has not begun a program of its own; "
                            "try again, or join the parent",
                            pid, facts->parent);
    }
    if (facts->shadow_stack) {
        return mt_error_set(err, MT_E_UNSUPPORTED,
                            "process %d has a shadow stack, which forbids calling a function from outside: start it with "
                            "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off, or under `memtap run`",
                            pid);
    }
    if (facts->seccomp != 0 && facts->filters > rules->filters) {
        return mt_error_set(err, MT_E_UNSUPPORTED,
                            "process %d restricts its system calls (seccomp) more than memtap is restricted: what the agent "
                            "needs might end it; start it under `memtap run`",
                            pid);
    }
    return MT_OK;
}

static mt_status refuse_yama(const struct mt_process_facts *facts, const struct mt_ptrace_rules *rules, struct mt_error *err)
{
    int pid = (int)facts->pid;
    if (rules->yama_scope >= 3) {
        return mt_error_set(err, MT_E_PERM,
                            "kernel.yama.ptrace_scope is 3: no process may be joined until the machine starts again without "
                            "it; start the program under `memtap run`");
    }
    if (rules->yama_scope == 2) {
        return mt_error_set(err, MT_E_PERM,
                            "kernel.yama.ptrace_scope is 2: joining process %d needs CAP_SYS_PTRACE; use sudo (in a container: "
                            "--cap-add SYS_PTRACE)",
                            pid);
    }
    return mt_error_set(err, MT_E_PERM,
                        "kernel.yama.ptrace_scope is 1: only a parent may join process %d; use sudo (in a container: --cap-add "
                        "SYS_PTRACE), or `sudo sysctl kernel.yama.ptrace_scope=0`, or start it under `memtap run`",
                        pid);
}

mt_status mt_refusal_of_kernel(const struct mt_process_facts *facts, const struct mt_ptrace_rules *rules, struct mt_error *err)
{
    int pid = (int)facts->pid;
    if (rules->may_trace_any) {
        return mt_error_set(err, MT_E_PERM,
                            "the kernel does not let memtap trace process %d although it has CAP_SYS_PTRACE: a seccomp filter or "
                            "a security module forbids it (in a container: --security-opt seccomp=unconfined)",
                            pid);
    }
    if (facts->user >= 0 && facts->user != rules->user) {
        return mt_error_set(err, MT_E_PERM, "process %d belongs to user %ld and memtap runs as user %ld: use sudo, or run memtap as that user",
                            pid, facts->user, rules->user);
    }
    if (rules->yama_scope > 0) {
        return refuse_yama(facts, rules, err);
    }
    return mt_error_set(err, MT_E_PERM,
                        "process %d is closed to its own user (it is set-user-ID, has capabilities, or has called "
                        "prctl(PR_SET_DUMPABLE, 0)): use sudo (in a container: --cap-add SYS_PTRACE)",
                        pid);
}

/* ---- the program ---------------------------------------------------------------------------------------------------- */

/* Of the running image, which /proc/PID/exe is whatever has become of the file. */
static mt_status judge_program(const struct mt_process_facts *facts, enum mt_program_kind *ret_kind, struct mt_error *err)
{
    struct mt_executable look;
    char *exe = mt_format("/proc/%d/exe", (int)facts->alive);
    mt_executable_look(AT_FDCWD, exe, &look);
    free(exe);
    *ret_kind = look.kind;
    if (look.kind == MT_PROGRAM_OTHER_ARCH || look.kind == MT_PROGRAM_STATIC || look.kind == MT_PROGRAM_MUSL) {
        static const char *const what[MT_PROGRAM__COUNT] = {
            [MT_PROGRAM_OTHER_ARCH] = "is a program for another processor or of another word size; memtap joins 64-bit x86 programs",
            [MT_PROGRAM_STATIC] = "is statically linked: there is no dynamic linker in it that could load the agent",
            [MT_PROGRAM_MUSL] = "uses musl; memtap joins programs that use glibc",
        };
        return mt_error_set(err, MT_E_UNSUPPORTED, "process %d %s", (int)facts->pid, what[look.kind]);
    }
    return MT_OK;
}

static const char *sanitizer_of(const struct mt_objects *objects)
{
    static const char *const names[] = { "libasan.so", "libtsan.so", "libmsan.so", "liblsan.so", "libhwasan.so" };
    for (size_t i = 0; i < objects->count; i++) {
        for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
            if (strncmp(objects->items[i].soname, names[n], strlen(names[n])) == 0) {
                return names[n];
            }
        }
    }
    return NULL;
}

static mt_status judge_objects(struct mt_subject *subject, enum mt_program_kind kind, struct mt_error *err)
{
    int pid = (int)subject->facts.pid;
    const char *sanitizer = sanitizer_of(&subject->objects);
    subject->libc = mt_objects_named(&subject->objects, "libc.so.6");
    subject->loader = mt_objects_named(&subject->objects, "ld-linux-x86-64.so.2");
    if (subject->libc == NULL || subject->loader == NULL) {
        return mt_error_set(err, kind == MT_PROGRAM_DYNAMIC ? MT_E_INTERRUPTED : MT_E_UNSUPPORTED,
                            "process %d has no 64-bit glibc mapped (it is statically linked, uses musl or another libc, or has only "
                            "just started): memtap joins x86-64 glibc programs",
                            pid);
    }
    if (sanitizer != NULL) {
        return mt_error_set(err, MT_E_UNSUPPORTED, "process %d runs under a sanitizer (%s), which replaces malloc itself: use a build without",
                            pid, sanitizer);
    }
    return MT_OK;
}

static mt_status look_inside(struct mt_subject *subject, const struct mt_ptrace_rules *rules, struct mt_error *err)
{
    pid_t pid = subject->facts.alive;
    enum mt_program_kind kind;
    mt_status status = judge_program(&subject->facts, &kind, err);
    if (status != MT_OK) {
        return status;
    }
    struct mt_error kernel = { 0 };
    subject->image = mt_process_image(pid);
    status = mt_remote_open(pid, &subject->remote, &kernel);
    if (status == MT_OK) {
        status = mt_mappings_read(pid, &subject->mappings, &kernel);
    }
    if (status == MT_E_PERM) {
        return mt_refusal_of_kernel(&subject->facts, rules, err);
    }
    if (status != MT_OK) {
        return mt_error_set(err, status, "%s", mt_error_text(&kernel));
    }
    mt_objects_read(&subject->remote, &subject->mappings, &subject->objects);
    return judge_objects(subject, kind, err);
}

mt_status mt_subject_open(pid_t pid, struct mt_subject *ret, struct mt_error *err)
{
    struct mt_ptrace_rules rules;
    *ret = (struct mt_subject){ .remote.mem_fd = -1 };
    mt_ptrace_rules_here(&rules);
    mt_status status = mt_process_facts_read(pid, &ret->facts, err);
    if (status == MT_OK) {
        status = mt_process_facts_judge(&ret->facts, &rules, err);
    }
    if (status == MT_OK) {
        status = look_inside(ret, &rules, err);
    }
    if (status != MT_OK) {
        mt_subject_close(ret);
    }
    return status;
}

mt_status mt_subject_check_image(const struct mt_subject *subject, pid_t tid, struct mt_error *err)
{
    return subject->image != 0 && mt_process_image(tid) == subject->image
               ? MT_OK
               : mt_error_set(err, MT_E_INTERRUPTED, "process %d has executed another program while memtap looked at it", (int)subject->facts.pid);
}

void mt_subject_close(struct mt_subject *subject)
{
    mt_remote_close(&subject->remote);
    mt_mappings_clear(&subject->mappings);
    mt_objects_clear(&subject->objects);
}
