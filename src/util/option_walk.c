/* option_walk.c: see option_walk.h. */
#include "util/option_walk.h"

const char mt_option_environment_text[] =
    "Each option --some-name with a value has a variable MEMTAP_SOME_NAME; an option wins over its variable. "
    "NO_COLOR turns colour off.";
const char mt_option_exit_codes_text[] =
    "0  done\n"
    "1  the question failed: missing, foreign or corrupt trace, output not writable\n"
    "2  wrong usage";

void mt_option_each(const struct mt_command_doc *doc, void (*visit)(const struct mt_option *option, void *with), void *with)
{
    for (const struct mt_option *const *table = doc->tables; table != NULL && *table != NULL; table++) {
        for (const struct mt_option *option = *table; option->name != NULL; option++) {
            visit(option, with);
        }
    }
    static const struct mt_option help = { .name = "help", .letter = 'h', .help = "show this page" };
    visit(&help, with);
}

enum mt_option_argument mt_option_takes(const struct mt_option *option)
{
    switch (option->kind) {
    case MT_OPTION_FLAG:
    case MT_OPTION_SWITCH:
        return MT_ARGUMENT_NONE;
    case MT_OPTION_CALL:
        return option->takes == MT_ARGUMENT_DEFAULT ? MT_ARGUMENT_NONE : option->takes;
    case MT_OPTION_TEXT:
    case MT_OPTION_SIZE:
    case MT_OPTION_DURATION:
    case MT_OPTION_COUNT:
    case MT_OPTION_CHOICE:
    case MT_OPTION_TEXT_LAST:
    default:
        return MT_ARGUMENT_REQUIRED;
    }
}
