/* option_walk.h: the option tables of commands, for those who make something of them: help, manual pages, completion.
 * Context: [tool]. */
#ifndef MT_UTIL_OPTION_WALK_H
#define MT_UTIL_OPTION_WALK_H

#include "util/option.h"

/* Calls visit for each option of a command, -h last. */
void mt_option_each(const struct mt_command_doc *doc, void (*visit)(const struct mt_option *option, void *with), void *with);
/* What stands behind it. */
enum mt_option_argument mt_option_takes(const struct mt_option *option);

/* What every command's page says of the environment, and of exit codes where the command says nothing of its own. */
extern const char mt_option_environment_text[];
extern const char mt_option_exit_codes_text[];

/* The manual page as roff source (man.7, groff's man macros), section 1: of a command, and of memtap itself, whose page lists the
 * commands. docs: NULL-terminated. */
void mt_option_man(const struct mt_command_doc *doc, struct mt_out *out);
void mt_option_man_overview(const struct mt_command_doc *const *docs, struct mt_out *out);

/* What a shell reads to complete memtap's command line: "bash", "zsh" or "fish". False: no such shell. */
bool mt_option_completion(const char *shell, const struct mt_command_doc *const *docs, struct mt_out *out) MT_CHECKED;

#endif
