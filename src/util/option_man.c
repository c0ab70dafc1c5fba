/* option_man.c: manual pages in roff, from the tables that parse the command line. */
#include "util/option_walk.h"

#include <string.h>

/* Text that roff takes for nothing else: backslashes and hyphens, and a point or an apostrophe at the beginning of a line. */
static void put_text(struct mt_out *out, const char *text, size_t bytes)
{
    bool begins = true;
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (begins && (c == '.' || c == '\'')) {
            mt_out_string(out, "\\&");
        }
        begins = c == '\n';
        if (c == '\\') {
            mt_out_string(out, "\\e");
        } else if (c == '-') {
            mt_out_string(out, "\\-");
        } else {
            mt_out_byte(out, c);
        }
    }
}

static void put_string(struct mt_out *out, const char *text)
{
    put_text(out, text, strlen(text));
}

static void put_heading(struct mt_out *out, const char *name, const char *summary)
{
    mt_out_print(out, ".TH MEMTAP%s%s 1 \"\" \"memtap " MEMTAP_VERSION "\" \"memtap\"\n.SH NAME\nmemtap%s", *name != '\0' ? "\\-" : "",
                 name, *name != '\0' ? "\\-" : "");
    put_string(out, name);
    mt_out_string(out, " \\- ");
    put_string(out, summary);
    mt_out_byte(out, '\n');
}

/* Lines as they are. */
static void put_lines(struct mt_out *out, const char *title, const char *text)
{
    if (text != NULL) {
        mt_out_print(out, ".SH %s\n.nf\n", title);
        put_string(out, text);
        mt_out_string(out, "\n.fi\n");
    }
}

/* Paragraphs; an empty line ends one, an indented line stands for itself. */
static void put_paragraphs(struct mt_out *out, const char *title, const char *text)
{
    if (text == NULL) {
        return;
    }
    mt_out_print(out, ".SH %s\n", title);
    while (*text != '\0') {
        size_t bytes = strcspn(text, "\n");
        mt_out_string(out, bytes == 0 ? ".PP" : *text == ' ' ? ".br\n" : "");
        put_text(out, text, bytes);
        mt_out_byte(out, '\n');
        text += bytes;
        text += *text == '\n' ? 1 : 0;
    }
}

static void put_option(const struct mt_option *option, void *with)
{
    struct mt_out *out = with;
    mt_out_string(out, ".TP\n");
    if (option->letter != 0) {
        mt_out_print(out, "\\fB\\-%c\\fR, ", option->letter);
    }
    mt_out_string(out, option->kind == MT_OPTION_SWITCH ? "\\fB\\-\\-\\fR[\\fBno\\-\\fR]\\fB" : "\\fB\\-\\-");
    put_string(out, option->name);
    mt_out_string(out, "\\fR");
    if (option->argument != NULL) {
        bool optional = mt_option_takes(option) == MT_ARGUMENT_OPTIONAL;
        mt_out_string(out, optional ? "[=\\fI" : " \\fI");
        put_string(out, option->argument);
        mt_out_string(out, optional ? "\\fR]" : "\\fR");
    }
    mt_out_byte(out, '\n');
    put_string(out, option->help);
    mt_out_byte(out, '\n');
}

void mt_option_man(const struct mt_command_doc *doc, struct mt_out *out)
{
    put_heading(out, doc->name, doc->summary);
    put_lines(out, "SYNOPSIS", doc->synopsis);
    put_paragraphs(out, "DESCRIPTION", doc->description);
    mt_out_string(out, ".SH OPTIONS\n");
    mt_option_each(doc, put_option, out);
    put_paragraphs(out, "NOTES", doc->notes);
    put_paragraphs(out, "ENVIRONMENT", mt_option_environment_text);
    put_lines(out, "EXIT STATUS", doc->exit_codes != NULL ? doc->exit_codes : mt_option_exit_codes_text);
    put_lines(out, "EXAMPLES", doc->examples);
    mt_out_string(out, ".SH SEE ALSO\n\\fBmemtap\\fR(1)\n");
}

void mt_option_man_overview(const struct mt_command_doc *const *docs, struct mt_out *out)
{
    put_heading(out, "", "where the memory of a program goes");
    mt_out_string(out, ".SH SYNOPSIS\n\\fBmemtap\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGS\\fR…]\n.SH COMMANDS\n");
    for (; *docs != NULL; docs++) {
        mt_out_print(out, ".TP\n\\fBmemtap\\-%s\\fR(1)\n", (*docs)->name);
        put_string(out, (*docs)->summary);
        mt_out_byte(out, '\n');
    }
    put_paragraphs(out, "ENVIRONMENT", mt_option_environment_text);
}
