/* flamegraph.c: `memtap flamegraph`, also called `memtap report`: the recording as one HTML file. */
#include "cli/outcome.h"
#include "cli/select.h"

#include "util/memory.h"
#include "util/say.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEFAULT_BYTES = 2 << 20 };

struct values {
    struct mt_select select; /* first: the shared tables' fields */
    int format;
};

static const struct mt_option own[] = {
    { "output", 'o', MT_OPTION_TEXT, offsetof(struct values, select.output), NULL, NULL, 0, "OUT.html",
      "write to OUT.html, whole or not at all; -: standard output; default: FILE's name with .html, in this folder" },
    { "confidential", 0, MT_OPTION_FLAG, offsetof(struct values, select.confidential), NULL, NULL, 0, NULL,
      "leave paths out: of files and binaries their last name stays, of the command and of notes with a path nothing" },
    { "diff", 0, MT_OPTION_TEXT, offsetof(struct values, select.before), NULL, NULL, 0, "OLD",
      "show what changed since the recording OLD (a file or a folder): what grew and shrank as a flame graph, what appeared and vanished as tables" },
    { "native", 0, MT_OPTION_SWITCH, offsetof(struct values, select.native), NULL, NULL, 0, NULL,
      "with the interpreter's own frames in Python stacks too; default: of native code there only extension modules and libraries; the page "
      "shows and hides both (key n)" },
    { "max-size", 0, MT_OPTION_SIZE, offsetof(struct values, select.page_bytes), NULL, NULL, 0, "SIZE",
      "the file may have SIZE, default 2M: what is smallest is shown as one with its sum until it fits; 0: no limit" },
    MT_OUTCOME_OPTION(offsetof(struct values, format), MT_OUTCOME_ABOUT ": {output, bytes}"),
    { 0 },
};
static const struct mt_option *const tables[] = { own, mt_select_frames, mt_select_leaks, NULL };

#define DESCRIPTION                                                                                                    \
    "Writes one HTML file that needs nothing else: no network, no server. It shows where memory was held as a flame graph, "  \
    "whose blocks are as wide as the bytes they stand for; the heap and the resident memory over time; and the lines of the "  \
    "program as a table. Each for what was alive at the peak, what was alive when the program ended, what was allocated in "  \
    "all, what was temporary, and what was allocated in a stretch of time and is alive at its end: brush the timeline. The "  \
    "numbers are those of memtap stats, table, leaks and diff, to the byte.\n"                                          \
    "In the page: click a block to zoom, / searches, ? lists all keys."
#define EXAMPLES                                                                                                       \
    "memtap flamegraph memtap-app.4242.mtap\n"                                                                         \
    "memtap flamegraph -o report.html app.mtap\n"                                                                     \
    "memtap flamegraph --diff old.mtap new.mtap"
#define NOTES                                                                                                          \
    "FILE may be a folder, which stands for all *.mtap in it; several are merged, as the processes of one run.\n"      \
    "Any browser since 2023 shows it, with JavaScript. It has names of functions and paths of files in it: mind whom you give "  \
    "it to, or leave paths out with --confidential."

static const struct mt_command_doc doc = {
    .name = "flamegraph",
    .summary = "the recording as one HTML file for a browser, with a flame graph",
    .synopsis = "memtap flamegraph [-o OUT.html] [--max-size SIZE] [--diff OLD] FILE…",
    .description = DESCRIPTION,
    .notes = NOTES,
    .examples = EXAMPLES,
    .tables = tables,
};

static const struct mt_command_doc report_doc = {
    .name = "report",
    .summary = "another name of flamegraph",
    .synopsis = "memtap report [-o OUT.html] [--max-size SIZE] [--diff OLD] FILE…",
    .description = DESCRIPTION,
    .notes = NOTES,
    .examples = EXAMPLES,
    .tables = tables,
};

/* "memtap-app.4242.html" of "dir/memtap-app.4242.mtap". malloc'ed. */
static char *default_output(const char *file)
{
    char *name = mt_strdup(file);
    size_t length = strlen(name);
    while (length > 1 && name[length - 1] == '/') {
        name[--length] = '\0';
    }
    const char *base = mt_text_base_name(name);
    size_t bytes = strlen(base);
    bool known = bytes > 5 && strcmp(base + bytes - 5, ".mtap") == 0;
    char *output = mt_format("%.*s.html", (int)(known ? bytes - 5 : bytes), base);
    free(name);
    return output;
}

static int say_done(const struct mt_command_doc *as, const struct values *values)
{
    const char *output = values->select.output;
    struct mt_outcome outcome;
    struct mt_error err = { 0 };
    struct stat info = { 0 };
    if (values->format != MT_OUTCOME_JSON) {
        if (strcmp(output, "-") != 0) {
            mt_say("memtap: %s: open it in a browser", output);
        }
        return MT_EXIT_OK;
    }
    if (mt_outcome_begin(&outcome, &err) != MT_OK) {
        return mt_command_fail(as, MT_EXIT_FAILED, &err);
    }
    mt_json_object(&outcome.json);
    mt_json_put_text(&outcome.json, "output", output);
    mt_json_put_u64(&outcome.json, "bytes", stat(output, &info) == 0 ? (uint64_t)info.st_size : 0);
    mt_json_object_end(&outcome.json);
    return mt_outcome_end(as, &outcome);
}

static int write_page(const struct mt_command_doc *as, int argc, char **argv)
{
    struct values values = { .select = MT_SELECT_DEFAULTS };
    values.select.page_bytes = DEFAULT_BYTES;
    struct mt_reading reading = { .doc = as, .select = &values.select, .page = true };
    struct mt_operands operands;
    int code;
    if (!mt_command_options(as, argc, argv, &values, &operands, &code)) {
        return code;
    }
    char *chosen = values.select.output == NULL && operands.count > 0 ? default_output(operands.items[0]) : NULL;
    values.select.output = chosen != NULL ? chosen : values.select.output;
    if (values.format == MT_OUTCOME_JSON && values.select.output != NULL && strcmp(values.select.output, "-") == 0) {
        struct mt_error err = { 0 };
        (void)mt_error_set(&err, MT_E_INVAL, "-f json and the page itself cannot both be standard output: give another -o");
        return mt_command_fail(as, MT_EXIT_USAGE, &err);
    }
    code = mt_select_read(&reading, &operands);
    code = code == MT_EXIT_OK ? say_done(as, &values) : code;
    free(chosen);
    return code;
}

static int flamegraph_main(int argc, char **argv)
{
    return write_page(&doc, argc, argv);
}

static int report_main(int argc, char **argv)
{
    return write_page(&report_doc, argc, argv);
}

const struct mt_command mt_command_flamegraph = { &doc, flamegraph_main };
const struct mt_command mt_command_report = { &report_doc, report_main };
