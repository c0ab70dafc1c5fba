/* safepoint.c: see safepoint.h. */
#include "attach/safepoint.h"

#include "util/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

enum { NEAR_BYTES = 512, SCAN_BYTES = 64 << 10, BELOW_BYTES = 4096 };
enum { RANK_BLOCKED = 0, RANK_INTERRUPTIBLE = 1, RANK_FUTEX = 2, RANK_RUNNING = 3, RANK_OTHER_CALL = 4 };

/* ---- system calls --------------------------------------------------------------------------------------------------- */

/* Those that a thread waits in with nothing held, and that the kernel restarts by itself when we interrupt them. */
static const int waits[] = { SYS_poll,   SYS_ppoll,   SYS_select,       SYS_pselect6,      SYS_accept,          SYS_accept4,   SYS_wait4,
                             SYS_waitid, SYS_pause,   SYS_rt_sigsuspend, SYS_rt_sigtimedwait, SYS_connect,
                             SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg,   SYS_epoll_wait,    SYS_epoll_pwait,     441 /* epoll_pwait2 */ };
/* Of these, those that say EINTR: rather another thread. */
static const int interruptible[] = { SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg, SYS_rt_sigtimedwait, SYS_epoll_wait, SYS_epoll_pwait, 441, SYS_connect };
/* Those that an allocator's or the loader's lock may wait with; restart_syscall is any of them, or poll, interrupted before. */
static const int lock_waits[] = { SYS_futex, SYS_read, SYS_nanosleep, SYS_clock_nanosleep, SYS_restart_syscall };

static bool is_among(uint64_t number, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if ((uint64_t)calls[i] == number) {
            return true;
        }
    }
    return false;
}
#define IS_AMONG(number, calls) is_among(number, calls, sizeof(calls) / sizeof *(calls))

/* ---- the stack ------------------------------------------------------------------------------------------------------ */

struct stack {
    uint64_t *words;
    size_t count;
};

static size_t words_of(const struct stack *stack, size_t bytes)
{
    return bytes / 8 < stack->count ? bytes / 8 : stack->count;
}

static bool has_word_of(const struct mt_hazards *hazards, const struct stack *stack, size_t bytes, enum mt_hazard hazard)
{
    for (size_t i = 0; i < words_of(stack, bytes); i++) {
        if (mt_hazard_of(hazards, stack->words[i]) == hazard) {
            return true;
        }
    }
    return false;
}

static bool has_word(const struct stack *stack, uint64_t word)
{
    for (size_t i = 0; i < stack->count; i++) {
        if (stack->words[i] == word) {
            return true;
        }
    }
    return false;
}

/* Every thread but the first was begun by a function of this kind, so one such word is as it should be. */
static bool makes_a_thread(const struct mt_hazards *hazards, const struct stack *stack, bool is_first)
{
    size_t found = is_first ? 1 : 0;
    if (!has_word_of(hazards, stack, NEAR_BYTES, MT_HAZARD_THREADS)) {
        return false;
    }
    for (size_t i = 0; i < stack->count; i++) {
        found += mt_hazard_of(hazards, stack->words[i]) == MT_HAZARD_THREADS;
    }
    return found > 1;
}

static bool is_near_lock(const struct mt_hazards *hazards, const struct stack *stack, bool is_first)
{
    return has_word_of(hazards, stack, NEAR_BYTES, MT_HAZARD_ALLOCATOR) || has_word_of(hazards, stack, NEAR_BYTES, MT_HAZARD_LOADER) ||
           has_word_of(hazards, stack, NEAR_BYTES, MT_HAZARD_FORK) || makes_a_thread(hazards, stack, is_first);
}

/* The first thread's is named; those of others hold, at their top, what fs points to. Room below for a frame, too. */
static bool is_own_stack(const struct mt_subject *subject, const struct mt_thread *thread)
{
    uint64_t rsp = thread->registers.rsp, tcb = thread->registers.fs_base;
    const struct mt_mapping *mapping = mt_mappings_at(&subject->mappings, rsp);
    if (mapping == NULL || !mapping->writable || rsp - mapping->low < BELOW_BYTES) {
        return false;
    }
    return strcmp(mapping->path, "[stack]") == 0 || (tcb > rsp && tcb < mapping->high);
}

static void read_stack(const struct mt_subject *subject, const struct mt_thread *thread, struct stack *ret)
{
    uint64_t rsp = thread->registers.rsp & ~(uint64_t)7;
    const struct mt_mapping *mapping = mt_mappings_at(&subject->mappings, rsp);
    uint64_t room = mapping->high - rsp;
    size_t bytes = room < SCAN_BYTES ? (size_t)room : SCAN_BYTES;
    ret->words = mt_alloc(bytes);
    ret->count = mt_remote_read_some(&subject->remote, rsp, ret->words, bytes) / 8;
}

/* ---- judgement ------------------------------------------------------------------------------------------------------ */

static bool holds_no_lock(const struct mt_hazards *hazards, const struct mt_thread *thread, const struct stack *stack)
{
    uint64_t number;
    int64_t outcome;
    bool is_first = thread->tid == thread->process;
    enum mt_hazard hazard = mt_hazard_of(hazards, thread->registers.rip);
    if (hazard == MT_HAZARD_OWN) {
        return false;
    }
    if (mt_thread_was_in_call(&thread->registers, &number, &outcome)) {
        bool may_wait = hazard == MT_HAZARD_LIBC || hazard == MT_HAZARD_NONE || hazard == MT_HAZARD_FORK; /* the name before fork's */
        if (IS_AMONG(number, lock_waits)) {
            return may_wait && !is_near_lock(hazards, stack, is_first);
        }
        return may_wait && IS_AMONG(number, waits);
    }
    return hazard == MT_HAZARD_NONE && (int64_t)thread->registers.orig_rax < 0 && !hazards->program_is_allocator &&
           !has_word_of(hazards, stack, SCAN_BYTES, MT_HAZARD_CALLS_OUT) && !has_word_of(hazards, stack, SCAN_BYTES, MT_HAZARD_FORK);
}

enum mt_safety mt_safepoint_judge(const struct mt_subject *subject, const struct mt_hazards *hazards, const struct mt_thread *thread)
{
    struct stack stack;
    if (!is_own_stack(subject, thread)) {
        return MT_UNSAFE_STACK;
    }
    read_stack(subject, thread, &stack);
    enum mt_safety safety = has_word(&stack, hazards->signal_return)        ? MT_UNSAFE_SIGNAL
                            : !holds_no_lock(hazards, thread, &stack) ? MT_UNSAFE_LOCKS
                                                                     : MT_SAFE;
    free(stack.words);
    return safety;
}

/* State of a thread as /proc says; 0: it is gone. */
static char state_of(pid_t process, pid_t tid)
{
    char path[64], text[512] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)process, (int)tid);
    FILE *file = fopen(path, "re");
    bool got = file != NULL && fgets(text, sizeof text, file) != NULL;
    if (file != NULL) {
        (void)fclose(file);
    }
    const char *end = got ? strrchr(text, ')') : NULL; /* its name may hold anything */
    return end != NULL && end[1] == ' ' ? end[2] : 0;
}

int mt_safepoint_rank(pid_t process, pid_t tid)
{
    char path[64];
    long number = -1;
    char state = state_of(process, tid);
    if (state == 'D' || state == 'Z' || state == 'X' || state == 0) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/syscall", (int)process, (int)tid);
    FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "%ld", &number) != 1) {
        number = -1;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (number < 0) {
        return RANK_RUNNING;
    }
    return IS_AMONG((uint64_t)number, interruptible) ? RANK_INTERRUPTIBLE
           : IS_AMONG((uint64_t)number, waits)       ? RANK_BLOCKED
           : IS_AMONG((uint64_t)number, lock_waits)  ? RANK_FUTEX
                                                     : RANK_OTHER_CALL;
}
