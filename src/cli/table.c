/* table.c: `memtap table`: allocations as a flat list, by place, type, thread or module. */
#include "cli/select.h"

static const struct mt_option *const tables[] = { mt_select_what, mt_select_places, mt_select_rows, mt_select_leaks, mt_select_output, NULL };

static const struct mt_command_doc doc = {
    .name = "table",
    .summary = "allocations as a flat list, largest first",
    .synopsis = "memtap table [OPTIONS] FILE…",
    .description =
        "One row a place: the line of the program that the memory is for, and behind the arrow what allocated it. Memory that "
        "wrappers (operator new, std::, zmalloc, PyMem_Malloc …), the standard library and installed packages allocate belongs "
        "to the line of the program that called them, what importing a module allocates to the import. The rows' own amounts "
        "add up to the whole, over all processes of the run. -f json gives an array of {function, file, line, bytes, count, "
        "percent, thread (with --by thread; likewise label and task, null where there is none), by[], stacks, stack[]}, "
        "innermost frame first; stack is the heaviest one of the row.",
    .notes = mt_select_notes,
    .examples = "memtap table app.mtap\n"
                "memtap table --by function --leaks -n 50 app.mtap\n"
                "memtap table --leaks --stacks -n 3 app.mtap\n"
                "memtap table --invert --wrapper \"pool_*\" app.mtap\n"
                "memtap table --by label app.mtap\n"
                "memtap table --by thread -f json -o threads.json app.mtap app.*.mtap",
    .tables = tables,
    .one_of = mt_select_one_of,
};

static int table_main(int argc, char **argv)
{
    static const struct mt_reading_plan plan = {
        .doc = &doc, .report = MT_PROFILE_TABLE, .default_rows = 20
    };
    return mt_select_report(&plan, argc, argv);
}

const struct mt_command mt_command_table = { &doc, table_main };
