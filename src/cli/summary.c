/* summary.c: `memtap summary`: the functions that hold the most memory, with what they hold themselves and with
 * callees. */
#include "cli/select.h"
#include "export/rows.h"
#include "export/stats.h"

#include <stdlib.h>

static const struct mt_option *const tables[] = { mt_select_what, mt_select_rows, mt_select_output, NULL };

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
};

static void write_head(struct mt_out *out, const struct mt_report *report)
{
    char *command = mt_report_command(mt_trace_info(mt_report_root(report->set)));
    mt_out_print(out, "%s\n", command);
    mt_stats_brief(out, report);
    mt_out_byte(out, '\n');
    free(command);
}

static mt_status write(struct mt_out *out, const struct mt_report *report, void *context, struct mt_error *err)
{
    struct mt_table table = { 0 };
    const struct mt_reading *reading = context;
    mt_status status = mt_table_make(&reading->loaded.profile, report->frames, MT_BY_FUNCTION, &table);
    if (status != MT_OK) {
        return mt_error_set(err, status, "cannot make the table: %s", mt_status_text(status));
    }
    if (report->format == MT_FORMAT_TABLE) {
        write_head(out, report);
    }
    mt_rows_write_table(out, report, &table, MT_BY_FUNCTION);
    mt_table_fini(&table);
    return MT_OK;
}

static int summary_main(int argc, char **argv)
{
    static const struct mt_reading_plan plan = { .doc = &doc, .write = write, .default_rows = 10, .frames = true };
    struct mt_select select = MT_SELECT_DEFAULTS;
    return mt_select_main(&plan, &select, argc, argv);
}

const struct mt_command mt_command_summary = { &doc, summary_main };
