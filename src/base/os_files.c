/* os_files.c: the half of os.h that deals with files and descriptors.
 *
 * The program we observe owns its descriptors: none of ours is ever 0, 1 or 2, not for a moment, because a program that has
 * closed these goes on printing, and what it prints would land in our file. Sizes are compared with RLIMIT_FSIZE beforehand,
 * because growing past it is a signal that kills.
 */
#include "base/os.h"

#include "base/atomic.h"
#include "base/rawcall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { STDIO_COUNT = 3, TURN_SPINS = 10000 };

static bool is_closed(int fd)
{
    return mt_raw4(SYS_fcntl, fd, F_GETFD, 0, 0) == -EBADF;
}

/* Puts something that can be neither read nor written where 0, 1 or 2 are closed; returns which of them, as bits. */
static unsigned fill_stdio(void)
{
    unsigned filled = 0;
    for (int fd = 0; fd < STDIO_COUNT; fd++) {
        long got = is_closed(fd) ? mt_raw4(SYS_openat, AT_FDCWD, (long)"/", O_PATH | O_CLOEXEC, 0) : -1;
        if (got >= STDIO_COUNT) {
            mt_os_close((int)got);
        } else if (got >= 0) {
            filled |= 1u << got;
        }
    }
    return filled;
}

/* The program may have put a file of its own there meanwhile, which is not ours to close. Between this look and the close it
 * still may: no call closes a descriptor only if it is a certain one. */
static bool is_filling(int fd)
{
    struct stat info = { 0 }, root = { 0 };
    long flags = mt_raw4(SYS_fcntl, fd, F_GETFL, 0, 0);
    return flags >= 0 && (flags & O_PATH) != 0 && mt_raw4(SYS_fstat, fd, (long)&info, 0, 0) == 0 &&
           mt_raw4(SYS_newfstatat, AT_FDCWD, (long)"/", (long)&root, 0) == 0 && info.st_dev == root.st_dev && info.st_ino == root.st_ino;
}

static void empty_stdio(unsigned filled)
{
    for (int fd = 0; fd < STDIO_COUNT; fd++) {
        if ((filled >> fd & 1) != 0 && is_filling(fd)) {
            mt_os_close(fd);
        }
    }
}

/* A call that makes a descriptor, which is 3 or above unless one below is closed in that moment (mt_raw_off_stdio). Where 0, 1 or 2 are closed, threads take turns: what one has filled
 * another must not find emptied between its look and its call. A turn that does not come (a fork took the holder away) is
 * taken. */
long mt_raw_above_stdio(long number, long a, long b, long c, long d)
{
    static uint32_t turn_taken;
    if (!is_closed(0) && !is_closed(1) && !is_closed(2)) {
        return mt_raw4(number, a, b, c, d);
    }
    for (int spins = 0; spins < TURN_SPINS && mt_exchange_acq_rel(&turn_taken, 1u) != 0; spins++) {
        mt_cpu_relax();
    }
    unsigned filled = fill_stdio();
    long result = mt_raw4(number, a, b, c, d);
    empty_stdio(filled);
    mt_store_release(&turn_taken, 0u);
    return result;
}

long mt_raw_off_stdio(long fd)
{
    if (fd < 0 || fd >= STDIO_COUNT) {
        return fd;
    }
    long better = mt_raw4(SYS_fcntl, fd, F_DUPFD_CLOEXEC, STDIO_COUNT, 0);
    mt_os_close((int)fd);
    return better;
}

static mt_status descriptor_of(long result, int *ret_fd)
{
    long fd = mt_raw_off_stdio(result);
    if (fd < 0) {
        return mt_status_from_errno((int)-fd);
    }
    *ret_fd = (int)fd;
    return MT_OK;
}

mt_status mt_os_open(const char *path, enum mt_os_open_mode mode, int *ret_fd)
{
    static const int flags_of[] = {
        [MT_OPEN_READ] = O_RDONLY,
        [MT_OPEN_READ_WRITE] = O_RDWR | O_NOFOLLOW | O_NONBLOCK,
        [MT_OPEN_CREATE_NEW] = O_RDWR | O_CREAT | O_EXCL,
    };
    long result;
    do {
        result = mt_raw_above_stdio(SYS_openat, AT_FDCWD, (long)path, flags_of[mode] | O_CLOEXEC | O_NOCTTY, 0600);
    } while (result == -EINTR);
    return descriptor_of(result, ret_fd);
}

mt_status mt_os_open_at(int folder, const char *path, int *ret_fd)
{
    return descriptor_of(mt_raw_above_stdio(SYS_openat, folder, (long)path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0), ret_fd);
}

void mt_os_close(int fd)
{
    if (fd >= 0) {
        (void)mt_raw4(SYS_close, fd, 0, 0, 0);
    }
}

mt_status mt_os_identify_folder(const char *path, struct mt_os_file *ret)
{
    struct stat info;
    long result = mt_raw4(SYS_newfstatat, AT_FDCWD, (long)path, (long)&info, 0);
    if (result < 0) {
        return mt_status_from_errno((int)-result);
    }
    if (!S_ISDIR(info.st_mode)) {
        return MT_E_REPLACED;
    }
    *ret = (struct mt_os_file){ .device = info.st_dev, .inode = info.st_ino, .names = info.st_nlink };
    return MT_OK;
}

bool mt_os_exists(const char *path)
{
    struct stat info;
    return mt_raw4(SYS_newfstatat, AT_FDCWD, (long)path, (long)&info, AT_SYMLINK_NOFOLLOW) == 0;
}

mt_status mt_os_identify(int fd, struct mt_os_file *ret)
{
    struct stat info;
    long result = mt_raw4(SYS_fstat, fd, (long)&info, 0, 0);
    if (result < 0) {
        return mt_status_from_errno((int)-result);
    }
    if (!S_ISREG(info.st_mode)) {
        return MT_E_REPLACED;
    }
    *ret = (struct mt_os_file){
        .device = info.st_dev,
        .inode = info.st_ino,
        .bytes = (uint64_t)info.st_size,
        .names = info.st_nlink,
    };
    return MT_OK;
}

bool mt_os_is_sealed(int fd, uint64_t bytes)
{
    struct mt_os_file file;
    long seals = mt_raw4(SYS_fcntl, fd, F_GET_SEALS, 0, 0);
    return seals > 0 && (seals & F_SEAL_SHRINK) != 0 && mt_os_identify(fd, &file) == MT_OK && file.bytes >= bytes;
}

mt_status mt_os_duplicate_above(int fd, int least, int *ret_fd)
{
    long result = mt_raw4(SYS_fcntl, fd, F_DUPFD_CLOEXEC, least, 0);
    if (result < 0) {
        return mt_status_from_errno((int)-result);
    }
    *ret_fd = (int)result;
    return MT_OK;
}

mt_status mt_os_descriptor_limit(uint64_t *ret_soft, uint64_t *ret_hard)
{
    struct rlimit limit = { 0, 0 };
    mt_status status = mt_raw_status(mt_raw4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit));
    if (status == MT_OK) {
        *ret_soft = limit.rlim_cur;
        *ret_hard = limit.rlim_max;
    }
    return status;
}

mt_status mt_os_set_descriptor_limit(uint64_t soft, uint64_t hard)
{
    const struct rlimit limit = { .rlim_cur = soft, .rlim_max = hard };
    return mt_raw_status(mt_raw4(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&limit, 0));
}

/* A file that would grow past RLIMIT_FSIZE raises SIGXFSZ, which kills the program we observe: look before. The program
 * may lower the limit at any time, even below the present size, so each growth looks again (0.1 us). */
static bool past_file_limit(uint64_t end)
{
    struct rlimit limit = { 0, 0 };
    return mt_raw4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           end > limit.rlim_cur;
}

mt_status mt_os_write_at(int fd, const void *data, size_t bytes, uint64_t offset)
{
    const uint8_t *from = data;
    if (past_file_limit(offset + bytes)) {
        return mt_status_from_errno(EFBIG);
    }
    while (bytes > 0) {
        long result = mt_raw4(SYS_pwrite64, fd, (long)from, (long)bytes, (long)offset);
        if (result == -EINTR) {
            continue;
        }
        if (result <= 0) {
            return result == 0 ? MT_E_IO : mt_status_from_errno((int)-result);
        }
        from += result;
        bytes -= (size_t)result;
        offset += (uint64_t)result;
    }
    return MT_OK;
}

mt_status mt_os_read_at(int fd, void *data, size_t bytes, uint64_t offset, size_t *ret_bytes)
{
    size_t done = 0;
    while (done < bytes) {
        long result = mt_raw4(SYS_pread64, fd, (long)data + (long)done, (long)(bytes - done), (long)(offset + done));
        if (result == -EINTR) {
            continue;
        }
        if (result < 0) {
            return mt_status_from_errno((int)-result);
        }
        if (result == 0) {
            break;
        }
        done += (size_t)result;
    }
    *ret_bytes = done;
    return MT_OK;
}

mt_status mt_os_read(int fd, void *data, size_t bytes, size_t *ret_bytes)
{
    long result;
    do {
        result = mt_raw4(SYS_read, fd, (long)data, (long)bytes, 0);
    } while (result == -EINTR);
    if (result < 0) {
        return mt_status_from_errno((int)-result);
    }
    *ret_bytes = (size_t)result;
    return MT_OK;
}

static mt_status preallocate_by_writing(int fd, uint64_t offset, uint64_t bytes)
{
    static const uint8_t zeros[4096];
    while (bytes > 0) {
        size_t chunk = bytes < sizeof zeros ? (size_t)bytes : sizeof zeros;
        mt_status status = mt_os_write_at(fd, zeros, chunk, offset);
        if (status != MT_OK) {
            return status;
        }
        offset += chunk;
        bytes -= chunk;
    }
    return MT_OK;
}

mt_status mt_os_preallocate(int fd, uint64_t offset, uint64_t bytes)
{
    long result;
    if (past_file_limit(offset + bytes)) {
        return mt_status_from_errno(EFBIG);
    }
    do {
        result = mt_raw4(SYS_fallocate, fd, 0, (long)offset, (long)bytes);
    } while (result == -EINTR);
    if (result == -EOPNOTSUPP || result == -ENOSYS) {
        return preallocate_by_writing(fd, offset, bytes);
    }
    return mt_raw_status(result);
}

mt_status mt_os_punch(int fd, uint64_t offset, uint64_t bytes)
{
    enum { KEEP_SIZE = 1, PUNCH_HOLE = 2 };
    long result;
    do {
        result = mt_raw4(SYS_fallocate, fd, KEEP_SIZE | PUNCH_HOLE, (long)offset, (long)bytes);
    } while (result == -EINTR);
    return mt_raw_status(result);
}

mt_status mt_os_truncate(int fd, uint64_t bytes)
{
    if (past_file_limit(bytes)) {
        return mt_status_from_errno(EFBIG);
    }
    return mt_raw_status(mt_raw4(SYS_ftruncate, fd, (long)bytes, 0, 0));
}

mt_status mt_os_rename(const char *from, const char *to)
{
    return mt_raw_status(mt_raw4(SYS_renameat, AT_FDCWD, (long)from, AT_FDCWD, (long)to));
}

mt_status mt_os_unlink(const char *path)
{
    return mt_raw_status(mt_raw4(SYS_unlinkat, AT_FDCWD, (long)path, 0, 0));
}

size_t mt_os_readlink(const char *path, char *ret_text, size_t capacity)
{
    long result = mt_raw4(SYS_readlinkat, AT_FDCWD, (long)path, (long)ret_text, (long)capacity - 1);
    size_t length = result > 0 ? (size_t)result : 0;
    ret_text[length] = '\0';
    return length;
}
