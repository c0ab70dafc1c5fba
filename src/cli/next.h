/* next.h: what to ask next, below a report for people, as below the closing lines of run.
 *
 * Decides: one line on standard error, so that a report that is piped on stays one; with the files as they were given, quoted where a
 * shell would need it. Context: [tool].
 */
#ifndef MT_CLI_NEXT_H
#define MT_CLI_NEXT_H

#include <stddef.h>

/* commands: "leaks --stacks -n 3" …, NULL-terminated. */
void mt_next_say(const char *const *commands, char *const *files, size_t count);

#endif
