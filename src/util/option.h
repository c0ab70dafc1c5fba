/* option.h: command-line options described by a table, one table for parsing, environment and help.
 *
 * Decides: long options with getopt_long's rules (unique abbreviations, --name=value), options before or after
 * operands,
 * "--" ends them. Every valued option NAME is mirrored by the environment variable MEMTAP_NAME (upper case, "-" as
 * "_"); a flag on the command line wins. Inside a program that is being recorded the mirrors are not read: those
 * variables are then the agent's own. A mistake gives one sentence naming the option, what is wrong with it and the
 * nearest real one. Rejected: argp (exits by itself, glibc only), popt (a dependency). Context: [tool].
 */
#ifndef MT_UTIL_OPTION_H
#define MT_UTIL_OPTION_H

#include "util/error.h"
#include "util/out.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mt_option_kind {
    MT_OPTION_FLAG,     /* bool field becomes true */
    MT_OPTION_SWITCH,   /* --name / --no-name, bool field */
    MT_OPTION_TEXT,     /* const char * field, borrowed from argv or the environment */
    MT_OPTION_SIZE,     /* uint64_t bytes, mt_parse_size */
    MT_OPTION_DURATION, /* uint64_t ns, mt_parse_duration */
    MT_OPTION_COUNT,    /* uint64_t */
    MT_OPTION_CHOICE,   /* int field: index into choices */
    MT_OPTION_CALL,     /* set() decides; argument NULL when none was given */
    MT_OPTION_TEXT_LAST /* TEXT, and everything after its argument is an operand (run -m MODULE …) */
};

enum mt_option_argument { MT_ARGUMENT_DEFAULT, MT_ARGUMENT_NONE, MT_ARGUMENT_OPTIONAL, MT_ARGUMENT_REQUIRED };

struct mt_option {
    const char *name; /* long name; NULL ends the table */
    char letter;      /* 0: none */
    enum mt_option_kind kind;
    size_t offset;              /* of the field in the command's values */
    const char *const *choices; /* CHOICE: NULL-terminated */
    mt_status (*set)(void *values, const char *argument, struct mt_error *err);
    enum mt_option_argument takes; /* CALL only */
    const char *argument;          /* shown in help: "SIZE" */
    const char *help;              /* with unit and default */
};

/* Everything a command says about itself. */
struct mt_command_doc {
    const char *name;
    const char *synopsis;                  /* lines, each starting with "memtap …" */
    const char *summary;                   /* one line, no full stop */
    const char *description;               /* paragraphs */
    const char *notes;                     /* further sections, may be NULL */
    const char *exit_codes;                /* may be NULL: the common ones */
    const char *examples;                  /* lines */
    const struct mt_option *const *tables; /* NULL-terminated list of option tables */
    const char *const *one_of;             /* NULL-terminated names of options of which one may be given; may be NULL */
    bool stop_at_operand;                  /* run: what follows the first operand is not ours */
};

struct mt_operands {
    char **items; /* NULL-terminated; points into the vector given to mt_options_parse, reordered */
    int count;
    bool help; /* -h or --help was given; nothing else is checked then */
};

/* argv[0] is the command name; argv is reordered. values is the command's own struct, holding defaults. Errors are
 * MT_E_INVAL with a sentence. */
mt_status mt_options_parse(const struct mt_command_doc *doc, int argc, char **argv, void *values,
                           struct mt_operands *ret, struct mt_error *err) MT_CHECKED;
/* The manual page. */
void mt_options_help(const struct mt_command_doc *doc, struct mt_out *out);

#endif
