/* command.h: what a command of memtap is.
 *
 * Decides: the list of commands, their exit codes, and how failures are printed. Commands are thin: they parse options,
 * call the layers below and print; logic worth a unit test lives in util/, analysis/ or export/. Context: [tool].
 */
#ifndef MT_CLI_COMMAND_H
#define MT_CLI_COMMAND_H

#include "util/error.h"
#include "util/exitcode.h"
#include "util/option.h"

/* The promise between `memtap run` and the agent: variables, tick file, file names. Changes when either side must. */
enum { MT_AGENT_ABI = 1 };

struct mt_command {
    const struct mt_command_doc *doc;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit code */
};

extern const struct mt_command mt_command_run;
extern const struct mt_command mt_command_attach;
extern const struct mt_command mt_command_inject;
extern const struct mt_command mt_command_detach;
extern const struct mt_command mt_command_top, mt_command_memory;
extern const struct mt_command mt_command_list, mt_command_config, mt_command_snapshot;
extern const struct mt_command mt_command_eval;
extern const struct mt_command mt_command_summary;
extern const struct mt_command mt_command_stats;
extern const struct mt_command mt_command_tree;
extern const struct mt_command mt_command_table;
extern const struct mt_command mt_command_leaks;
extern const struct mt_command mt_command_parse;
extern const struct mt_command mt_command_diff;
extern const struct mt_command mt_command_postmortem;
extern const struct mt_command mt_command_timeline;
extern const struct mt_command mt_command_query, mt_command_ask;
extern const struct mt_command mt_command_tables;
extern const struct mt_command mt_command_export;
extern const struct mt_command mt_command_flamegraph, mt_command_report;
extern const struct mt_command mt_command_serve;
extern const struct mt_command mt_command_pack;
extern const struct mt_command mt_command_doctor;
extern const struct mt_command mt_command_completion, mt_command_man;

/* "memtap COMMAND: sentence" on standard error; returns code. */
int mt_command_fail(const struct mt_command_doc *doc, int code, const struct mt_error *err);
/* Parses options; true: go on. False: *ret_code is the exit code (help shown, or a usage error printed). */
bool mt_command_options(const struct mt_command_doc *doc, int argc, char **argv, void *values,
                        struct mt_operands *operands, int *ret_code);

#endif
