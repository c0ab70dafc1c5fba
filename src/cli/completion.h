/* completion.h: what `memtap completion` and `memtap man` have to be told: the commands there are, themselves among them.
 * Context: [tool]. */
#ifndef MT_CLI_COMPLETION_H
#define MT_CLI_COMPLETION_H

#include "cli/commands.h"

/* count at most MT_COMMANDS_MAX. */
void mt_completion_tell(const struct mt_command_row *rows, size_t count);

#endif
