/* flamegraph.c: `memtap flamegraph`, also called `memtap report`: the recording as one HTML file. */
#include "cli/select.h"

#include "util/memory.h"
#include "util/say.h"
#include "util/text.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_BYTES = 2 << 20 };

struct values {
    struct mt_select select; /* first: the shared tables' fields */
};

static const struct mt_option own[] = {
    { "output", 'o', MT_OPTION_TEXT, offsetof(struct values, select.output), NULL, NULL, 0, "OUT.html",
      "write to OUT.html, whole or not at all; -: standard output; default: FILE's name with .html, in this folder" },
    { "confidential", 0, MT_OPTION_FLAG, offsetof(struct values, select.confidential), NULL, NULL, 0, NULL,
      "leave paths out: of files and binaries their last name stays, of the command and of notes with a path nothing" },
    { "max-size", 0, MT_OPTION_SIZE, offsetof(struct values, select.page_bytes), NULL, NULL, 0, "SIZE",
      "the file may have SIZE, default 2M: what is smallest is shown as one with its sum until it fits; 0: no limit" },
    { 0 },
};
static const struct mt_option *const tables[] = { own, mt_select_frames, mt_select_leaks, NULL };

#define DESCRIPTION                                                                                                    \
    "Writes one HTML file that needs nothing else: no network, no server. It shows where memory was held as a flame graph, "  \
    "whose blocks are as wide as the bytes they stand for; the heap and the resident memory over time; and the lines of the "  \
    "program as a table. Each for what was alive at the peak, what was alive when the program ended, what was allocated in "  \
    "all, what was temporary, and what was allocated in a stretch of time and is alive at its end: brush the timeline. The "  \
    "numbers are those of memtap stats, table and leaks, to the byte.\n"                                                \
    "In the page: click a block to zoom, / searches, ? lists all keys."
#define EXAMPLES                                                                                                       \
    "memtap flamegraph memtap-app.4242.mtap\n"                                                                         \
    "memtap flamegraph -o report.html app.mtap"
#define NOTES                                                                                                          \
    "FILE may be a folder, which stands for all *.mtap in it; several are merged, as the processes of one run.\n"      \
    "Any browser since 2023 shows it, with JavaScript. It has names of functions and paths of files in it: mind whom you give "  \
    "it to, or leave paths out with --confidential."

static const struct mt_command_doc doc = {
    .name = "flamegraph",
    .summary = "the recording as one HTML file for a browser, with a flame graph",
    .synopsis = "memtap flamegraph [-o OUT.html] [--max-size SIZE] FILE…",
    .description = DESCRIPTION,
    .notes = NOTES,
    .examples = EXAMPLES,
    .tables = tables,
};

static const struct mt_command_doc report_doc = {
    .name = "report",
    .summary = "another name of flamegraph",
    .synopsis = "memtap report [-o OUT.html] [--max-size SIZE] FILE…",
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
    code = mt_select_read(&reading, &operands);
    if (code == MT_EXIT_OK && strcmp(values.select.output, "-") != 0) {
        mt_say("memtap: %s: open it in a browser", values.select.output);
    }
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
