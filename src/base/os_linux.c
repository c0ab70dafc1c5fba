/* os_linux.c: os.h over raw Linux system calls.
 *
 * Raw, because libc's wrappers set errno (a hook must not change it), are cancellation points, and can be interposed
 * by the very program we observe. Clocks are read through the vDSO, found by hand for the same reasons.
 * Files and descriptors: os_files.c.
 */
#include "base/os.h"

#include "base/atomic.h"
#include "base/os_own.h"
#include "base/rawcall.h"
#include "base/vdso.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static mt_status map(size_t bytes, int protection, int flags, int fd, uint64_t offset, void **ret_base)
{
    size_t page = mt_os_page_bytes();
    size_t length = (bytes + page - 1) & ~(page - 1);
    if (length < bytes || length == 0) {
        return MT_E_INVAL;
    }
    long result = mt_raw6(SYS_mmap, 0, (long)length, protection, flags, fd, (long)offset);
    if (result < 0 && result > -4096) {
        return mt_status_from_errno((int)-result);
    }
    *ret_base = (void *)result;
    return MT_OK;
}

static mt_status map_own(size_t bytes, int flags, void **ret_base)
{
    flags |= MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    mt_status status = map(bytes, PROT_READ | PROT_WRITE, flags, -1, 0, ret_base);
    if (status == MT_OK) {
        mt_own_mapped(*ret_base, bytes);
    }
    return status;
}

mt_status mt_os_map_anonymous(size_t bytes, void **ret_base)
{
    return map_own(bytes, 0, ret_base);
}

mt_status mt_os_map_anonymous_now(size_t bytes, void **ret_base)
{
    return map_own(bytes, MAP_POPULATE, ret_base);
}

mt_status mt_os_map_shared(size_t bytes, void **ret_base)
{
    return map(bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0, ret_base);
}

mt_status mt_os_map_anonymous_at(uint64_t address, size_t bytes, void **ret_base)
{
    long result = mt_raw6(SYS_mmap, (long)address, (long)bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (result == (long)address) {
        *ret_base = (void *)result;
        mt_own_mapped(*ret_base, bytes);
        return MT_OK;
    }
    if (result > 0) { /* a kernel before 4.17 takes the place for a wish */
        mt_os_unmap((void *)result, bytes);
    }
    return MT_E_NOMEM;
}

mt_status mt_os_map_file(int fd, uint64_t offset, size_t bytes, bool writable, void **ret_base)
{
    return map(bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, offset, ret_base);
}

mt_status mt_os_map_file_over(void *base, int fd, uint64_t offset, size_t bytes)
{
    long at = mt_raw6(SYS_mmap, (long)base, (long)bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, (long)offset);
    return at == (long)base ? MT_OK : MT_E_NOMEM;
}

void mt_os_unmap(void *base, size_t bytes)
{
    if (base != NULL) {
        mt_own_unmapped(base, bytes);
        (void)mt_raw4(SYS_munmap, (long)base, (long)bytes, 0, 0);
    }
}

bool mt_os_advise_dontfork(void *base, size_t bytes)
{
    return mt_raw4(SYS_madvise, (long)base, (long)bytes, MADV_DONTFORK, 0) == 0;
}

bool mt_os_advise_wipeonfork(void *base, size_t bytes)
{
    return mt_raw4(SYS_madvise, (long)base, (long)bytes, MADV_WIPEONFORK, 0) == 0;
}

bool mt_os_advise_nohugepage(void *base, size_t bytes)
{
    return mt_raw4(SYS_madvise, (long)base, (long)bytes, MADV_NOHUGEPAGE, 0) == 0;
}

bool mt_os_advise_hugepage(void *base, size_t bytes)
{
    return mt_raw4(SYS_madvise, (long)base, (long)bytes, MADV_HUGEPAGE, 0) == 0;
}

void mt_os_discard(void *base, size_t bytes)
{
    (void)mt_raw4(SYS_madvise, (long)base, (long)bytes, MADV_DONTNEED, 0);
}

void mt_os_populate(void *base, size_t bytes)
{
    enum { POPULATE_WRITE = 23 }; /* MADV_POPULATE_WRITE, which headers before 5.14 lack */
    (void)mt_raw4(SYS_madvise, (long)base, (long)bytes, POPULATE_WRITE, 0);
}

mt_status mt_os_resident(void *base, size_t bytes, unsigned char *ret_pages)
{
    long result = mt_raw4(SYS_mincore, (long)base, (long)bytes, (long)ret_pages, 0);
    if (result == 0) {
        return MT_OK;
    }
    return result == -ENOMEM ? MT_E_NOENT : MT_E_PERM;
}

bool mt_os_protect(void *base, size_t bytes, bool writable)
{
    return mt_raw4(SYS_mprotect, (long)base, (long)bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, 0) == 0;
}

bool mt_os_make_executable(void *base, size_t bytes)
{
    return mt_raw4(SYS_mprotect, (long)base, (long)bytes, PROT_READ | PROT_EXEC, 0) == 0;
}

/* FUTEX_WAKE_OP adds 0 to a word atomically: it fails with EFAULT on a read-only page and changes nothing on any other.
 * Reading /proc/self/maps would say the same in 100 times the time. */
bool mt_os_is_writable(void *address)
{
    static uint32_t nobody_waits;
    long operation = (long)FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0);
    long result = mt_raw6(SYS_futex, (long)&nobody_waits, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0, (long)address, operation);
    return result >= 0;
}

bool mt_os_is_mapped(uint64_t address)
{
    unsigned char resident;
    uint64_t page = address & ~(uint64_t)(mt_os_page_bytes() - 1);
    return mt_os_resident((void *)(uintptr_t)page, 1, &resident) != MT_E_NOENT;
}

bool mt_os_is_readable(uint64_t address)
{
    enum { NO_SUCH_OPERATION = 99, KERNEL_SIGSET_BYTES = 8 };
    return mt_raw4(SYS_rt_sigprocmask, NO_SUCH_OPERATION, (long)address, 0, KERNEL_SIGSET_BYTES) == -EINVAL;
}

typedef int (*clock_function)(clockid_t, struct timespec *);

/* Where there is no vDSO. */
static int clock_by_system_call(clockid_t id, struct timespec *ret)
{
    return (int)mt_raw4(SYS_clock_gettime, id, (long)ret, 0, 0);
}

static MT_NOINLINE clock_function find_clock(clock_function *known)
{
    void *found = mt_vdso_find("__vdso_clock_gettime");
    clock_function function = found != NULL ? (clock_function)(uintptr_t)found : clock_by_system_call;
    mt_store_relaxed(known, function); /* whoever finds it finds the same */
    return function;
}

static uint64_t clock_ns(clockid_t id)
{
    static clock_function known;
    clock_function function = mt_load_relaxed(&known);
    struct timespec now = { 0, 0 };
    if (MT_UNLIKELY(function == NULL)) {
        function = find_clock(&known);
    }
    (void)function(id, &now); /* cannot fail for these ids */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool g_avoid_tsc; /* the vDSO reads the counter for precise clocks */

static uint64_t precise_ns(clockid_t id, clockid_t coarse)
{
    if (mt_os_is_restricted()) {
        return clock_ns(coarse); /* never a system call */
    }
    if (MT_LIKELY(!mt_load_relaxed(&g_avoid_tsc))) {
        return clock_ns(id);
    }
    struct timespec now = { 0, 0 };
    (void)clock_by_system_call(id, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t mt_os_monotonic_ns(void)
{
    return precise_ns(CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE);
}

uint64_t mt_os_cpu_ns(void)
{
    struct timespec now = { 0, 0 };
    (void)clock_by_system_call(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t mt_os_thread_cpu_ns(void)
{
    struct timespec now = { 0, 0 };
    (void)clock_by_system_call(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t mt_os_monotonic_coarse_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC_COARSE);
}

uint64_t mt_os_realtime_ns(void)
{
    return precise_ns(CLOCK_REALTIME, CLOCK_REALTIME_COARSE);
}

bool mt_os_tsc_is_allowed(void)
{
    int state = PR_TSC_ENABLE;
    if (mt_os_is_restricted()) {
        return !mt_load_relaxed(&g_avoid_tsc); /* as far as we were told */
    }
    (void)mt_raw4(SYS_prctl, PR_GET_TSC, (long)&state, 0, 0);
    return state != PR_TSC_SIGSEGV;
}

bool mt_os_avoids_tsc(void)
{
    return mt_load_relaxed(&g_avoid_tsc);
}

void mt_os_avoid_tsc(void)
{
    mt_store_relaxed(&g_avoid_tsc, true);
}

int mt_os_pid(void)
{
    return (int)mt_raw4(SYS_getpid, 0, 0, 0, 0);
}

int mt_os_tid(void)
{
    return (int)mt_raw4(SYS_gettid, 0, 0, 0, 0);
}

/* A folder has a link from its parent, one from itself, and one from each folder in it: here, threads. */
static bool has_threads(unsigned count)
{
    struct stat task;
    return mt_raw4(SYS_newfstatat, AT_FDCWD, (long)"/proc/self/task", (long)&task, 0) == 0 && task.st_nlink == 2 + count;
}

bool mt_os_has_one_thread(void)
{
    return has_threads(1);
}

bool mt_os_has_two_threads(void)
{
    return has_threads(2);
}

void mt_os_yield(void)
{
    (void)mt_raw4(SYS_sched_yield, 0, 0, 0, 0);
}

/* Not by nanosleep: the kernel keeps for each thread one call to be made again (restart_syscall), and every nanosleep takes its place. A
 * thread borrowed from a sleep would find that one gone, and its sleep interrupted. ppoll keeps nothing there. */
void mt_os_pause_ns(uint64_t ns)
{
    struct timespec pause = { .tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u) };
    long status = mt_raw6(SYS_ppoll, 0, 0, (long)&pause, 0, 0, 0);
    if (status < 0 && status != -EINTR) { /* a filter of the program's */
        (void)mt_raw4(SYS_nanosleep, (long)&pause, 0, 0, 0);
    }
}

bool mt_os_prepare_barrier(void)
{
    return mt_raw4(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0, 0) == 0;
}

bool mt_os_try_barrier(void)
{
    return mt_raw4(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0, 0) == 0;
}

void mt_os_barrier_all_threads(void)
{
    if (!mt_os_prepare_barrier() || !mt_os_try_barrier()) {
        mt_os_pause_ns(2000000);
    }
}

void mt_os_thread_name(char ret_name[16])
{
    ret_name[0] = '\0';
    (void)mt_raw4(SYS_prctl, PR_GET_NAME, (long)ret_name, 0, 0);
    ret_name[15] = '\0';
}

uint64_t mt_os_random(void)
{
    uint64_t value = 0;
    if (mt_raw4(SYS_getrandom, (long)&value, sizeof value, 1 /* GRND_NONBLOCK */, 0) == (long)sizeof value) {
        return value;
    }
    value = mt_os_monotonic_ns() * 0x9E3779B97F4A7C15u;
    return value ^ (uint64_t)(uintptr_t)&value ^ ((uint64_t)(unsigned)mt_os_tid() << 32);
}
