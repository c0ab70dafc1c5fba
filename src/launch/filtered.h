/* filtered.h: whether the agent in a process does nothing because of a seccomp filter.
 *
 * Decides: as the agent itself does when a program begins (agent/agent.c): more filters are in force than the settings in its
 * environment say are known. Every call of the agent's might be its program's death then, so that it cannot say so itself; filters
 * are never fewer than at the beginning, and can be counted from outside. A kernel before 5.9 does not tell their number.
 * Context: [tool].
 */
#ifndef MT_LAUNCH_FILTERED_H
#define MT_LAUNCH_FILTERED_H

#include <sys/types.h>

enum mt_filtered {
    MT_FILTERED_NOT,           /* there is no such filter, no agent, or it cannot be seen */
    MT_FILTERED_NOT_KNOWN_YET, /* exec is at work: the program has no environment yet */
    MT_FILTERED_UNKNOWN,       /* a filter that is not known; or one that the program installed after the agent had begun */
};
enum mt_filtered mt_filtered_look(pid_t pid);

#endif
