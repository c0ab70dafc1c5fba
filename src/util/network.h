/* network.h: sockets of the kernel's own kind in the network of another process.
 *
 * Decides: abstract names are looked up in the network namespace in which a socket was made. A container has one of its own, and whoever may
 * enter it (CAP_SYS_ADMIN) talks to its processes as to any other: a thread goes there, makes the socket and ends. Context: [tool].
 */
#ifndef MT_UTIL_NETWORK_H
#define MT_UTIL_NETWORK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Which network a process is in; 0: it may not be asked. */
uint64_t mt_network_of(pid_t pid);
/* Is it one that is not ours? */
bool mt_network_is_other(pid_t pid);
/* socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK) in the network of pid (0: ours); -1, and errno: it cannot be entered. */
int mt_network_socket(pid_t pid, int type);

#endif
