/* control.h: what agent.c tells control.c. Internal to agent/. */
#ifndef MT_AGENT_CONTROL_H
#define MT_AGENT_CONTROL_H

#include "agent/config.h"
#include "memtap/agent.h"

#include <stdbool.h>

/* The exported hooks precede libc's and are in place. by_command: the environment asked for a recording. */
void mt_control_set_preloaded(bool by_command);
/* Who arms the process and disarms it (listen.h): arm is called at the end of each attach, whether a recording has begun or goes on
 * already, and by the program's own call; disarm before what attach began is ended. */
struct mt_control_arming {
    bool (*arm)(const struct mt_agent_config *config, bool by_attach);
    void (*disarm)(void);
};
void mt_control_on_arming(const struct mt_control_arming *arming);
/* Hooks stay in place also while nothing is recorded. */
void mt_control_keep_hooks(bool keep);
bool mt_control_keeps_hooks(void);
/* As detach of memtap/agent.h, and the process stays armed. */
int mt_control_end_attached(void);
/* Was the present recording begun by attach? */
bool mt_control_is_attached(void);
/* When the present or the last one was begun from inside or outside, since 1970; 0: never, or by the command. */
uint64_t mt_control_began_ns(void);
const struct memtap_agent_api *memtap_agent_api(void);

#endif
