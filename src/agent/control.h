/* control.h: what agent.c tells control.c. Internal to agent/. */
#ifndef MT_AGENT_CONTROL_H
#define MT_AGENT_CONTROL_H

#include "agent/config.h"
#include "memtap/agent.h"

#include <stdbool.h>

/* The exported hooks precede libc's and are in place. by_command: the environment asked for a recording. */
void mt_control_set_preloaded(bool by_command);
/* Called at the end of each attach, with what the tool has asked for, whether a recording has begun or goes on already. */
void mt_control_on_attach(void (*arm)(const struct mt_agent_config *config));
/* Was the present recording begun by attach? */
bool mt_control_is_attached(void);
/* When the present or the last one was begun from inside or outside, since 1970; 0: never, or by the command. */
uint64_t mt_control_began_ns(void);
const struct memtap_agent_api *memtap_agent_api(void);

#endif
