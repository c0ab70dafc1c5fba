/* completion.c: `memtap completion` and `memtap man`: what shells and man(1) read, from the option tables. */
#include "cli/completion.h"

#include "util/option_walk.h"

#include <string.h>

static const struct mt_option *const tables[] = { NULL };

static const struct mt_command_doc completion_doc = {
    .name = "completion",
    .summary = "completion of memtap's command line, for a shell",
    .synopsis = "memtap completion bash|zsh|fish",
    .description =
        "Prints what the shell reads to complete commands, options and their values. `make install` puts these scripts where the "
        "shells look.",
    .examples = "source <(memtap completion bash)\n"
                "memtap completion zsh > ~/.zfunc/_memtap\n"
                "memtap completion fish > ~/.config/fish/completions/memtap.fish",
    .tables = tables,
};

static const struct mt_command_doc man_doc = {
    .name = "man",
    .summary = "a manual page in roff, for man(1)",
    .synopsis = "memtap man [COMMAND]",
    .description = "Prints the manual page of a command, or of memtap itself, as man reads it. `make install` installs them all.",
    .examples = "memtap man run | man -l -\n"
                "memtap man > memtap.1",
    .tables = tables,
};

static const struct mt_command_doc *g_docs[MT_COMMANDS_MAX + 1]; /* NULL-terminated */

void mt_completion_tell(const struct mt_command_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        g_docs[i] = rows[i].command->doc;
    }
}

/* What was made goes to standard output. */
static int commit(const struct mt_command_doc *doc, struct mt_out *out)
{
    struct mt_error err = { 0 };
    return mt_out_commit(out, &err) == MT_OK ? MT_EXIT_OK : mt_command_fail(doc, MT_EXIT_FAILED, &err);
}

/* Options of doc and its operands; NULL: *ret_code is the exit code. */
static struct mt_out *begin(const struct mt_command_doc *doc, int argc, char **argv, struct mt_operands *operands, int *ret_code)
{
    struct mt_error err = { 0 };
    struct mt_out *out = NULL;
    if (mt_command_options(doc, argc, argv, NULL, operands, ret_code) && mt_out_open(NULL, &out, &err) != MT_OK) {
        *ret_code = mt_command_fail(doc, MT_EXIT_FAILED, &err);
    }
    return out;
}

static int completion_main(int argc, char **argv)
{
    struct mt_operands operands = { 0 };
    struct mt_error err = { 0 };
    int code = MT_EXIT_OK;
    struct mt_out *out = begin(&completion_doc, argc, argv, &operands, &code);
    if (out == NULL) {
        return code;
    }
    if (operands.count != 1 || !mt_option_completion(operands.items[0], g_docs, out)) {
        mt_out_discard(out);
        (void)(mt_error_set(&err, MT_E_INVAL, "which shell? bash, zsh or fish") == MT_OK);
        return mt_command_fail(&completion_doc, MT_EXIT_USAGE, &err);
    }
    return commit(&completion_doc, out);
}

static int man_main(int argc, char **argv)
{
    struct mt_operands operands = { 0 };
    struct mt_error err = { 0 };
    int code = MT_EXIT_OK;
    struct mt_out *out = begin(&man_doc, argc, argv, &operands, &code);
    if (out == NULL) {
        return code;
    }
    const struct mt_command_doc *const *found = g_docs;
    while (operands.count == 1 && *found != NULL && strcmp((*found)->name, operands.items[0]) != 0) {
        found++;
    }
    if (operands.count > 1 || *found == NULL) {
        mt_out_discard(out);
        (void)(mt_error_set(&err, MT_E_INVAL, "one command, or none for the page of memtap; `memtap help` lists them") == MT_OK);
        return mt_command_fail(&man_doc, MT_EXIT_USAGE, &err);
    }
    if (operands.count == 0) {
        mt_option_man_overview(g_docs, out);
    } else {
        mt_option_man(*found, out);
    }
    return commit(&man_doc, out);
}

const struct mt_command mt_command_completion = { &completion_doc, completion_main };
const struct mt_command mt_command_man = { &man_doc, man_main };
