/* outcome.h: what a command has done, for programs.
 *
 * Decides: `-f json` of commands that do something (attach, detach, pack, flamegraph) prints one JSON value on standard output, when it is
 * done; the sentences about success on standard error are left out then. Failures stay sentences and exit codes. The
 * words of -f of commands without rows (doctor and list too) are here. Context: [tool].
 */
#ifndef MT_CLI_OUTCOME_H
#define MT_CLI_OUTCOME_H

#include "cli/command.h"
#include "util/json.h"

enum mt_outcome_format { MT_OUTCOME_TABLE, MT_OUTCOME_JSON };
extern const char *const mt_outcome_formats[]; /* enum mt_outcome_format */

/* The option; field: offset of an int. */
#define MT_OUTCOME_OPTION(field, about)                                                                                \
    { "format", 'f', MT_OPTION_CHOICE, field, mt_outcome_formats, NULL, 0, "FORMAT", about }
#define MT_OUTCOME_ABOUT "table: sentences on standard error (default); or json: what was done, on standard output"

struct mt_outcome {
    struct mt_out *out;
    struct mt_json json; /* to be filled with one value */
};
mt_status mt_outcome_begin(struct mt_outcome *outcome, struct mt_error *err) MT_CHECKED;
/* Writes it; returns the exit code. */
int mt_outcome_end(const struct mt_command_doc *doc, struct mt_outcome *outcome);

#endif
