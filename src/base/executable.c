/* executable.c: see executable.h. ELF is read by hand: the header and the program headers are all that is needed. */
#include "base/executable.h"

#include "base/os.h"
#include "base/rawcall.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/syscall.h>

enum { SEGMENTS_MAX = 256, LOADER_BYTES = 256 };

#if defined(__x86_64__)
enum { OWN_MACHINE = EM_X86_64 };
#else
#error "executable.c: add this architecture"
#endif

/* Set-ID bits and file capabilities count for nothing on such mounts and in such processes. */
static bool rights_are_ignored(int fd)
{
    struct statfs mount;
    return mt_raw4(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0) == 1 ||
           (mt_raw4(SYS_fstatfs, fd, (long)&mount, 0, 0) == 0 && (mount.f_flags & ST_NOSUID) != 0);
}

/* The rule of the kernel (security/commoncap.c): afterwards the effective user or group is not the caller's real one, or somebody
 * who is not root gets capabilities from the file. */
static bool is_privileged(int fd)
{
    struct stat info;
    uint32_t capabilities[5]; /* struct vfs_ns_cap_data, the largest */
    long user = mt_raw4(SYS_geteuid, 0, 0, 0, 0);
    long group = mt_raw4(SYS_getegid, 0, 0, 0, 0);
    long real_user = mt_raw4(SYS_getuid, 0, 0, 0, 0);
    long real_group = mt_raw4(SYS_getgid, 0, 0, 0, 0);
    if (mt_raw4(SYS_fstat, fd, (long)&info, 0, 0) != 0) {
        return false;
    }
    bool special = (info.st_mode & (S_ISUID | S_ISGID)) != 0;
    bool capable = real_user != 0 &&
                   mt_raw4(SYS_fgetxattr, fd, (long)"security.capability", (long)capabilities, sizeof capabilities) > 0;
    if ((special || capable) && rights_are_ignored(fd)) {
        special = capable = false;
    }
    if (special && (info.st_mode & S_ISUID) != 0) {
        user = info.st_uid;
    }
    if (special && (info.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP)) {
        group = info.st_gid;
    }
    return user != real_user || group != real_group || capable;
}

static bool read_all(int fd, void *data, size_t bytes, uint64_t offset)
{
    size_t got = 0;
    return mt_os_read_at(fd, data, bytes, offset, &got) == MT_OK && got == bytes;
}

/* Reads the PT_INTERP string; false when there is none. */
static bool read_loader(int fd, const Elf64_Ehdr *header, char ret[LOADER_BYTES])
{
    for (unsigned i = 0; i < header->e_phnum && i < SEGMENTS_MAX; i++) {
        Elf64_Phdr segment;
        if (!read_all(fd, &segment, sizeof segment, header->e_phoff + (uint64_t)i * header->e_phentsize)) {
            return false;
        }
        if (segment.p_type == PT_INTERP) {
            size_t bytes = segment.p_filesz < LOADER_BYTES ? segment.p_filesz : LOADER_BYTES - 1;
            size_t got = 0;
            bool there = mt_os_read_at(fd, ret, bytes, segment.p_offset, &got) == MT_OK && got > 0;
            ret[there ? got : 0] = '\0';
            return there;
        }
    }
    return false;
}

static enum mt_program_kind kind_of_elf(int fd, const Elf64_Ehdr *header)
{
    char loader[LOADER_BYTES];
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != OWN_MACHINE) {
        return MT_PROGRAM_OTHER_ARCH;
    }
    if (!read_loader(fd, header, loader)) {
        return MT_PROGRAM_STATIC;
    }
    if (strstr(loader, "ld-musl") != NULL) {
        return MT_PROGRAM_MUSL;
    }
    return is_privileged(fd) ? MT_PROGRAM_SETID : MT_PROGRAM_DYNAMIC;
}

/* The next word of a line into ret; returns what follows it. */
static const char *take_word(const char *at, char *ret, size_t capacity)
{
    at += strspn(at, " \t");
    size_t bytes = strcspn(at, " \t\r\n");
    size_t kept = bytes < capacity ? bytes : capacity - 1;
    memcpy(ret, at, kept);
    ret[kept] = '\0';
    return at + bytes;
}

static void look_into(int fd, struct mt_executable *ret)
{
    union {
        Elf64_Ehdr elf;
        char text[512];
    } head;
    size_t got = 0;
    memset(&head, 0, sizeof head);
    if (mt_os_read_at(fd, head.text, sizeof head.text - 1, 0, &got) != MT_OK) {
        ret->kind = MT_PROGRAM_UNREADABLE;
    } else if (got >= sizeof head.elf && memcmp(head.elf.e_ident, ELFMAG, SELFMAG) == 0) {
        ret->kind = kind_of_elf(fd, &head.elf);
    } else if (head.text[0] == '#' && head.text[1] == '!') {
        const char *rest = take_word(head.text + 2, ret->interpreter, sizeof ret->interpreter);
        (void)take_word(rest, ret->argument, sizeof ret->argument);
    }
}

void mt_executable_look(int folder, const char *path, struct mt_executable *ret)
{
    int fd = -1;
    ret->kind = MT_PROGRAM_NOT_ELF;
    ret->interpreter[0] = ret->argument[0] = '\0';
    if (mt_os_open_at(folder, path, &fd) != MT_OK) {
        ret->kind = MT_PROGRAM_UNREADABLE;
        return;
    }
    look_into(fd, ret);
    mt_os_close(fd);
}
