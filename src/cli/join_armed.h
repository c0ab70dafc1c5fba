/* join_armed.h: the same as an injection, by the socket of a process that is armed. Internal to cli/. Context: [tool]. */
#ifndef MT_CLI_JOIN_ARMED_H
#define MT_CLI_JOIN_ARMED_H

#include "attach/inject.h"
#include "control/client.h"

/* Is the process armed, and able to answer? Then the connection is open. One that is stopped cannot. */
bool mt_join_reach_armed(pid_t pid, struct mt_client *ret);
/* how->task ATTACH: begins with how->settings, and calls how->meanwhile; DETACH: ends what attach began, and disarms what it armed. No
 * thread is stopped for it: ret's times are 0. MT_E_BUSY: no answer in how->timeout_ns. */
mt_status mt_join_armed(struct mt_client *armed, const struct mt_injection *how, struct mt_injected *ret, struct mt_error *err) MT_CHECKED;

#endif
