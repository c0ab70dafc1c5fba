/* safepoint.c: see safepoint.h. */
#include "attach/safepoint.h"

#include "attach/chain.h"
#include "util/memory.h"
#include "util/process.h"

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

/* ---- its callers ---------------------------------------------------------------------------------------------------- */

enum { BASE_FRAMES = 3 }; /* what a thread begins in: clone, start_thread, and the agent's own beginning of it */

/* The objects that the tables are copies of are still those: what the thread is in cannot go while it is stopped. */
static bool is_current(const struct mt_subject *subject, const struct mt_chain *chain)
{
    const struct mt_object *last = NULL;
    bool good = true;
    for (size_t i = 0; good && i < chain->count; i++) {
        const struct mt_object *object = mt_objects_at(&subject->objects, chain->addresses[i]);
        good = object != NULL && (object == last || mt_object_is_there(&subject->remote, object));
        last = object;
    }
    return good;
}

static bool is_of_libc(const struct mt_subject *subject, uint64_t address)
{
    const struct mt_object *object = mt_objects_at(&subject->objects, address);
    return object != NULL && (object == subject->libc || strcmp(object->soname, "libpthread.so.0") == 0);
}

/* May a function of this kind be among the callers of one that waits? */
static bool forbids(enum mt_hazard hazard, bool is_base)
{
    switch (hazard) {
    case MT_HAZARD_THREADS:
    case MT_HAZARD_OWN:
        return !is_base;
    case MT_HAZARD_LOADER:
    case MT_HAZARD_ALLOCATOR:
    case MT_HAZARD_FORK:
    case MT_HAZARD_CALLS_OUT:
        return true;
    case MT_HAZARD_NONE:
    case MT_HAZARD_LIBC:
    case MT_HAZARD_KERNEL:
    default:
        return false;
    }
}

/* The last of the innermost functions of libc, one behind it is the program's. */
static bool is_known_wait(const struct mt_subject *subject, const struct mt_hazards *hazards, struct mt_tables *tables,
                          const struct mt_chain *chain, size_t inner)
{
    uint64_t start = 0;
    if (inner == 0) {
        return true; /* the program made the call itself */
    }
    if (inner == chain->count) {
        return false; /* there is no program */
    }
    return (mt_tables_start(tables, chain->addresses[inner - 1], &start) == MT_OK && mt_hazard_is_wait(hazards, start)) ||
           mt_hazard_is_wait(hazards, mt_chain_called(&subject->remote, chain->addresses[inner] + 1));
}

enum opinion { SAYS_NOTHING, SAYS_SAFE, SAYS_UNSAFE };

/* Of a whole chain. A function of libc that waits may share a source file, as far as is known, with those that make threads. */
static enum opinion opinion_of(const struct mt_subject *subject, const struct mt_hazards *hazards, struct mt_tables *tables,
                               const struct mt_chain *chain)
{
    size_t inner = 0;
    while (inner < chain->count && is_of_libc(subject, chain->addresses[inner])) {
        inner++;
    }
    bool is_wait = is_known_wait(subject, hazards, tables, chain, inner);
    for (size_t i = 0; i < chain->count; i++) {
        bool is_base = (i > 0 && i + BASE_FRAMES >= chain->count) || (is_wait && i < inner);
        if (forbids(mt_hazard_of(hazards, chain->addresses[i]), is_base)) {
            return SAYS_UNSAFE;
        }
    }
    return is_wait && !hazards->program_is_allocator ? SAYS_SAFE : SAYS_NOTHING;
}

/* ---- judgement ------------------------------------------------------------------------------------------------------ */

struct judge {
    const struct mt_subject *subject;
    const struct mt_hazards *hazards;
    struct mt_tables *tables;
    const struct mt_thread *thread;
    struct stack stack;
    struct mt_chain chain;
    bool has_chain; /* whole, and of the objects that are there */
};

static void read_chain(struct judge *j)
{
    const struct mt_mapping *mapping = mt_mappings_at(&j->subject->mappings, j->thread->registers.rsp);
    mt_chain_read(j->tables, &j->thread->registers, j->hazards->signal_return, mapping->high, &j->chain);
    j->has_chain = j->chain.is_whole && is_current(j->subject, &j->chain);
}

/* In futex, a sleep or read. */
static bool waits_without_lock(struct judge *j)
{
    read_chain(j);
    switch (j->has_chain ? opinion_of(j->subject, j->hazards, j->tables, &j->chain) : SAYS_NOTHING) {
    case SAYS_SAFE:
        return true;
    case SAYS_UNSAFE:
        return false;
    case SAYS_NOTHING:
    default:
        return mt_hazard_of(j->hazards, j->thread->registers.rip) != MT_HAZARD_THREADS &&
               !is_near_lock(j->hazards, &j->stack, j->thread->tid == j->thread->process);
    }
}

static bool holds_no_lock(struct judge *j)
{
    uint64_t number;
    int64_t outcome;
    const struct mt_hazards *hazards = j->hazards;
    enum mt_hazard hazard = mt_hazard_of(hazards, j->thread->registers.rip);
    if (hazard == MT_HAZARD_OWN) {
        return false;
    }
    if (mt_thread_was_in_call(&j->thread->registers, &number, &outcome)) {
        bool may_wait = hazard == MT_HAZARD_LIBC || hazard == MT_HAZARD_NONE || hazard == MT_HAZARD_FORK || /* the name before fork's */
                        hazard == MT_HAZARD_THREADS; /* what futexes are waited for in lies among those */
        if (IS_AMONG(number, lock_waits)) {
            return may_wait && waits_without_lock(j);
        }
        return may_wait && hazard != MT_HAZARD_THREADS && IS_AMONG(number, waits);
    }
    return hazard == MT_HAZARD_NONE && (int64_t)j->thread->registers.orig_rax < 0 && !hazards->program_is_allocator &&
           !has_word_of(hazards, &j->stack, SCAN_BYTES, MT_HAZARD_CALLS_OUT) && !has_word_of(hazards, &j->stack, SCAN_BYTES, MT_HAZARD_FORK);
}

/* An old word is no handler, where the callers say so. */
static bool is_in_handler(struct judge *j)
{
    uint64_t number;
    int64_t outcome;
    if (!has_word(&j->stack, j->hazards->signal_return)) {
        return j->chain.in_handler;
    }
    if (j->chain.count == 0 && mt_thread_was_in_call(&j->thread->registers, &number, &outcome)) {
        read_chain(j);
    }
    return !j->has_chain;
}

enum mt_safety mt_safepoint_judge(const struct mt_subject *subject, const struct mt_hazards *hazards, struct mt_tables *tables,
                                  const struct mt_thread *thread)
{
    struct judge j = { .subject = subject, .hazards = hazards, .tables = tables, .thread = thread };
    if (!is_own_stack(subject, thread)) {
        return MT_UNSAFE_STACK;
    }
    read_stack(subject, thread, &j.stack);
    bool no_lock = holds_no_lock(&j);
    enum mt_safety safety = is_in_handler(&j) ? MT_UNSAFE_SIGNAL : no_lock ? MT_SAFE : MT_UNSAFE_LOCKS;
    free(j.stack.words);
    mt_chain_clear(&j.chain);
    return safety;
}

int mt_safepoint_rank(pid_t process, pid_t tid)
{
    char path[64];
    long number = -1;
    struct mt_process_stat now;
    if (!mt_process_stat_read(process, tid, &now) || strchr("DZX", now.state) != NULL) {
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
