/* os_linux.c: os.h over raw Linux system calls.
 *
 * Raw, because libc's wrappers set errno (a hook must not change it), are cancellation points, and can be interposed
 * by the very program we observe. Clocks go through libc's clock_gettime: it is the vDSO and cannot fail for these ids.
 */
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
static long raw6(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#else
#error "os_linux.c: add the raw system call sequence of this architecture"
#endif

static long raw4(long number, long a, long b, long c, long d)
{
    return raw6(number, a, b, c, d, 0, 0);
}

static mt_status status_of(long result)
{
    return result < 0 ? mt_status_from_errno((int)-result) : MT_OK;
}

size_t mt_os_page_bytes(void)
{
    return 4096;
}

static mt_status map(size_t bytes, int protection, int flags, int fd, uint64_t offset, void **ret_base)
{
    size_t page = mt_os_page_bytes();
    size_t length = (bytes + page - 1) & ~(page - 1);
    if (length < bytes || length == 0) {
        return MT_E_INVAL;
    }
    long result = raw6(SYS_mmap, 0, (long)length, protection, flags, fd, (long)offset);
    if (result < 0 && result > -4096) {
        return mt_status_from_errno((int)-result);
    }
    *ret_base = (void *)result;
    return MT_OK;
}

mt_status mt_os_map_anonymous(size_t bytes, void **ret_base)
{
    return map(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, ret_base);
}

mt_status mt_os_map_file(int fd, uint64_t offset, size_t bytes, bool writable, void **ret_base)
{
    return map(bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, offset, ret_base);
}

mt_status mt_os_map_file_over(void *base, int fd, uint64_t offset, size_t bytes)
{
    long at = raw6(SYS_mmap, (long)base, (long)bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (long)offset);
    return at == (long)base ? MT_OK : MT_E_NOMEM;
}

void mt_os_unmap(void *base, size_t bytes)
{
    if (base != NULL) {
        (void)raw4(SYS_munmap, (long)base, (long)bytes, 0, 0);
    }
}

bool mt_os_advise_dontfork(void *base, size_t bytes)
{
    return raw4(SYS_madvise, (long)base, (long)bytes, MADV_DONTFORK, 0) == 0;
}

bool mt_os_advise_wipeonfork(void *base, size_t bytes)
{
    return raw4(SYS_madvise, (long)base, (long)bytes, MADV_WIPEONFORK, 0) == 0;
}

bool mt_os_advise_nohugepage(void *base, size_t bytes)
{
    return raw4(SYS_madvise, (long)base, (long)bytes, MADV_NOHUGEPAGE, 0) == 0;
}

void mt_os_discard(void *base, size_t bytes)
{
    (void)raw4(SYS_madvise, (long)base, (long)bytes, MADV_DONTNEED, 0);
}

bool mt_os_protect(void *base, size_t bytes, bool writable)
{
    return raw4(SYS_mprotect, (long)base, (long)bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, 0) == 0;
}

/* FUTEX_WAKE_OP adds 0 to a word atomically: it fails with EFAULT on a read-only page and changes nothing on any other.
 * Reading /proc/self/maps would say the same in 100 times the time. */
bool mt_os_is_writable(void *address)
{
    static uint32_t nobody_waits;
    long operation = (long)FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0);
    long result = raw6(SYS_futex, (long)&nobody_waits, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0, (long)address, operation);
    return result >= 0;
}

bool mt_os_is_readable(uint64_t address)
{
    enum { NO_SUCH_OPERATION = 99, KERNEL_SIGSET_BYTES = 8 };
    return raw4(SYS_rt_sigprocmask, NO_SUCH_OPERATION, (long)address, 0, KERNEL_SIGSET_BYTES) == -EINVAL;
}

mt_status mt_os_open(const char *path, enum mt_os_open_mode mode, int *ret_fd)
{
    static const int flags_of[] = {
        [MT_OPEN_READ] = O_RDONLY,
        [MT_OPEN_READ_WRITE] = O_RDWR,
        [MT_OPEN_CREATE_NEW] = O_RDWR | O_CREAT | O_EXCL,
    };
    long result;
    do {
        result = raw4(SYS_openat, AT_FDCWD, (long)path, flags_of[mode] | O_CLOEXEC | O_NOCTTY, 0600);
    } while (result == -EINTR);
    if (result < 0) {
        return mt_status_from_errno((int)-result);
    }
    *ret_fd = (int)result;
    return MT_OK;
}

void mt_os_close(int fd)
{
    if (fd >= 0) {
        (void)raw4(SYS_close, fd, 0, 0, 0);
    }
}

/* A file that would grow past RLIMIT_FSIZE raises SIGXFSZ, which kills the program we observe: look before. The program
 * may lower the limit at any time, even below the present size, so each growth looks again (0.1 us). */
static bool past_file_limit(uint64_t end)
{
    struct rlimit limit = { 0, 0 };
    return raw4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           end > limit.rlim_cur;
}

mt_status mt_os_write_at(int fd, const void *data, size_t bytes, uint64_t offset)
{
    const uint8_t *from = data;
    if (past_file_limit(offset + bytes)) {
        return mt_status_from_errno(EFBIG);
    }
    while (bytes > 0) {
        long result = raw4(SYS_pwrite64, fd, (long)from, (long)bytes, (long)offset);
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
        long result = raw4(SYS_pread64, fd, (long)data + (long)done, (long)(bytes - done), (long)(offset + done));
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
        result = raw4(SYS_read, fd, (long)data, (long)bytes, 0);
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
        result = raw4(SYS_fallocate, fd, 0, (long)offset, (long)bytes);
    } while (result == -EINTR);
    if (result == -EOPNOTSUPP || result == -ENOSYS) {
        return preallocate_by_writing(fd, offset, bytes);
    }
    return status_of(result);
}

mt_status mt_os_truncate(int fd, uint64_t bytes)
{
    if (past_file_limit(bytes)) {
        return mt_status_from_errno(EFBIG);
    }
    return status_of(raw4(SYS_ftruncate, fd, (long)bytes, 0, 0));
}

mt_status mt_os_rename(const char *from, const char *to)
{
    return status_of(raw4(SYS_renameat, AT_FDCWD, (long)from, AT_FDCWD, (long)to));
}

mt_status mt_os_unlink(const char *path)
{
    return status_of(raw4(SYS_unlinkat, AT_FDCWD, (long)path, 0, 0));
}

static uint64_t clock_ns(clockid_t id)
{
    struct timespec now = { 0, 0 };
    (void)clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t mt_os_monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t mt_os_monotonic_coarse_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC_COARSE);
}

uint64_t mt_os_realtime_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

int mt_os_pid(void)
{
    return (int)raw4(SYS_getpid, 0, 0, 0, 0);
}

int mt_os_tid(void)
{
    return (int)raw4(SYS_gettid, 0, 0, 0, 0);
}

void mt_os_yield(void)
{
    (void)raw4(SYS_sched_yield, 0, 0, 0, 0);
}

void mt_os_pause_ns(uint64_t ns)
{
    const struct timespec pause = { .tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u) };
    (void)raw4(SYS_nanosleep, (long)&pause, 0, 0, 0);
}

void mt_os_barrier_all_threads(void)
{
    if (raw4(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0, 0) != 0 ||
        raw4(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0, 0) != 0) {
        mt_os_pause_ns(2000000);
    }
}

void mt_os_thread_name(char ret_name[16])
{
    ret_name[0] = '\0';
    (void)raw4(SYS_prctl, PR_GET_NAME, (long)ret_name, 0, 0);
    ret_name[15] = '\0';
}

size_t mt_os_readlink(const char *path, char *ret_text, size_t capacity)
{
    long result = raw4(SYS_readlinkat, AT_FDCWD, (long)path, (long)ret_text, (long)capacity - 1);
    size_t length = result > 0 ? (size_t)result : 0;
    ret_text[length] = '\0';
    return length;
}

uint64_t mt_os_random(void)
{
    uint64_t value = 0;
    if (raw4(SYS_getrandom, (long)&value, sizeof value, 1 /* GRND_NONBLOCK */, 0) == (long)sizeof value) {
        return value;
    }
    value = mt_os_monotonic_ns() * 0x9E3779B97F4A7C15u;
    return value ^ (uint64_t)(uintptr_t)&value ^ ((uint64_t)(unsigned)mt_os_tid() << 32);
}
