/* commands.c: see commands.h. */
#include "cli/commands.h"

#include <assert.h>

const struct mt_command_row mt_commands[] = {
    { &mt_command_run, false },
    { &mt_command_attach, true },
    { &mt_command_inject, true },
    { &mt_command_detach, true },
    { &mt_command_top, true },
    { &mt_command_memory, true },
    { &mt_command_list, false },
    { &mt_command_config, true },
    { &mt_command_snapshot, true },
    { &mt_command_eval, true },
    { &mt_command_summary, true },
    { &mt_command_stats, true },
    { &mt_command_tree, true },
    { &mt_command_table, true },
    { &mt_command_leaks, true },
    { &mt_command_diff, true },
    { &mt_command_postmortem, true },
    { &mt_command_timeline, true },
    { &mt_command_ask, true },
    { &mt_command_query, true },
    { &mt_command_tables, true },
    { &mt_command_parse, true },
    { &mt_command_flamegraph, true },
    { &mt_command_report, true },
    { &mt_command_export, true },
    { &mt_command_serve, true },
    { &mt_command_pack, true },
    { &mt_command_doctor, false },
    { &mt_command_completion, false },
    { &mt_command_man, false },
};
const size_t mt_command_count = MT_COUNTOF(mt_commands);
static_assert(MT_COUNTOF(mt_commands) <= MT_COMMANDS_MAX, "callers keep lists of them");
