/* found.h: which sockets of armed processes there are on this machine.
 *
 * Decides: where to look: the kernel's list of abstract sockets, and the folders $XDG_RUNTIME_DIR/memtap and /tmp/memtap-UID. What a
 * name says is only where to look first; who is there says the kernel (client.h). Files of dead processes are removed.
 * Context: [tool].
 */
#ifndef MT_CONTROL_FOUND_H
#define MT_CONTROL_FOUND_H

#include "util/strlist.h"

#include <stdbool.h>
#include <sys/types.h>

/* Appends "@NAME" for abstract ones and "/path" for files, abstract ones first. */
void mt_found_sockets(struct mt_strlist *ret);
/* The process that such a name says; 0: none. */
pid_t mt_found_pid(const char *name);
/* Nobody has been at this file for good: it refuses, and it is ours. */
void mt_found_remove_stale(const char *path);

#endif
