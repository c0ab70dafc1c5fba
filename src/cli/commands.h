/* commands.h: the commands of memtap, in the order in which help lists them. Context: [tool]. */
#ifndef MT_CLI_COMMANDS_H
#define MT_CLI_COMMANDS_H

#include "cli/command.h"

struct mt_command_row {
    const struct mt_command *command;
    bool has_target; /* may stand after it */
};

enum { MT_COMMANDS_MAX = 64 };
extern const struct mt_command_row mt_commands[];
extern const size_t mt_command_count; /* at most MT_COMMANDS_MAX */

#endif
