/* main.c: memtap's front door: finds the command, whichever way round it was written.
 *
 * `memtap CMD FILE …`, `memtap FILE CMD …` and `memtap -t FILE CMD …` are the same: the latter two are turned into the
 * first before anything else looks at them.
 */
#include "cli/commands.h"
#include "cli/completion.h"
#include "util/interrupt.h"
#include "util/memory.h"
#include "util/say.h"
#include "util/text.h"
#include "wire/format.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct mt_command *find(const char *name, bool targeted_only)
{
    for (size_t i = 0; i < mt_command_count; i++) {
        if (strcmp(mt_commands[i].command->doc->name, name) == 0 && (mt_commands[i].has_target || !targeted_only)) {
            return mt_commands[i].command;
        }
    }
    return NULL;
}

static void print_overview(FILE *to)
{
    (void)fputs("memtap: where the memory of a program goes\n"
                "\n"
                "usage: memtap COMMAND [OPTIONS] [ARGS…]\n"
                "       memtap [-t] FILE COMMAND [OPTIONS]     the same, target first\n"
                "       memtap PID                             the same as memtap attach PID\n"
                "       memtap COMMAND -h                      the manual page of a command\n"
                "       memtap --version\n"
                "\n"
                "commands:\n",
                to);
    for (size_t i = 0; i < mt_command_count; i++) {
        const struct mt_command_doc *doc = mt_commands[i].command->doc;
        (void)fprintf(to, "  %-10s %s\n", doc->name, doc->summary);
    }
    (void)fputs("\n"
                "first steps:\n"
                "  memtap run app.py\n"
                "  memtap summary memtap-app.*.mtap\n"
                "\n"
                "exit codes: 0 done, 1 the question failed, 2 wrong usage, 3 target unreachable or not permitted,\n"
                "4 timeout; run: the program's own\n",
                to);
}

static int print_version(void)
{
    (void)printf("memtap %s\nagent ABI %d\ntrace format %d.%d\n", MEMTAP_VERSION, MT_AGENT_ABI, MT_TRACE_MAJOR,
                 MT_TRACE_MINOR);
    return fflush(stdout) == 0 ? MT_EXIT_OK : MT_EXIT_FAILED;
}

/* What people look for under names that memtap has not, or not yet. */
static const struct {
    const char *word;
    const char *instead;
} g_pointers[] = {
    { "transform", "`memtap export --format FORMAT -o OUT FILE`" },
    { "convert", "`memtap export --format FORMAT -o OUT FILE`" },
    { "print", "`memtap summary FILE`" },
    { "show", "`memtap summary FILE`" },
    { "view", "`memtap flamegraph FILE`, and open the HTML file in a browser" },
    { "gui", "`memtap flamegraph FILE`, and open the HTML file in a browser" },
    { "html", "`memtap flamegraph FILE`" },
    { "live", "`memtap top PID`" },
    { "watch", "`memtap top PID`" },
    { "sql", "`memtap query FILE \"SELECT …\"`" },
    { "record", "`memtap run PROGRAM`" },
    { "exec", "`memtap run PROGRAM`" },
    { "start", "`memtap run PROGRAM`" },
    { "python", "`memtap run app.py`" },
    { "merge", "give a report all files: `memtap summary A B`" },
    { "version", "`memtap --version`" },
};

static const char *pointer_of(const char *word)
{
    for (size_t i = 0; i < MT_COUNTOF(g_pointers); i++) {
        if (strcmp(g_pointers[i].word, word) == 0) {
            return g_pointers[i].instead;
        }
    }
    return NULL;
}

static int unknown(const char *word)
{
    const char *names[MT_COMMANDS_MAX + 2] = { "help" };
    for (size_t i = 0; i < mt_command_count; i++) {
        names[i + 1] = mt_commands[i].command->doc->name;
    }
    const char *nearest = mt_text_nearest(word, names);
    if (access(word, F_OK) == 0) {
        mt_say("memtap: what about %s? Name a command, for example: memtap summary %s", word, word);
    } else if (pointer_of(word) != NULL) {
        mt_say("memtap: there is no command \"%s\": %s", word, pointer_of(word));
    } else if (nearest != NULL) {
        mt_say("memtap: unknown command \"%s\"; did you mean %s?", word, nearest);
    } else {
        mt_say("memtap: unknown command \"%s\"; `memtap help` lists the commands", word);
    }
    return MT_EXIT_USAGE;
}

static int help(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stdout);
        return fflush(stdout) == 0 ? MT_EXIT_OK : MT_EXIT_FAILED;
    }
    const struct mt_command *command = find(argv[1], false);
    char flag[] = "--help";
    char *ask[] = { argv[1], flag, NULL };
    return command != NULL ? command->run(2, ask) : unknown(argv[1]);
}

/* argv = targets… CMD rest…, turned into CMD targets… rest…; NULL when the word after the targets is no command
 * that has a target. */
static const struct mt_command *turn_round(int argc, char **argv, int targets)
{
    const struct mt_command *command = targets < argc ? find(argv[targets], true) : NULL;
    if (command != NULL) {
        char *name = argv[targets];
        memmove(argv + 1, argv, (size_t)targets * sizeof *argv);
        argv[0] = name;
    }
    return command;
}

/* -t FILE…: drops the "-t" words in place; returns how many targets there are, -1 when one is missing. */
static int take_targets(int *argc, char **argv)
{
    int targets = 0;
    while (targets < *argc && (strcmp(argv[targets], "-t") == 0 || strcmp(argv[targets], "--target") == 0)) {
        if (targets + 1 >= *argc) {
            return -1;
        }
        memmove(argv + targets, argv + targets + 1, (size_t)(*argc - targets) * sizeof *argv); /* and the NULL */
        (*argc)--;
        targets++;
    }
    return targets;
}

static int usage(const char *message)
{
    mt_say("memtap: %s; `memtap help` shows how", message);
    return MT_EXIT_USAGE;
}

static bool is_pid(const char *word)
{
    return word[0] != '\0' && word[strspn(word, "0123456789")] == '\0' && access(word, F_OK) != 0;
}

/* `memtap PID …`: the same as attach. */
static int attach_to(int argc, char **argv)
{
    char **words = mt_alloc_zero((size_t)argc + 2, sizeof *words);
    char name[] = "attach";
    words[0] = name;
    memcpy(words + 1, argv, (size_t)argc * sizeof *words);
    int code = mt_command_attach.run(argc + 1, words);
    free(words);
    return code;
}

/* argv without the program's name. */
static int dispatch(int argc, char **argv)
{
    int targets = take_targets(&argc, argv);
    if (targets < 0) {
        return usage("-t needs a FILE or PID");
    }
    if (targets > 0) {
        const struct mt_command *turned = turn_round(argc, argv, targets);
        return turned != NULL   ? turned->run(argc, argv)
               : targets < argc ? unknown(argv[targets])
                                : usage("no command after -t");
    }
    const struct mt_command *command = find(argv[0], false);
    if (command == NULL && argc > 1) {
        command = turn_round(argc, argv, 1);
    }
    if (command == NULL && is_pid(argv[0])) {
        return attach_to(argc, argv);
    }
    return command != NULL ? command->run(argc, argv) : unknown(argv[0]);
}

/* What a step of a command freed, the next one takes: given back to the kernel in between, each page would be a fault again. Blocks
 * from LARGE_BYTES on stay mappings of their own: they grow without being copied. */
static void keep_memory(void)
{
    enum { LARGE_BYTES = 2 * 1024 * 1024, KEPT_BYTES = 64 * 1024 * 1024, STEP_BYTES = 256 * 1024 };
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    (void)mallopt(M_TOP_PAD, STEP_BYTES);
}

int main(int argc, char **argv)
{
    keep_memory();
    if (argc < 2) {
        print_overview(stderr);
        return MT_EXIT_USAGE;
    }
    const char *first = argv[1];
    if (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0) {
        return print_version();
    }
    if (strcmp(first, "-h") == 0 || strcmp(first, "--help") == 0 || strcmp(first, "help") == 0) {
        return help(argc - 1, argv + 1);
    }
    mt_interrupt_install();
    mt_completion_tell(mt_commands, mt_command_count);
    return dispatch(argc - 1, argv + 1);
}
