/* outcome.c: see outcome.h. */
#include "cli/outcome.h"

const char *const mt_outcome_formats[] = { "table", "json", NULL };

mt_status mt_outcome_begin(struct mt_outcome *outcome, struct mt_error *err)
{
    mt_status status = mt_out_open(NULL, &outcome->out, err);
    if (status == MT_OK) {
        mt_json_init(&outcome->json, outcome->out, 2);
    }
    return status;
}

int mt_outcome_end(const struct mt_command_doc *doc, struct mt_outcome *outcome)
{
    struct mt_error err = { 0 };
    mt_out_byte(outcome->out, '\n');
    return mt_out_commit(outcome->out, &err) == MT_OK ? MT_EXIT_OK : mt_command_fail(doc, MT_EXIT_FAILED, &err);
}
