/* parse.c: `memtap parse`: every record as text. */
#include "cli/outcome.h"
#include "cli/select.h"
#include "export/records.h"
#include "reader/recording.h"
#include "util/memory.h"

#include <stdlib.h>

struct values {
    const char *output;
    int format;
};

static const struct mt_option own[] = {
    { "output", 'o', MT_OPTION_TEXT, offsetof(struct values, output), NULL, NULL, 0, "OUT",
      "write to OUT, whole or not at all; -: standard output (default)" },
    MT_OUTCOME_OPTION(offsetof(struct values, format), "table: a line a record (default); or json: an array of {record, fields[]}, the words of each line"),
    { 0 },
};
static const struct mt_option *const tables[] = { own, NULL };

static const struct mt_command_doc doc = {
    .name = "parse",
    .summary = "every record of a trace as text",
    .synopsis = "memtap parse [-o OUT] FILE",
    .description =
        "For debugging the format (docs/formats/trace.md). One record a line, in file order a stream: metadata "
        "first, then thread by thread; before the records of each process a line with its number. "
        "Damage is shown where it is, the rest goes on, and the exit code is 1.\n"
        "In -f json a field is the number or the text that the line has there, in the same order; texts between quotes are without them, "
        "addresses and words are texts.",
    .notes = mt_records_wording,
    .examples = "memtap parse app.mtap | grep '^thread'",
    .tables = tables,
};

static int parse_file(const char *path, const struct values *values)
{
    struct mt_error err = { 0 };
    struct mt_error damage = { 0 };
    struct mt_recording *recording;
    struct mt_out *out;
    char *paths[] = { mt_strdup(path), NULL };
    mt_status status = mt_recording_make(paths, 1, &recording, &err);
    free(paths[0]);
    if (status != MT_OK) {
        return mt_command_fail(&doc, MT_EXIT_FAILED, &err);
    }
    status = mt_out_open(values->output, &out, &err);
    if (status == MT_OK) {
        mt_status found = mt_records_write_run(out, &recording->set, values->format == MT_OUTCOME_JSON, &damage);
        status = mt_out_commit(out, &err);
        err = status == MT_OK ? damage : err;
        status = status == MT_OK ? found : status;
    }
    mt_recording_free(recording);
    return status == MT_OK ? MT_EXIT_OK : mt_command_fail(&doc, MT_EXIT_FAILED, &err);
}

static int parse_main(int argc, char **argv)
{
    struct values values = { 0 };
    struct mt_operands operands;
    struct mt_error err = { 0 };
    int code;
    if (!mt_command_options(&doc, argc, argv, &values, &operands, &code)) {
        return code;
    }
    if (operands.count != 1) {
        (void)mt_error_set(&err, MT_E_INVAL, "give exactly one FILE");
        return mt_command_fail(&doc, MT_EXIT_USAGE, &err);
    }
    return parse_file(operands.items[0], &values);
}

const struct mt_command mt_command_parse = { &doc, parse_main };
