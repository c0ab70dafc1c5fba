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

/* Arms the process as the configuration says (MEMTAP_LISTEN), once; where it is empty or "0", does nothing. envp: where MEMTAP_TOKEN
 * and XDG_RUNTIME_DIR are. The configuration's `follow` says whether fork children are armed too. */
void mt_listen_arm(const struct mt_agent_config *config, char *const *envp);
/* At the end of the process: the socket in the file system goes away. */
void mt_listen_close(void);
/* Is there something that waits? */
bool mt_listen_is_armed(void);

#endif
