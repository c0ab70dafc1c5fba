/* safepoint.h: whether a stopped thread may be borrowed for a call of dlopen.
 *
 * Decides: it may hold no lock that dlopen, malloc or the agent will want, and its stack must be one on which a frame can be put.
 *   1 Blocked in a system call that is made with no such lock held (poll, epoll, accept, wait …): safe.
 *   2 Blocked in futex, a sleep or read: judged by its callers (chain.h). Safe if what the program called is a function that waits
 *     and holds nothing (pthread_cond_wait, sem_wait, nanosleep, read …), and no caller is in an allocator, the loader, fork or
 *     thread creation; not safe if one is. Where the callers do not tell: safe if no address of such a function is among the
 *     words of its innermost 512 bytes, where an old word makes a safe thread look unsafe, never the reverse.
 *   3 Running outside libc, loader and allocators: safe if no function is among its callers that calls the program with a lock held;
 *     callers are told by words on the stack.
 *   4 Within a signal handler, which may have interrupted anything: not safe.
 * Context: [tool].
 */
#ifndef MT_ATTACH_SAFEPOINT_H
#define MT_ATTACH_SAFEPOINT_H

#include "attach/hazards.h"
#include "attach/tables.h"
#include "attach/thread.h"

enum mt_safety {
    MT_SAFE,
    MT_UNSAFE_LOCKS,  /* rules 1 to 3 */
    MT_UNSAFE_SIGNAL, /* rule 4 */
    MT_UNSAFE_STACK,  /* on a stack that is not the thread's own (coroutines, Go) */
};

enum mt_safety mt_safepoint_judge(const struct mt_subject *subject, const struct mt_hazards *hazards, struct mt_tables *tables,
                                  const struct mt_thread *thread);
/* How good a candidate a thread is that has not been stopped, by the system call it is in: 0 is best; -1: it would not stop. */
int mt_safepoint_rank(pid_t process, pid_t tid);

#endif
