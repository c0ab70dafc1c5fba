/* table.c: `memtap table`: allocations as a flat list, by line, function, file, type, thread or module. */
#include "cli/select.h"
#include "export/rows.h"

struct values {
    struct mt_select select; /* first: mt_select_main */
    int by;                  /* enum mt_table_by */
};

static const char *const by_words[] = { "function", "file", "line", "type", "thread", "module", NULL };
static const struct mt_option own[] = {
    { "by", 0, MT_OPTION_CHOICE, offsetof(struct values, by), by_words, NULL, 0, "WHAT",
      "rows are function, file, line (default), type (allocator), thread or module (binary or Python package)" },
    { 0 },
};
static const struct mt_option *const tables[] = { mt_select_what, own, mt_select_rows, mt_select_output, NULL };

static const struct mt_command_doc doc = {
    .name = "table",
    .summary = "allocations as a flat list, largest first",
    .synopsis = "memtap table [OPTIONS] FILE…",
    .description =
        "One row a place that allocated. The rows' own amounts add up to the whole. -f json gives an array of "
        "{function, file, line, bytes, count, percent, thread (with --by thread), stack[]}, innermost frame "
        "first; stack is the heaviest one of the row.",
    .notes = mt_select_notes,
    .examples = "memtap table app.mtap\n"
                "memtap table --by function --leaks -n 50 app.mtap\n"
                "memtap table --by thread -f json -o threads.json app.mtap app.*.mtap",
    .tables = tables,
};

static void prepare(void *values, struct mt_load_options *options)
{
    const struct values *v = values;
    options->by_thread = v->by == MT_BY_THREAD;
    options->by_allocator = v->by == MT_BY_TYPE;
}

static mt_status write(struct mt_out *out, const struct mt_report *report, void *context, struct mt_error *err)
{
    struct mt_table table = { 0 };
    const struct mt_reading *reading = context;
    enum mt_table_by by = (enum mt_table_by)((const struct values *)reading->values)->by;
    mt_status status = mt_table_make(&reading->loaded.profile, report->frames, by, &table);
    if (status != MT_OK) {
        return mt_error_set(err, status, "cannot make the table: %s", mt_status_text(status));
    }
    mt_rows_write_table(out, report, &table, by);
    mt_table_fini(&table);
    return MT_OK;
}

static int table_main(int argc, char **argv)
{
    static const struct mt_reading_plan plan = {
        .doc = &doc, .prepare = prepare, .write = write, .default_rows = 20, .frames = true
    };
    struct values values = { .select = MT_SELECT_DEFAULTS, .by = MT_BY_LINE };
    return mt_select_main(&plan, &values, argc, argv);
}

const struct mt_command mt_command_table = { &doc, table_main };
