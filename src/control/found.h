/* found.h: which sockets of armed processes there are on this machine.
 *
 * Decides: where to look: the kernel's lists of abstract sockets, one a network namespace, and the folders $XDG_RUNTIME_DIR/memtap and /tmp/memtap-UID. What a
 * name says is only where to look first; who is there says the kernel (client.h). Files of dead processes are removed.
 * Context: [tool].
 */
#ifndef MT_CONTROL_FOUND_H
#define MT_CONTROL_FOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct mt_found {
    char *name; /* "@NAME" for an abstract one, "/path" for a file */
    pid_t near; /* a process in whose network that name is; 0: ours */
};
struct mt_found_list {
    struct mt_found *items;
    size_t count, capacity;
};
/* All of this machine, abstract ones first; those of other networks where they may be entered. */
void mt_found_sockets(struct mt_found_list *ret);
/* Those that may be a process's. */
void mt_found_of(pid_t pid, struct mt_found_list *ret);
void mt_found_clear(struct mt_found_list *list);
/* The process that such a name says, as it calls itself; 0: none. */
pid_t mt_found_pid(const char *name);
/* Nobody has been at this file for good: it refuses, and it is ours. */
void mt_found_remove_stale(const char *path);

#endif
