/* landing_code.c: see landing.h. Everything here but the last function runs in the target, on a page of its own: no constants in
 * memory, no calls out of the section but by pointers of the box, system calls only. Compiled without what a compiler adds (CMakeLists.txt).
 */
#include "attach/landing.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#define LANDING __attribute__((section("memtap_landing"), noinline, used))
#define HELPER static inline __attribute__((always_inline))

enum { FD_LEAST = 3, MFD_EXECUTABLE = 0x10 /* MFD_EXEC, Linux 6.3 */, KERNEL_MASK_BYTES = 8 };
enum { SAID_MAX = sizeof((struct mt_landing_box *)NULL)->said - 1 };
enum { ERESTARTSYS = 512, ERESTARTNOHAND = 514, ERESTART_RESTARTBLOCK = 516 }; /* the kernel's include/linux/errno.h */

/* The offsets the entry uses. */
static_assert(offsetof(struct mt_landing_box, blocked) == 8 && offsetof(struct mt_landing_box, stack_bytes) == 16 &&
                  offsetof(struct mt_landing_box, xsave_bytes) == 24 && offsetof(struct mt_landing_box, state) == 32 &&
                  offsetof(struct mt_landing_box, failure) == 36 && offsetof(struct mt_landing_box, control) == 40,
              "as in the assembly below");
static_assert(sizeof(struct mt_landing_frame) == 144 && MT_LANDING_NO_STACK == 1 && MT_LANDING_FREE == 0, "as in the assembly below");

/* rbx: the box, rsp: the frame. rbp keeps the frame, r12 the detour's stack, r13 the saved state; the thread's own registers are in
 * the frame. munmap leaves vector registers alone. The last signal mask lets pending signals in, on the thread's own stack. */
__asm__(".pushsection memtap_landing,\"ax\",@progbits\n"
        ".balign 16\n"
        ".globl mt_landing_entry\n"
        ".hidden mt_landing_entry\n"
        "mt_landing_entry:\n"
        "    mov $14, %eax\n" /* rt_sigprocmask(SIG_SETMASK, &box->blocked, &frame->signal_mask, 8) */
        "    mov $2, %edi\n"
        "    lea 8(%rbx), %rsi\n"
        "    mov %rsp, %rdx\n"
        "    mov $8, %r10d\n"
        "    syscall\n"
        "    mov $9, %eax\n" /* mmap(NULL, stack_bytes, READ|WRITE, PRIVATE|ANONYMOUS|NORESERVE|STACK, -1, 0) */
        "    xor %edi, %edi\n"
        "    mov 16(%rbx), %rsi\n"
        "    mov $3, %edx\n"
        "    mov $0x24022, %r10d\n"
        "    mov $-1, %r8\n"
        "    xor %r9d, %r9d\n"
        "    syscall\n"
        "    cmp $-4095, %rax\n"
        "    jae 1f\n"
        "    mov %rsp, %rbp\n"
        "    mov %rax, %r12\n"
        "    lea (%rax,%rsi), %rsp\n"
        "    sub 24(%rbx), %rsp\n"
        "    and $-64, %rsp\n"
        "    mov %rsp, %r13\n"
        "    mov $-1, %eax\n"
        "    mov $-1, %edx\n"
        "    xsave64 (%r13)\n" /* fresh pages: its header is zero, as it must be */
        "    cld\n"
        "    fninit\n"
        "    ldmxcsr 40(%rbx)\n"
        "    mov %rbx, %rdi\n"
        "    mov %rbp, %rsi\n"
        "    call mt_landing_run\n"
        "    mov $-1, %eax\n"
        "    mov $-1, %edx\n"
        "    xrstor64 (%r13)\n"
        "    mov %rbp, %rsp\n"
        "    mov $11, %eax\n" /* munmap */
        "    mov %r12, %rdi\n"
        "    mov 16(%rbx), %rsi\n"
        "    syscall\n"
        "    jmp 2f\n"
        "1:  movl $1, 36(%rbx)\n"
        "2:  movl $0, 32(%rbx)\n"
        "    mov $14, %eax\n"
        "    mov $2, %edi\n"
        "    mov %rsp, %rsi\n"
        "    xor %edx, %edx\n"
        "    mov $8, %r10d\n"
        "    syscall\n"
        "    add $8, %rsp\n"
        "    pop %r15\n"
        "    pop %r14\n"
        "    pop %r13\n"
        "    pop %r12\n"
        "    pop %rbp\n"
        "    pop %rbx\n"
        "    pop %r11\n"
        "    pop %r10\n"
        "    pop %r9\n"
        "    pop %r8\n"
        "    pop %rcx\n"
        "    pop %rdx\n"
        "    pop %rsi\n"
        "    pop %rdi\n"
        "    pop %rax\n"
        "    popfq\n"
        "    ret $128\n"
        ".popsection\n");

HELPER long call(long number, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = 0;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
    return result;
}

HELPER uint64_t now_ns(void)
{
    struct timespec now;
    (void)call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0, 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

HELPER void fail(struct mt_landing_box *box, enum mt_landing_failure failure, long result)
{
    box->failure = failure;
    box->error = (int32_t)-result;
}

/* A descriptor that is none of 0, 1, 2: what a program that has closed those still prints must not reach the file. */
HELPER long make_file(const struct mt_landing_box *box)
{
    long fd = call(SYS_memfd_create, (long)box->name, MFD_CLOEXEC | MFD_EXECUTABLE, 0, 0);
    if (fd == -EINVAL) {
        fd = call(SYS_memfd_create, (long)box->name, MFD_CLOEXEC, 0, 0);
    }
    if (fd < 0 || fd >= FD_LEAST) {
        return fd;
    }
    long above = call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, FD_LEAST, 0);
    (void)call(SYS_close, fd, 0, 0, 0);
    return above;
}

HELPER bool is_memtap_gone(const struct mt_landing_box *box)
{
    return box->memtap != 0 && call(SYS_kill, (long)box->memtap, 0, 0, 0) == -ESRCH;
}

/* ppoll, because a sleep would replace what the kernel remembers of the interrupted system call (its restart block). */
HELPER bool wait_for_memtap(struct mt_landing_box *box)
{
    uint64_t start = now_ns();
    while (__atomic_load_n(&box->go, __ATOMIC_ACQUIRE) == 0) {
        struct timespec pause = { 0, 100000 };
        if (is_memtap_gone(box) || now_ns() - start > box->patience_ns) {
            return false;
        }
        (void)call(SYS_ppoll, 0, 0, (long)&pause, 0);
    }
    return true;
}

HELPER void add_number(char *text, long number)
{
    char digits[24];
    size_t count = 0, end = 0;
    while (text[end] != '\0') {
        end++;
    }
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    while (count > 0) {
        text[end++] = digits[--count];
    }
    text[end] = '\0';
}

HELPER void keep_words(struct mt_landing_box *box)
{
    const char *text = box->why != NULL ? box->why() : NULL;
    size_t i = 0;
    for (; text != NULL && i < SAID_MAX && text[i] != '\0'; i++) {
        box->said[i] = text[i];
    }
    box->said[i] = '\0';
}

HELPER void open_agent(struct mt_landing_box *box)
{
    __atomic_store_n(&box->state, MT_LANDING_LOADS, __ATOMIC_RELEASE);
    void *handle = box->open(box->path, box->dlopen_flags);
    if (handle == NULL) {
        fail(box, MT_LANDING_NO_DLOPEN, 0);
        keep_words(box);
        return;
    }
    union {
        void *object;
        memtap_agent_api_function function;
    } found = { box->find(handle, box->symbol) };
    box->agent = found.function;
}

HELPER void load(struct mt_landing_box *box)
{
    if (box->whole_path) {
        open_agent(box);
        return;
    }
    long fd = make_file(box);
    if (fd < 0) {
        fail(box, MT_LANDING_NO_MEMFD, fd);
        return;
    }
    box->fd = (int32_t)fd;
    __atomic_store_n(&box->state, MT_LANDING_WANTS_FILE, __ATOMIC_RELEASE);
    if (wait_for_memtap(box)) {
        add_number(box->path, fd);
        open_agent(box);
    } else {
        fail(box, MT_LANDING_NOBODY, 0);
    }
    (void)call(SYS_close, fd, 0, 0, 0);
}

HELPER void ask_agent(struct mt_landing_box *box)
{
    const struct memtap_agent_api *api = box->agent != NULL ? box->agent() : NULL;
    if (api == NULL || api->struct_bytes < offsetof(struct memtap_agent_api, detach) + sizeof api->detach) {
        if (box->failure == MT_LANDING_OK) {
            fail(box, MT_LANDING_NO_AGENT, 0);
        }
        return;
    }
    __atomic_store_n(&box->state, MT_LANDING_LOADS, __ATOMIC_RELEASE);
    box->code = box->task == MT_LANDING_ATTACH ? api->attach(box->settings) : api->detach();
    box->result.struct_bytes = sizeof box->result;
    (void)api->state(&box->result);
}

struct kernel_action {
    uint64_t handler, flags, restorer, mask;
};

/* A signal that came meanwhile and has a handler ends an interrupted call as the kernel would have ended it. */
HELPER bool ends_call(const struct mt_landing_box *box, int signal)
{
    struct kernel_action action;
    if (call(SYS_rt_sigaction, signal, 0, (long)&action, KERNEL_MASK_BYTES) != 0 || action.handler <= 1) {
        return false;
    }
    return box->interrupted == -EINTR || box->interrupted == -ERESTARTNOHAND || box->interrupted == -ERESTART_RESTARTBLOCK ||
           (box->interrupted == -ERESTARTSYS && (action.flags & SA_RESTART) == 0);
}

HELPER void settle_call(const struct mt_landing_box *box, struct mt_landing_frame *frame)
{
    uint64_t pending = 0;
    if (box->interrupted == 0 || call(SYS_rt_sigpending, (long)&pending, KERNEL_MASK_BYTES, 0, 0) != 0) {
        return;
    }
    pending &= ~frame->signal_mask;
    for (int signal = 1; signal <= 64; signal++) {
        if ((pending >> (signal - 1) & 1) != 0 && ends_call(box, signal)) {
            frame->rax = (uint64_t)-EINTR;
            frame->rip = box->behind_call;
            return;
        }
    }
}

LANDING void mt_landing_run(struct mt_landing_box *box, struct mt_landing_frame *frame);
LANDING void mt_landing_run(struct mt_landing_box *box, struct mt_landing_frame *frame)
{
    int *error = box->errno_location();
    int before = *error;
    if (box->agent == NULL) {
        load(box);
    }
    ask_agent(box);
    *error = before;
    settle_call(box, frame);
}

/* ---- in memtap ------------------------------------------------------------------------------------------------------ */

extern const char mt_landing_entry[] MT_HIDDEN;
extern const char __start_memtap_landing[] MT_HIDDEN;
extern const char __stop_memtap_landing[] MT_HIDDEN;

const void *mt_landing_code(size_t *ret_bytes, size_t *ret_entry)
{
    *ret_bytes = (size_t)(__stop_memtap_landing - __start_memtap_landing);
    *ret_entry = (size_t)(mt_landing_entry - __start_memtap_landing);
    return __start_memtap_landing;
}
