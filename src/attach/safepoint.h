/* safepoint.h: whether a stopped thread may be borrowed for a call of dlopen.
 *
 * Decides: it may hold no lock that dlopen, malloc or the agent will want, and its stack must be one on which a frame can be put.
 *   1 Blocked in a system call that is made with no such lock held (poll, epoll, accept, wait …): safe.
 *   2 Blocked in futex, a sleep or read: safe if no function of an allocator, the loader, fork or thread creation is among its inner callers.
 *   3 Running outside libc, loader and allocators: safe if no function is among its callers that calls the program with a lock held.
 *   4 Within a signal handler, which may have interrupted anything: not safe.
 * Callers are told by words on the stack that are addresses of such functions: an old word makes a safe thread look unsafe, never
 * the reverse. Context: [tool].
 */
#ifndef MT_ATTACH_SAFEPOINT_H
#define MT_ATTACH_SAFEPOINT_H

#include "attach/hazards.h"
#include "attach/thread.h"

enum mt_safety {
    MT_SAFE,
    MT_UNSAFE_LOCKS,  /* rules 1 to 3 */
    MT_UNSAFE_SIGNAL, /* rule 4 */
    MT_UNSAFE_STACK,  /* on a stack that is not the thread's own (coroutines, Go) */
};

enum mt_safety mt_safepoint_judge(const struct mt_subject *subject, const struct mt_hazards *hazards, const struct mt_thread *thread);
/* How good a candidate a thread is that has not been stopped, by the system call it is in: 0 is best; -1: it would not stop. */
int mt_safepoint_rank(pid_t process, pid_t tid);

#endif
