/* os_filter.c: the filters of seccomp that a program installs: read in its memory, copied beforehand. What a call may do under the
 * copies is filter_copies.c. What a copy cannot tell (there was no memory for it) is taken for forbidden.
 */
#include "base/os.h"

#include "base/filter_copies.h"
#include "base/rawcall.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

static bool can_be_read(const void *from, size_t bytes)
{
    uint64_t first = (uint64_t)(uintptr_t)from;
    for (uint64_t at = first; at < first + bytes; at += mt_os_page_bytes()) {
        if (!mt_os_is_readable(at)) {
            return false;
        }
    }
    return bytes < 8 || mt_os_is_readable(first + bytes - 8);
}

/* The program's filter, in its memory; false: what it gave cannot be read, and the kernel will refuse it. */
static bool find_code(const void *program, struct mt_filter_code *ret)
{
    struct sock_fprog given;
    if (!can_be_read(program, sizeof given)) {
        return false;
    }
    memcpy(&given, program, sizeof given);
    if (!can_be_read(given.filter, given.len * sizeof *given.filter)) {
        return false;
    }
    *ret = (struct mt_filter_code){ .code = given.filter, .length = given.len };
    return true;
}

bool mt_os_filter_lets_write(const void *program)
{
    static const long none[6];
    static const long needed[] = { SYS_fstat, SYS_pwrite64, SYS_prlimit64 };
    struct mt_filter_code given = { 0 };
    if (!find_code(program, &given)) {
        return true;
    }
    for (size_t i = 0; i < MT_COUNTOF(needed); i++) {
        if (!mt_filter_code_allows(&given, needed[i], none)) {
            return false;
        }
    }
    return true;
}

static bool filters_let(const long *calls, size_t count)
{
    static const long none[6];
    for (size_t i = 0; i < count; i++) {
        if (mt_os_is_restricted() && !mt_raw_is_allowed(calls[i], none)) {
            return false;
        }
    }
    return true;
}

bool mt_os_filters_let_execute(void)
{
    static const long either[] = { SYS_execve, SYS_execveat };
    return filters_let(&either[0], 1) || filters_let(&either[1], 1);
}

/* What base/ calls; without a socket nobody is told anything, which is no harm. */
bool mt_os_filters_let_start(void)
{
    static const long needed[] = { SYS_openat,     SYS_read,        SYS_pread64,   SYS_pwrite64,     SYS_close,       SYS_fstat,
                                   SYS_newfstatat, SYS_ftruncate,   SYS_fallocate, SYS_fcntl,        SYS_readlinkat,  SYS_mmap,
                                   SYS_munmap,     SYS_mprotect,    SYS_madvise,   SYS_mincore,      SYS_prlimit64,   SYS_prctl,
                                   SYS_getpid,     SYS_gettid,      SYS_getrandom, SYS_rt_sigprocmask, SYS_sched_yield, SYS_nanosleep,
                                   SYS_futex,      SYS_clock_gettime };
    return filters_let(needed, MT_COUNTOF(needed));
}

/* By the raw call itself: what else opens a file looks at descriptors first, which the loader does not. */
static size_t read_status(char *text, size_t capacity)
{
    long fd = mt_raw4(SYS_openat, AT_FDCWD, (long)"/proc/self/status", O_RDONLY | O_CLOEXEC, 0);
    long got = fd >= 0 ? mt_raw4(SYS_read, fd, (long)text, (long)capacity - 1, 0) : 0;
    if (fd >= 0) {
        (void)mt_raw4(SYS_close, fd, 0, 0, 0);
    }
    text[got > 0 ? got : 0] = '\0';
    return got > 0 ? (size_t)got : 0;
}

uint64_t mt_os_filter_count(void)
{
    static const char name[] = "\nSeccomp_filters:";
    char text[4096];
    uint64_t count = 0;
    const char *at = read_status(text, sizeof text) > 0 ? strstr(text, name) : NULL;
    for (at = at != NULL ? at + sizeof name - 1 : ""; *at == ' ' || *at == '\t'; at++) {
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        count = count * 10 + (uint64_t)(*at - '0');
    }
    return count;
}

/* A copy in memory of ours; NULL: there is none. */
static const struct sock_filter *copied(const struct mt_filter_code *given)
{
    void *room = NULL;
    size_t bytes = given->length * sizeof *given->code;
    if (mt_os_map_anonymous(bytes + 1, &room) == MT_OK) {
        memcpy(room, given->code, bytes);
    }
    return room;
}

uint32_t mt_os_filter_add(const void *program)
{
    struct mt_filter_code given = { 0 };
    given.code = program != NULL && find_code(program, &given) ? copied(&given) : NULL;
    return mt_filter_enter(&given);
}
