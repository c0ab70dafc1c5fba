/* thread.h: one thread of another process, stopped for a moment.
 *
 * Decides: PTRACE_SEIZE and PTRACE_INTERRUPT, one thread at a time, so that the holder of a lock can go on; a signal that arrives
 * meanwhile is handed on; a thread that is let go is as it was, and a system call that only our interruption has ended is made
 * again. No option that ends the target with us is ever set. Context: [tool], SIGCHLD blocked.
 */
#ifndef MT_ATTACH_THREAD_H
#define MT_ATTACH_THREAD_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

struct mt_thread {
    pid_t process, tid;
    struct user_regs_struct registers; /* as it was stopped */
    /* It was not stopped before that (CLOCK_MONOTONIC): the last time it was seen running. And how long it was before it last ran. */
    uint64_t since_ns, before_ns;
    bool stopped_by_signal; /* the whole process is (state T) */
};

enum mt_thread_answer {
    MT_THREAD_STOPPED,
    MT_THREAD_GONE,    /* it has ended, or the whole process has */
    MT_THREAD_DENIED,  /* the kernel does not let us */
    MT_THREAD_TRACED,  /* somebody else came first */
    MT_THREAD_NO_STOP, /* it sleeps where nothing wakes it (state D); it is let go when we end */
};

/* Has it stop and reads its registers; waits for that patience_ns at most. */
enum mt_thread_answer mt_thread_stop(pid_t process, pid_t tid, uint64_t patience_ns, struct mt_thread *ret) MT_CHECKED;
/* Lets a stopped thread go on as it was. */
void mt_thread_let_go(struct mt_thread *thread);
/* How long it has been stopped by now, in all; never less than it was. */
uint64_t mt_thread_stopped_ns(const struct mt_thread *thread);
/* Lets it go on with other registers; keep: stays its tracer (mt_thread_hand_on then). False: it has ended. */
bool mt_thread_send(struct mt_thread *thread, const struct user_regs_struct *registers, bool keep) MT_CHECKED;
/* A kept thread that runs: hands on the signals it has stopped for. False: it has ended. */
bool mt_thread_hand_on(const struct mt_thread *thread) MT_CHECKED;

/* Stops being the tracer of one that was kept. */
void mt_thread_release(struct mt_thread *thread);

/* Gives a thread that is stopped behind a call of ours, or still where it was, the registers it had. False: it has ended. */
bool mt_thread_restore(struct mt_thread *thread) MT_CHECKED;
/* Makes one system call in a stopped thread. registers: rip at a syscall instruction. The thread is stopped behind it afterwards with
 * *ret_result; false: something else came first, and it has been let go as it was. */
bool mt_thread_call(struct mt_thread *thread, const struct user_regs_struct *registers, uint64_t patience_ns, int64_t *ret_result) MT_CHECKED;
bool mt_thread_signal_mask(const struct mt_thread *thread, uint64_t *ret_mask) MT_CHECKED;
/* All processor state beyond the general registers in XSAVE's standard format. Returns its bytes, 0: it cannot be had. */
size_t mt_thread_vector_state(const struct mt_thread *thread, void *ret, size_t capacity);

/* The system call a stopped thread was in: its number, and what the kernel was about to return: -EINTR or -ERESTART…. False: it was
 * in none, or has its result. */
bool mt_thread_was_in_call(const struct user_regs_struct *registers, uint64_t *ret_number, int64_t *ret_outcome);
/* Registers with which that call is made again: as the kernel would for this outcome, or anew for any other. */
void mt_thread_make_again(struct user_regs_struct *registers, int64_t outcome);
/* Is a signal waiting that the thread does not block? Then the end of its call is that signal's. */
bool mt_thread_has_signal(pid_t process, pid_t tid);

#endif
