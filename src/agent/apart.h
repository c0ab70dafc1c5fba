/* apart.h: requests that take long: each on a thread of its own, which owns the connection. Internal to agent/.
 *
 * Decides: how many there may be at a time, and that a client who does not read for ten seconds gets no more. Context: the thread of
 * listen.c.
 */
#ifndef MT_AGENT_APART_H
#define MT_AGENT_APART_H

#include "agent/asked.h"

/* True: fd and the payload (mapped) belong to a thread that answers. False: *ret_status says why not. */
bool mt_apart_eval(const struct mt_asked *asked, int fd, size_t mapped, enum mt_control_status *ret_status);
/* Those of the parent. Context: a fork child. */
void mt_apart_forget(void);

#endif
