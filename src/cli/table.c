/* table.c: `memtap table`: allocations as a flat list, by line, function, file, type, thread or module. */
#include "cli/select.h"

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

static void settle(void *values)
{
    struct values *v = values;
    v->select.details.by = (enum mt_table_by)v->by;
}

static int table_main(int argc, char **argv)
{
    static const struct mt_reading_plan plan = {
        .doc = &doc, .settle = settle, .report = MT_PROFILE_TABLE, .default_rows = 20
    };
    struct values values = { .select = MT_SELECT_DEFAULTS, .by = MT_BY_LINE };
    return mt_select_main(&plan, &values, argc, argv);
}

const struct mt_command mt_command_table = { &doc, table_main };
