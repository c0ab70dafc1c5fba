/* control.h: what agent.c tells control.c. Internal to agent/. */
#ifndef MT_AGENT_CONTROL_H
#define MT_AGENT_CONTROL_H

#include <stdbool.h>

/* The exported hooks precede libc's and are in place. by_command: the environment asked for a recording. */
void mt_control_set_preloaded(bool by_command);

#endif
