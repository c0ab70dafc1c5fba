/* carry.h: what the programs that this one executes must find in their environment.
 *
 * Decides: that it is what this process found in its own at its start, kept in memory of ours: the program may empty its
 * environment, or write over it. With --no-follow only what the first process itself becomes by exec is followed.
 * Internal to agent/. Context: [agent] start, one thread.
 */
#ifndef MT_AGENT_CARRY_H
#define MT_AGENT_CARRY_H

#include "agent/config.h"

/* Before anything is taken out of envp. config stays valid. */
void mt_carry_begin(char *const *envp, const struct mt_agent_config *config);
/* Notes in the trace that has begun when it cannot be done. */
void mt_carry_note(void);

#endif
