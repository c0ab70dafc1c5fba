/* command.c: what all commands do alike: options, help, failures. */
#include "cli/command.h"

#include "util/say.h"

int mt_command_fail(const struct mt_command_doc *doc, int code, const struct mt_error *err)
{
    mt_say("memtap %s: %s", doc->name, mt_error_text(err));
    return code;
}

bool mt_command_options(const struct mt_command_doc *doc, int argc, char **argv, void *values,
                        struct mt_operands *operands, int *ret_code)
{
    struct mt_error err = { 0 };
    struct mt_out *out;
    if (mt_options_parse(doc, argc, argv, values, operands, &err) != MT_OK) {
        *ret_code = mt_command_fail(doc, MT_EXIT_USAGE, &err);
        return false;
    }
    if (!operands->help) {
        return true;
    }
    *ret_code = MT_EXIT_OK;
    if (mt_out_open(NULL, &out, &err) == MT_OK) {
        mt_options_help(doc, out);
        *ret_code = mt_out_commit(out, &err) == MT_OK ? MT_EXIT_OK : MT_EXIT_FAILED;
    }
    return false;
}
