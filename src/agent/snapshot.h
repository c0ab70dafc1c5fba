/* snapshot.h: the signal that asks a process for a snapshot.
 *
 * Decides: it is taken only where the person named it and it has its default action, which would end the program; whatever the program
 * does with it later wins, and is said. Context: [agent].
 */
#ifndef MT_AGENT_SNAPSHOT_H
#define MT_AGENT_SNAPSHOT_H

/* number 0: none. While recording. */
void mt_agent_snapshot_arm(int number);
/* At the end: did the program take the signal for itself? */
void mt_agent_snapshot_settle(void);

#endif
