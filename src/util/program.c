/* program.c: what a program named on a command line is. ELF is read by hand: the header and the program headers are all
 * that is needed, and a hostile file can do no more than fail a bounds check. */
#include "util/program.h"

#include "util/memory.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { SCRIPT_DEPTH_MAX = 4, SEGMENTS_MAX = 256 };

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

static bool is_privileged(int fd)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return false;
    }
    bool other_user = (info.st_mode & S_ISUID) != 0 && info.st_uid != geteuid();
    bool other_group = (info.st_mode & S_ISGID) != 0 && info.st_gid != getegid();
    return other_user || other_group || fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

/* Reads the PT_INTERP string; false when there is none. */
static bool read_interpreter(int fd, const Elf64_Ehdr *header, char *ret, size_t capacity)
{
    for (unsigned i = 0; i < header->e_phnum && i < SEGMENTS_MAX; i++) {
        Elf64_Phdr segment;
        off_t at = (off_t)(header->e_phoff + (uint64_t)i * header->e_phentsize);
        if (pread(fd, &segment, sizeof segment, at) != (ssize_t)sizeof segment) {
            return false;
        }
        if (segment.p_type == PT_INTERP) {
            size_t bytes = segment.p_filesz < capacity ? segment.p_filesz : capacity - 1;
            ssize_t got = pread(fd, ret, bytes, (off_t)segment.p_offset);
            ret[got > 0 ? got : 0] = '\0';
            return got > 0;
        }
    }
    return false;
}

static enum mt_program_kind kind_of_elf(int fd, const Elf64_Ehdr *header)
{
    Elf64_Ehdr own;
    char loader[256];
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    bool known = self >= 0 && pread(self, &own, sizeof own, 0) == (ssize_t)sizeof own;
    if (self >= 0) {
        (void)close(self);
    }
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || (known && header->e_machine != own.e_machine)) {
        return MT_PROGRAM_OTHER_ARCH;
    }
    if (!read_interpreter(fd, header, loader, sizeof loader)) {
        return MT_PROGRAM_STATIC;
    }
    if (strstr(loader, "ld-musl") != NULL) {
        return MT_PROGRAM_MUSL;
    }
    return is_privileged(fd) ? MT_PROGRAM_SETID : MT_PROGRAM_DYNAMIC;
}

/* "#! interpreter [argument]": true with the interpreter in ret. `env NAME` is looked up on PATH. */
static bool script_interpreter(const char *head, char *ret, size_t capacity)
{
    if (head[0] != '#' || head[1] != '!') {
        return false;
    }
    char first[256] = "";
    char second[256] = "";
    if (sscanf(head + 2, " %255s %255s", first, second) < 1) {
        return false;
    }
    size_t length = strlen(first);
    char *found = NULL;
    if (length >= 4 && strcmp(first + length - 4, "/env") == 0 && second[0] != '\0' &&
        mt_program_find(second, NULL, &found, NULL) == MT_OK) {
        (void)snprintf(ret, capacity, "%s", found);
    } else {
        (void)snprintf(ret, capacity, "%s", first);
    }
    free(found);
    return true;
}

void mt_program_examine(const char *path, struct mt_program_info *ret)
{
    (void)snprintf(ret->path, sizeof ret->path, "%s", path);
    ret->kind = MT_PROGRAM_NOT_ELF;
    for (int depth = 0; depth < SCRIPT_DEPTH_MAX; depth++) {
        union {
            Elf64_Ehdr elf;
            char text[512];
        } head = { .text = "" };
        int fd = open(ret->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0) {
            ret->kind = MT_PROGRAM_UNREADABLE;
            return;
        }
        ssize_t got = pread(fd, head.text, sizeof head.text - 1, 0);
        bool is_elf = got >= (ssize_t)sizeof head.elf && memcmp(head.elf.e_ident, ELFMAG, SELFMAG) == 0;
        ret->kind = is_elf ? kind_of_elf(fd, &head.elf) : MT_PROGRAM_NOT_ELF;
        (void)close(fd);
        if (is_elf || !script_interpreter(head.text, ret->path, sizeof ret->path)) {
            return;
        }
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
    default:
        return "";
    }
}
