/* fork.h: the fork handler. */
#ifndef MT_HOOK_FORK_H
#define MT_HOOK_FORK_H

/* Idempotent. Context: [agent] start. */
void mt_fork_install(void);

#endif
