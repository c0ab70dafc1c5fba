/* option_completion.c: completion for bash, zsh and fish, from the tables that parse the command line. The scripts are data: they
 * ask memtap nothing while a person types. Texts of options are ours, so that quoting has to deal with quotes, brackets and
 * colons only. */
#include "util/option_walk.h"

#include "util/memory.h"

#include <stdlib.h>
#include <string.h>

enum { DESCRIPTION_MAX = 60 };

typedef const struct mt_command_doc *const *command_list;

/* The beginning of an option's help, up to its first pause. */
static size_t short_length(const char *text)
{
    size_t bytes = strcspn(text, ";:.(\n");
    if (bytes > DESCRIPTION_MAX) {
        bytes = DESCRIPTION_MAX;
        while (bytes > 0 && text[bytes] != ' ') {
            bytes--;
        }
    }
    while (bytes > 0 && (text[bytes - 1] == ' ' || text[bytes - 1] == ',')) {
        bytes--;
    }
    return bytes;
}

/* In single quotes; those of the characters in `special` with a backslash. */
static void put_quoted(struct mt_out *out, const char *text, size_t bytes, const char *special)
{
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\'') {
            mt_out_string(out, "'\\''");
        } else {
            mt_out_string(out, strchr(special, text[i]) != NULL ? "\\" : "");
            mt_out_byte(out, text[i]);
        }
    }
}

static void put_choices(struct mt_out *out, const struct mt_option *option)
{
    for (const char *const *choice = option->choices; choice != NULL && *choice != NULL; choice++) {
        mt_out_print(out, "%s%s", choice == option->choices ? "" : " ", *choice);
    }
}

static void put_names(struct mt_out *out, command_list docs, const char *between)
{
    for (command_list doc = docs; *doc != NULL; doc++) {
        mt_out_print(out, "%s%s", doc == docs ? "" : between, (*doc)->name);
    }
}

/* ---- bash ------------------------------------------------------------------------------------------------------------- */

static void put_bash_words(const struct mt_option *option, void *with)
{
    mt_out_print(with, " --%s", option->name);
    if (option->kind == MT_OPTION_SWITCH) {
        mt_out_print(with, " --no-%s", option->name);
    }
}

struct bash_values {
    struct mt_out *out;
    const char *command;
};

static void put_bash_values(const struct mt_option *option, void *with)
{
    struct bash_values *values = with;
    if (option->choices == NULL) {
        return;
    }
    mt_out_print(values->out, "        %s,--%s", values->command, option->name);
    if (option->letter != 0) {
        mt_out_print(values->out, "|%s,-%c", values->command, option->letter);
    }
    mt_out_string(values->out, ") words='");
    put_choices(values->out, option);
    mt_out_string(values->out, "' ;;\n");
}

static void put_bash(command_list docs, struct mt_out *out)
{
    mt_out_string(out, "# memtap completion for bash: source it, or put it where bash-completion looks.\n"
                       "_memtap() {\n"
                       "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command= words= i\n"
                       "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                       "        case ${COMP_WORDS[i]} in\n"
                       "        ");
    put_names(out, docs, "|");
    mt_out_string(out, ") command=${COMP_WORDS[i]}; break ;;\n        esac\n    done\n    case $command,$previous in\n");
    for (command_list doc = docs; *doc != NULL; doc++) {
        struct bash_values values = { out, (*doc)->name };
        mt_option_each(*doc, put_bash_values, &values);
    }
    mt_out_string(out, "    esac\n    if [[ -z $words && $current == -* ]]; then\n        case $command in\n");
    for (command_list doc = docs; *doc != NULL; doc++) {
        mt_out_print(out, "        %s) words='", (*doc)->name);
        mt_option_each(*doc, put_bash_words, out);
        mt_out_string(out, "' ;;\n");
    }
    mt_out_string(out, "        *) words='--help --version --target' ;;\n        esac\n"
                       "    elif [[ -z $words && -z $command ]]; then\n        words='help ");
    put_names(out, docs, " ");
    mt_out_string(out, "'\n    fi\n"
                       "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
                       "    if [[ ${#COMPREPLY[@]} -eq 0 ]]; then\n"
                       "        compopt -o filenames 2>/dev/null\n"
                       "        mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
                       "    fi\n"
                       "}\n"
                       "complete -F _memtap memtap\n");
}

/* ---- zsh -------------------------------------------------------------------------------------------------------------- */

/* joined: how a required argument is tied to this spelling, "=" or "+". */
static void put_zsh_spec(struct mt_out *out, const struct mt_option *option, const char *spelling, const char *joined)
{
    enum mt_option_argument takes = mt_option_takes(option);
    mt_out_print(out, " \\\n            '%s%s[", spelling, takes == MT_ARGUMENT_REQUIRED ? joined : takes == MT_ARGUMENT_OPTIONAL ? "=-" : "");
    put_quoted(out, option->help, short_length(option->help), "[]:\\");
    mt_out_byte(out, ']');
    if (takes != MT_ARGUMENT_NONE) {
        mt_out_print(out, "%s%s:", takes == MT_ARGUMENT_OPTIONAL ? "::" : ":", option->argument != NULL ? option->argument : "value");
        mt_out_string(out, option->choices != NULL ? "(" : option->kind == MT_OPTION_TEXT ? "_files" : "");
        put_choices(out, option);
        mt_out_string(out, option->choices != NULL ? ")" : "");
    }
    mt_out_byte(out, '\'');
}

static void put_zsh_option(const struct mt_option *option, void *with)
{
    char *names[] = { mt_format("--%s", option->name), mt_format("--no-%s", option->name), mt_format("-%c", option->letter) };
    put_zsh_spec(with, option, names[0], "=");
    if (option->kind == MT_OPTION_SWITCH) {
        put_zsh_spec(with, option, names[1], "=");
    }
    if (option->letter != 0) {
        put_zsh_spec(with, option, names[2], "+");
    }
    for (size_t i = 0; i < MT_COUNTOF(names); i++) {
        free(names[i]);
    }
}

static void put_zsh(command_list docs, struct mt_out *out)
{
    mt_out_string(out, "#compdef memtap\n# memtap completion for zsh: a file _memtap in a folder of $fpath.\n"
                       "_memtap() {\n    local -a commands\n    commands=(\n");
    for (command_list doc = docs; *doc != NULL; doc++) {
        mt_out_print(out, "        '%s:", (*doc)->name);
        put_quoted(out, (*doc)->summary, strlen((*doc)->summary), ":\\");
        mt_out_string(out, "'\n");
    }
    mt_out_string(out, "        'help:the manual page of a command'\n    )\n"
                       "    if (( CURRENT == 2 )); then\n        _describe command commands\n        _files -g '*.mtap'\n        return\n    fi\n"
                       "    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $command in\n");
    for (command_list doc = docs; *doc != NULL; doc++) {
        mt_out_print(out, "        %s) _arguments", (*doc)->name);
        mt_option_each(*doc, put_zsh_option, out);
        mt_out_string(out, " '*:file:_files' ;;\n");
    }
    mt_out_string(out, "        help) _describe command commands ;;\n        *) _files ;;\n    esac\n}\n"
                       "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n    _memtap \"$@\"\nelse\n    compdef _memtap memtap\nfi\n");
}

/* ---- fish ------------------------------------------------------------------------------------------------------------- */

struct fish_option {
    struct mt_out *out;
    const char *command;
};

static void put_fish_spec(const struct fish_option *to, const struct mt_option *option, const char *prefix)
{
    mt_out_print(to->out, "complete -c memtap -n '__fish_seen_subcommand_from %s' -l %s%s", to->command, prefix, option->name);
    if (option->letter != 0 && *prefix == '\0') {
        mt_out_print(to->out, " -s %c", option->letter);
    }
    if (mt_option_takes(option) == MT_ARGUMENT_REQUIRED) {
        mt_out_string(to->out, option->choices != NULL ? " -x -a '" : " -r");
        put_choices(to->out, option);
        mt_out_string(to->out, option->choices != NULL ? "'" : "");
    }
    mt_out_string(to->out, " -d '");
    put_quoted(to->out, option->help, short_length(option->help), "\\");
    mt_out_string(to->out, "'\n");
}

static void put_fish_option(const struct mt_option *option, void *with)
{
    put_fish_spec(with, option, "");
    if (option->kind == MT_OPTION_SWITCH) {
        put_fish_spec(with, option, "no-");
    }
}

static void put_fish(command_list docs, struct mt_out *out)
{
    mt_out_string(out, "# memtap completion for fish: a file memtap.fish in a folder of completions.\n");
    for (command_list doc = docs; *doc != NULL; doc++) {
        mt_out_print(out, "complete -c memtap -n __fish_use_subcommand -a %s -d '", (*doc)->name);
        put_quoted(out, (*doc)->summary, strlen((*doc)->summary), "\\");
        mt_out_string(out, "'\n");
    }
    for (command_list doc = docs; *doc != NULL; doc++) {
        struct fish_option to = { out, (*doc)->name };
        mt_option_each(*doc, put_fish_option, &to);
    }
}

bool mt_option_completion(const char *shell, command_list docs, struct mt_out *out)
{
    static const struct {
        const char *name;
        void (*put)(command_list docs, struct mt_out *out);
    } shells[] = { { "bash", put_bash }, { "zsh", put_zsh }, { "fish", put_fish } };
    for (size_t i = 0; i < MT_COUNTOF(shells); i++) {
        if (strcmp(shells[i].name, shell) == 0) {
            shells[i].put(docs, out);
            return true;
        }
    }
    return false;
}
