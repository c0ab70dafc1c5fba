/* tree.c: `memtap tree`: the call tree of the selected memory. */
#include "cli/select.h"

struct values {
    struct mt_select select; /* first: mt_select_main */
    int by;                  /* in by_words */
};

static const char *const by_words[] = { "function", "line", "label", "task", NULL };
static const enum mt_table_by by_numbers[] = { MT_BY_FUNCTION, MT_BY_LINE, MT_BY_LABEL, MT_BY_TASK };
static const struct mt_option own[] = {
    { "by", 0, MT_OPTION_CHOICE, offsetof(struct values, by), by_words, NULL, 0, "WHAT",
      "nodes are lines (default) or functions; label, task: lines, below each label or task that the program said" },
    { "invert", 0, MT_OPTION_FLAG, offsetof(struct values, select.details.invert), NULL, NULL, 0, NULL,
      "start at the allocating functions; children are callers" },
    { "full-paths", 0, MT_OPTION_FLAG, offsetof(struct values, select.details.full_paths), NULL, NULL, 0, NULL,
      "whole paths; they are shortened to what tells them apart" },
    { 0 },
};
static const struct mt_option *const tables[] = { mt_select_what, own, mt_select_rows, mt_select_leaks, mt_select_output, NULL };

static const struct mt_command_doc doc = {
    .name = "tree",
    .summary = "the call tree of the selected memory, biggest branch first",
    .synopsis = "memtap tree [OPTIONS] FILE…",
    .description =
        "Shows the ROWS largest nodes (default 40); what is left out is counted where it is missing. A chain of "
        "calls without a branch is not indented further. Frames are the program's and what its lines called; what libraries do "
        "inside is not shown, and a run of their frames between two of the program is one line, as \"⋯ 6 frames\" (--all-frames "
        "shows them). -f json is a flat array, parents before children: "
        "{id, parent, depth, function, file, line, bytes, count, percent, self_bytes, self_count}; a node that is a label has label "
        "(with --by task: task) too.",
    .notes = mt_select_notes,
    .examples = "memtap tree app.mtap\n"
                "memtap tree --leaks --invert -n 100 app.mtap\n"
                "memtap tree --at 50% --by function app.mtap",
    .tables = tables,
    .one_of = mt_select_one_of,
};

static void settle(void *values)
{
    struct values *v = values;
    v->select.details.by = by_numbers[v->by];
}

static int tree_main(int argc, char **argv)
{
    static const struct mt_reading_plan plan = {
        .doc = &doc, .settle = settle, .report = MT_PROFILE_TREE, .default_rows = 40
    };
    struct values values = { .select = MT_SELECT_DEFAULTS, .by = 1 };
    return mt_select_main(&plan, &values, argc, argv);
}

const struct mt_command mt_command_tree = { &doc, tree_main };
