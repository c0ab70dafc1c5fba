/* option_help.c: the manual page of a command, from the same tables that parse it. Plain text, 80 columns, bold section
 * names only on a terminal. */
#include "util/memory.h"
#include "util/option_walk.h"
#include "util/grid.h"
#include "util/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HELP_COLUMNS = 80, BODY_INDENT = 4, OPTION_INDENT = 30 };

static void put_indent(struct mt_out *out, size_t columns)
{
    mt_out_print(out, "%*s", (int)columns, "");
}

/* Writes words of text wrapped at HELP_COLUMNS; lines after the first begin at indent. Column is where we are now. */
static void put_wrapped(struct mt_out *out, const char *text, size_t indent, size_t column)
{
    bool first = true;
    while (*text != '\0') {
        size_t bytes = strcspn(text, " \n");
        size_t wide = mt_text_columns(text, bytes);
        if (!first && column + 1 + wide > HELP_COLUMNS) {
            mt_out_byte(out, '\n');
            put_indent(out, indent);
            column = indent;
            first = true;
        }
        if (!first) {
            mt_out_byte(out, ' ');
            column++;
        }
        mt_out_write(out, text, bytes);
        column += wide;
        first = false;
        text += bytes;
        if (*text == '\n') {
            mt_out_byte(out, '\n');
            put_indent(out, text[1] == '\0' ? 0 : indent);
            column = indent;
            first = true;
        }
        text += *text != '\0' ? 1 : 0;
    }
    mt_out_byte(out, '\n');
}

/* A block whose own line breaks and leading spaces are kept: each line is wrapped by itself. */
static void put_block(struct mt_out *out, const char *text, size_t indent)
{
    while (*text != '\0') {
        size_t bytes = strcspn(text, "\n");
        size_t lead = strspn(text, " ");
        char *line = mt_strndup(text, bytes);
        if (bytes > 0) {
            lead = lead < bytes ? lead : bytes;
            put_indent(out, indent + lead);
            put_wrapped(out, line + lead, indent + lead, indent + lead);
        } else {
            mt_out_byte(out, '\n');
        }
        free(line);
        text += bytes;
        text += *text == '\n' ? 1 : 0;
    }
}

static void put_section(struct mt_out *out, const char *title, const char *body)
{
    if (body == NULL) {
        return;
    }
    bool colour = mt_terminal_colour(out);
    mt_out_print(out, "\n%s%s%s\n", colour ? "\x1b[1m" : "", title, colour ? "\x1b[0m" : "");
    put_block(out, body, BODY_INDENT);
}

static size_t put_option_names(struct mt_out *out, const struct mt_option *option)
{
    char text[128];
    char letter[8] = "    ";
    if (option->letter != 0) {
        (void)snprintf(letter, sizeof letter, "-%c, ", option->letter);
    }
    const char *open = option->takes == MT_ARGUMENT_OPTIONAL ? "[=" : option->argument != NULL ? " " : "";
    const char *close = option->takes == MT_ARGUMENT_OPTIONAL ? "]" : "";
    int bytes =
        snprintf(text, sizeof text, "    %s--%s%s%s%s%s", letter, option->kind == MT_OPTION_SWITCH ? "[no-]" : "",
                 option->name, open, option->argument != NULL ? option->argument : "", close);
    mt_out_string(out, text);
    return bytes > 0 ? (size_t)bytes : 0;
}

static void put_option(const struct mt_option *option, void *with)
{
    struct mt_out *out = with;
    size_t column = put_option_names(out, option);
    if (column + 2 > OPTION_INDENT) {
        mt_out_byte(out, '\n');
        column = 0;
    }
    put_indent(out, OPTION_INDENT - column);
    put_wrapped(out, option->help, OPTION_INDENT, OPTION_INDENT);
}

void mt_options_help(const struct mt_command_doc *doc, struct mt_out *out)
{
    mt_out_print(out, "memtap %s: %s\n", doc->name, doc->summary);
    put_section(out, "SYNOPSIS", doc->synopsis);
    put_section(out, "DESCRIPTION", doc->description);
    put_section(out, "OPTIONS", "");
    mt_option_each(doc, put_option, out);
    put_section(out, "NOTES", doc->notes);
    put_section(out, "ENVIRONMENT", mt_option_environment_text);
    put_section(out, "EXIT CODES", doc->exit_codes != NULL ? doc->exit_codes : mt_option_exit_codes_text);
    put_section(out, "EXAMPLES", doc->examples);
}
