/* clients.h: the connections of an armed process. Internal to agent/.
 *
 * Decides: how many there are, and when one is dropped: one that has begun a request and does not go on, or does not take its answer,
 * has ten seconds; one that has not shown its token has ten seconds in all, and gives its place to one that is known. Nothing here waits for one of them. Context: the thread of listen.c; mt_clients_forget: a fork child.
 */
#ifndef MT_AGENT_CLIENTS_H
#define MT_AGENT_CLIENTS_H

#include <stdint.h>

/* Waits until somebody knocks, asks or takes too long, and deals with it; at_most_ns, UINT64_MAX: without end. */
void mt_clients_turn(uint64_t at_most_ns);
/* Those of the parent: their descriptors are closed, and they are forgotten. */
void mt_clients_forget(void);

#endif
