/* summary.c: `memtap summary`: the functions that hold the most memory, with what they hold themselves and with
 * callees. */
#include "cli/select.h"

static const struct mt_option *const tables[] = { mt_select_what, mt_select_shown, mt_select_rows, mt_select_leaks, mt_select_output, NULL };

static const struct mt_command_doc doc = {
    .name = "summary",
    .summary = "the functions that hold the most memory",
    .synopsis = "memtap summary [OPTIONS] FILE…",
    .description = "Prints the recording's main numbers and the functions with the largest own share of the selected "
                   "memory. \"own\" is what the function allocated itself, \"with callees\" also what the functions it "
                   "called allocated.",
    .notes = mt_select_notes,
    .examples = "memtap summary app.mtap\n"
                "memtap summary --leaks -n 5 app.mtap\n"
                "memtap app.mtap summary -f json",
    .tables = tables,
    .one_of = mt_select_one_of,
};

static int summary_main(int argc, char **argv)
{
    static const struct mt_reading_plan plan = { .doc = &doc, .report = MT_PROFILE_SUMMARY, .default_rows = 10 };
    return mt_select_report(&plan, argc, argv);
}

const struct mt_command mt_command_summary = { &doc, summary_main };
