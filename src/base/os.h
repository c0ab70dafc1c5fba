/* os.h: the operating-system contract of the agent.
 *
 * Decides: which system calls memtap's agent makes, each a raw syscall that touches no libc state (no errno, no
 * cancellation point, not interposable by the program or by our own hooks). Results are mt_status; errno is never
 * changed. os_linux.c is the real thing; tests link os_fault.c in front of it to fail the Nth call of a kind.
 * Context: any, async-signal safe.
 */
#ifndef MT_BASE_OS_H
#define MT_BASE_OS_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mt_os_call {
    MT_OS_MMAP,
    MT_OS_OPEN,
    MT_OS_WRITE,
    MT_OS_FALLOCATE,
    MT_OS_TRUNCATE,
    MT_OS__COUNT
};

enum mt_os_open_mode {
    MT_OPEN_READ,       /* existing file, read only */
    MT_OPEN_READ_WRITE, /* existing file, not through a symbolic link; never waits (a FIFO) */
    MT_OPEN_CREATE_NEW  /* must not exist; mode 0600 */
};

/* Which regular file it is, whatever its name (device and inode), and what has become of it. */
struct mt_os_file {
    uint64_t device;
    uint64_t inode;
    uint64_t bytes;
    uint64_t names; /* 0: removed */
};

/* Page size in bytes; constant for the life of the process. */
MT_INLINE size_t mt_os_page_bytes(void)
{
    return 4096;
}

/* Gives whole pages of memory of ours back; they read as zeros from then on. */
void mt_os_discard(void *base, size_t bytes);
/* Makes all pages of a range there that are not yet, where the kernel can (5.14), as the one below does; else nothing. */
void mt_os_populate(void *base, size_t bytes);
/* Private anonymous zero pages, NORESERVE; length is rounded up to pages. */
mt_status mt_os_map_anonymous(size_t bytes, void **ret_base) MT_CHECKED;
/* The same where every page will be written to soon: they are there at once, which takes a fifth of the time of faults. */
mt_status mt_os_map_anonymous_now(size_t bytes, void **ret_base) MT_CHECKED;
/* The same at this very place, which must be free. */
mt_status mt_os_map_anonymous_at(uint64_t address, size_t bytes, void **ret_base) MT_CHECKED;
/* Zero pages that the process shares with its fork children. */
mt_status mt_os_map_shared(size_t bytes, void **ret_base) MT_CHECKED;
/* How much of what mt_os_map_anonymous gave is resident now; one mincore for every 4 MiB of it. */
uint64_t mt_os_own_resident_bytes(void);
/* Shared mapping of a file range; offset must be page aligned. */
mt_status mt_os_map_file(int fd, uint64_t offset, size_t bytes, bool writable, void **ret_base) MT_CHECKED;
/* The same in the place of an existing mapping of ours, which it replaces at once. */
mt_status mt_os_map_file_over(void *base, int fd, uint64_t offset, size_t bytes) MT_CHECKED;
void mt_os_unmap(void *base, size_t bytes);
/* madvise: not inherited by fork children / reads as zero in fork children. False when the kernel refuses. */
bool mt_os_advise_dontfork(void *base, size_t bytes);
bool mt_os_advise_wipeonfork(void *base, size_t bytes);
/* madvise: keep sparse tables sparse where transparent huge pages are always on. */
bool mt_os_advise_nohugepage(void *base, size_t bytes);
/* madvise: in huge pages, where these are had for the asking. */
bool mt_os_advise_hugepage(void *base, size_t bytes);
/* Which pages of a mapped range are in memory: bit 0 of a byte a page. MT_E_NOENT: a part is not mapped. MT_E_PERM: it cannot be
 * known. */
mt_status mt_os_resident(void *base, size_t bytes, unsigned char *ret_pages) MT_CHECKED;
bool mt_os_protect(void *base, size_t bytes, bool writable);
/* Readable and executable, no longer writable; false when the kernel refuses. */
bool mt_os_make_executable(void *base, size_t bytes);
/* Has a signal call handler from here on (SA_RESTART, on the thread's signal stack where it has one), if it has its default
 * action. False: it has another, or the kernel refuses. */
bool mt_os_signal_take(int number, void (*handler)(int number)) MT_CHECKED;
/* Does it still? */
bool mt_os_signal_is_taken(int number, void (*handler)(int number));
/* Keeps the signals of the calling thread waiting, but for those of its own faults. False: the kernel or a filter refuses. */
bool mt_os_signals_hold(uint64_t *ret_before) MT_CHECKED;
void mt_os_signals_restore(uint64_t before);
/* A thread of ours that holds all signals lets those of the C library itself through: setuid waits for every thread to answer one. */
void mt_os_signals_let_libc(void);
/* True when the 8 bytes at address can be read without a fault; touches nothing. About 0.1 us (rt_sigprocmask with an
 * invalid operation: the kernel copies the set before it looks at the operation). False also when the call is forbidden. */
bool mt_os_is_readable(uint64_t address);
/* True when there is memory at address, whatever its protection; also when that cannot be known. Unlike the question above it has
 * no invalid operation in it, which valgrind would print. */
bool mt_os_is_mapped(uint64_t address);
/* Can this process store to the page of address now? Asked of the kernel without storing anything; 4-byte aligned. */
bool mt_os_is_writable(void *address);

/* Always O_CLOEXEC|O_NOCTTY. The descriptor is 3 or above at every moment, also in a program that has closed 0, 1 or 2: what
 * such a program still prints must not reach the file. */
mt_status mt_os_open(const char *path, enum mt_os_open_mode mode, int *ret_fd) MT_CHECKED;
/* An existing file to read, relative to a folder's descriptor or AT_FDCWD; never waits. */
mt_status mt_os_open_at(int folder, const char *path, int *ret_fd) MT_CHECKED;
void mt_os_close(int fd);
/* A question to another process that answers with a descriptor: one message each way over an abstract SOCK_SEQPACKET socket.
 * Waits for the answer, timeout_ns at most; raises no signal. */
struct mt_os_question {
    const char *name; /* of the socket, without the leading NUL */
    size_t name_bytes;
    const void *request;
    size_t request_bytes;
    void *reply;
    size_t reply_bytes;
    uint64_t timeout_ns;
};
/* *ret_fd: what came with the reply, close-on-exec; -1: none. MT_E_BUSY: no answer in time; MT_E_IO: another reply. */
mt_status mt_os_ask(const struct mt_os_question *question, int *ret_fd) MT_CHECKED;
/* One message to such a socket; waits for nothing. */
mt_status mt_os_tell(const char *name, size_t name_bytes, const void *message, size_t bytes) MT_CHECKED;
/* The file behind a descriptor. MT_E_REPLACED: it is not a regular one. */
mt_status mt_os_identify(int fd, struct mt_os_file *ret) MT_CHECKED;
/* The same for a folder by its path; `bytes` means nothing. MT_E_REPLACED: it is none. */
mt_status mt_os_identify_folder(const char *path, struct mt_os_file *ret) MT_CHECKED;
/* Does a path lead to anything, a link to nothing included? */
bool mt_os_exists(const char *path);
/* Has that file at least so many bytes, and can never have fewer (a memfd that is sealed)? */
bool mt_os_is_sealed(int fd, uint64_t bytes);
/* A second descriptor of the same open file, close-on-exec, the first free one from `least` on. */
mt_status mt_os_duplicate_above(int fd, int least, int *ret_fd) MT_CHECKED;
/* How many descriptors the process may have: now, and if it asks for more. */
mt_status mt_os_descriptor_limit(uint64_t *ret_soft, uint64_t *ret_hard) MT_CHECKED;
mt_status mt_os_set_descriptor_limit(uint64_t soft, uint64_t hard) MT_CHECKED;
/* Writes all bytes at the offset, resuming short writes and EINTR. */
mt_status mt_os_write_at(int fd, const void *data, size_t bytes, uint64_t offset) MT_CHECKED;
mt_status mt_os_read_at(int fd, void *data, size_t bytes, uint64_t offset, size_t *ret_bytes) MT_CHECKED;
/* Reads up to bytes from the current position (for /proc). */
mt_status mt_os_read(int fd, void *data, size_t bytes, size_t *ret_bytes) MT_CHECKED;
/* Makes the blocks of a range really exist, so that a store to a mapping of it cannot SIGBUS. Falls back to writing
 * zeros where the file system has no fallocate. */
mt_status mt_os_preallocate(int fd, uint64_t offset, uint64_t bytes) MT_CHECKED;
/* Gives the blocks of a range back to the file system: it reads as zeros, the size stays. */
mt_status mt_os_punch(int fd, uint64_t offset, uint64_t bytes) MT_CHECKED;
mt_status mt_os_truncate(int fd, uint64_t bytes) MT_CHECKED;
mt_status mt_os_rename(const char *from, const char *to) MT_CHECKED;
mt_status mt_os_unlink(const char *path) MT_CHECKED;

/* The program is about to install a seccomp filter (struct sock_fprog; NULL: strict mode): from here on no system call is made
 * that it might kill for. Returns its place, for undo when the kernel has refused it. */
uint32_t mt_os_filter_add(const void *program);
void mt_os_filter_undo(uint32_t place);
/* Would that filter let us write to files? Asked before add. */
bool mt_os_filter_lets_write(const void *program);
bool mt_os_is_restricted(void);
/* How many filters are in force in the calling thread; 0 also where that cannot be known (a kernel before 5.9). Makes calls only
 * that the loader makes for every program. */
uint64_t mt_os_filter_count(void);
/* Of these, those that mt_os_filter_add was told of. */
uint64_t mt_os_filters_added(void);
/* Do the filters that are known let a program execute another, and the agent start in it? */
bool mt_os_filters_let_execute(void);
bool mt_os_filters_let_start(void);

/* Clocks are the kernel's own, whatever the program has put in front of libc's. */
uint64_t mt_os_monotonic_ns(void);        /* CLOCK_MONOTONIC, precise (reads the time stamp counter); coarse where calls are restricted */
uint64_t mt_os_cpu_ns(void); /* processor time of this process, all threads; 0 where it may not be asked. A system call */
uint64_t mt_os_thread_cpu_ns(void); /* the same of the calling thread */
uint64_t mt_os_monotonic_coarse_ns(void); /* CLOCK_MONOTONIC_COARSE, 1-4 ms steps, about 5 ns */
uint64_t mt_os_realtime_ns(void);
/* May the calling thread read the time stamp counter, or does that fault (prctl PR_SET_TSC, strict seccomp)? */
bool mt_os_tsc_is_allowed(void);
/* From here on clocks are read without it: precise ones by a system call. */
void mt_os_avoid_tsc(void);
bool mt_os_avoids_tsc(void); /* were we? No system call */
int mt_os_pid(void);
int mt_os_tid(void);
/* The process has no thread but the calling one, also none made by clone alone; false when that cannot be known. */
bool mt_os_has_one_thread(void);
/* The same of two, the first of which may have ended: it stays in the number as long as the process lives. */
bool mt_os_has_two_threads(void);
void mt_os_yield(void);
void mt_os_pause_ns(uint64_t ns); /* cut short by a signal; leaves a borrowed thread's interrupted call to be made again */
/* Asks the kernel for mt_os_try_barrier; takes milliseconds in a process that has several threads. False: it refuses. */
bool mt_os_prepare_barrier(void);
/* When it returns true, every thread of the process has passed a full memory barrier (membarrier). */
bool mt_os_try_barrier(void);
/* When it returns, every thread of the process has passed a full memory barrier (membarrier; where the kernel refuses, two
 * milliseconds, in which every store buffer drains). */
void mt_os_barrier_all_threads(void);
/* Name of the calling thread (prctl PR_GET_NAME), at most 15 bytes and NUL. */
void mt_os_thread_name(char ret_name[16]);
/* readlink; NUL-terminated; 0 on failure. */
size_t mt_os_readlink(const char *path, char *ret_text, size_t capacity);
/* 64 random bits for seeding (getrandom, else clock and address mix). */
uint64_t mt_os_random(void);

#endif
