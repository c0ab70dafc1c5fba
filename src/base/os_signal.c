/* os_signal.c: a handler of ours for a signal that nobody has a use for; part of os.h.
 *
 * The C library is not asked: its sigaction may be the program's. The way back from a handler is a system call, which on x86-64
 * has to be given along; unwinders know it by its bytes.
 */
#include "base/os.h"

#include "base/rawcall.h"

#include <signal.h>
#include <sys/syscall.h>

enum { ACTION_RESTART = 0x10000000, ACTION_ON_STACK = 0x08000000, ACTION_RESTORER = 0x04000000, SIGSET_BYTES = 8 };

/* The kernel's struct sigaction. */
struct action {
    uint64_t handler; /* 0: the default */
    uint64_t flags;
    uint64_t restorer;
    uint64_t mask;
};

extern char mt_os_signal_return[] __attribute__((visibility("hidden")));
__asm__(".text\n"
        ".type mt_os_signal_return, @function\n"
        ".hidden mt_os_signal_return\n"
        ".globl mt_os_signal_return\n"
        "nop\n" /* who looks up a return address looks one byte before it */
        "mt_os_signal_return:\n"
        "mov $15, %rax\n" /* rt_sigreturn */
        "syscall\n"
        ".size mt_os_signal_return, .-mt_os_signal_return\n");

static bool ask(int number, const struct action *wanted, struct action *before)
{
    return mt_raw4(SYS_rt_sigaction, number, (long)wanted, (long)before, SIGSET_BYTES) == 0;
}

bool mt_os_signal_take(int number, void (*handler)(int number))
{
    struct action before = { 0 };
    const struct action ours = { .handler = (uint64_t)(uintptr_t)handler,
                                 .flags = ACTION_RESTART | ACTION_ON_STACK | ACTION_RESTORER,
                                 .restorer = (uint64_t)(uintptr_t)mt_os_signal_return };
    return ask(number, NULL, &before) && before.handler == 0 && ask(number, &ours, NULL);
}

bool mt_os_signal_is_taken(int number, void (*handler)(int number))
{
    struct action now = { 0 };
    return ask(number, NULL, &now) && now.handler == (uint64_t)(uintptr_t)handler;
}

bool mt_os_signals_hold(uint64_t *ret_before)
{
    enum { HOW_SET = 2 };
    static const uint8_t faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS };
    uint64_t all = UINT64_MAX;
    for (unsigned i = 0; i < sizeof faults; i++) {
        all &= ~((uint64_t)1 << (faults[i] - 1));
    }
    return mt_raw4(SYS_rt_sigprocmask, HOW_SET, (long)&all, (long)ret_before, SIGSET_BYTES) == 0;
}

void mt_os_signals_restore(uint64_t before)
{
    enum { HOW_SET = 2 };
    (void)mt_raw4(SYS_rt_sigprocmask, HOW_SET, (long)&before, 0, SIGSET_BYTES);
}

void mt_os_signals_let_libc(void)
{
    enum { HOW_UNBLOCK = 1, SIGNAL_CANCEL = 32, SIGNAL_SETXID = 33 };
    const uint64_t libc = (uint64_t)1 << (SIGNAL_CANCEL - 1) | (uint64_t)1 << (SIGNAL_SETXID - 1);
    (void)mt_raw4(SYS_rt_sigprocmask, HOW_UNBLOCK, (long)&libc, 0, SIGSET_BYTES);
}
