/* parting.h: calls before which a process must have no thread of ours, and what comes after them.
 *
 * Decides: which calls those are. fork, because who forks counts threads (Python warns when there is more than one) and the child has
 * none of them; unshare and setns, which the kernel refuses a process with threads; a seccomp filter, which may kill for what our
 * thread does. The hooks stand around the whole call, outside the handlers of pthread_atfork, under which other allocators hold their
 * locks. In a process without such a thread they are two loads and a jump. Context: [hook].
 */
#ifndef MT_HOOK_PARTING_H
#define MT_HOOK_PARTING_H

#include "base/atomic.h"
#include "hook/table.h"

enum mt_parting {
    MT_PARTED_PARENT,     /* the process goes on as it was: after fork in the parent, after the other calls */
    MT_PARTED_CHILD,      /* this is a fork child */
    MT_PARTED_RESTRICTED, /* a seccomp filter is in force */
};

struct mt_parting_watch {
    bool (*before)(void); /* what it returns is `counted` afterwards */
    void (*after)(enum mt_parting how, bool counted);
    void (*in_child)(void); /* also where libc forks by itself, without the hooks: first of all there */
};

/* watch: kept; once. Context: [agent] start. */
void mt_parting_watch(const struct mt_parting_watch *watch);
extern const struct mt_parting_watch *mt_g_parting MT_HIDDEN; /* NULL: nobody watches. Pairing H4: release store, acquire load */

MT_INLINE bool mt_parting_matters(void)
{
    return MT_UNLIKELY(mt_load_acquire(&mt_g_parting) != NULL);
}

void mt_parting_in_child(void);
bool mt_parting_before_filter(void);
void mt_parting_after_filter(bool installed, bool counted);
MT_COLD int mt_parting_fork(const struct mt_originals *real);
MT_COLD int mt_parting_forkpty(int *ret_terminal, char *name, const void *settings, const void *size, const struct mt_originals *real);
MT_COLD int mt_parting_daemon(int stay, int keep, const struct mt_originals *real);
MT_COLD int mt_parting_unshare(int flags, const struct mt_originals *real);
MT_COLD int mt_parting_setns(int fd, int kind, const struct mt_originals *real);

#endif
