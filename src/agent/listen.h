/* listen.h: an armed process: its sockets, and the one thread that waits at them. Internal to agent/.
 *
 * Decides: when the thread is there. It begins where the process is armed and ends before the program forks, enters namespaces or
 * restricts itself; afterwards it begins again (hook/parting.h). It is a thread of libc, so that setuid and fork see it, and the
 * process never waits for it at its end. A process that cannot have one is not armed, which nothing else depends on.
 * Context: [agent].
 */
#ifndef MT_AGENT_LISTEN_H
#define MT_AGENT_LISTEN_H

#include "agent/config.h"

/* Arms the process as the configuration says (MEMTAP_LISTEN); where that is empty or "0", does nothing. envp: where MEMTAP_TOKEN
 * and XDG_RUNTIME_DIR are. The configuration's `follow` says whether fork children are armed too. An armed process stays as it is. False: it
 * is not armed, or does not wait at the address that was asked for. */
bool mt_listen_arm(const struct mt_agent_config *config, char *const *envp, bool by_attach);
/* Ends that, if attach began it. On the thread of ours itself: when the present request is answered. */
void mt_listen_disarm(void);
/* At the end of the process: the socket in the file system goes away. */
void mt_listen_close(void);

#endif
