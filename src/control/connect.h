/* connect.h: sockets of the tool's side. Internal to control/. Context: [tool]. */
#ifndef MT_CONTROL_CONNECT_H
#define MT_CONTROL_CONNECT_H

#include "util/error.h"

#include <stdint.h>
#include <sys/types.h>

/* "@NAME", in the network of a process (0: ours), or "/path". *ret_pid: who made it, by the kernel; 0: it cannot be seen from here. MT_E_NOENT: nobody is there. MT_E_PERM: it may not
 * be entered, or belongs to a user whom one should not talk to. */
mt_status mt_connect_local(const char *name, pid_t near, int *ret_fd, pid_t *ret_pid) MT_CHECKED;
mt_status mt_connect_host(const char *host, const char *port, uint64_t timeout_ns, int *ret_fd, struct mt_error *err) MT_CHECKED;

#endif
