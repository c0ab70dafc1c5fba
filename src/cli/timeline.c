/* timeline.c: `memtap timeline`: the heap over time. */
#include "cli/select.h"

static const struct mt_option intervals[] = {
    { "rows", 'n', MT_OPTION_COUNT, offsetof(struct mt_select, rows), NULL, NULL, 0, "ROWS",
      "divide the recording into ROWS intervals; default 20, in data formats 1000" },
    { "thread", 0, MT_OPTION_TEXT, offsetof(struct mt_select, what.thread), NULL, NULL, 0, "T",
      "only what this thread (id or name) allocated" },
    { 0 },
};

static const struct mt_option *const tables[] = { intervals, mt_select_output, NULL };

static const struct mt_command_doc doc = {
    .name = "timeline",
    .summary = "the heap over time",
    .synopsis = "memtap timeline [OPTIONS] FILE…",
    .description = "Prints what the heap held at the end of each of several equal intervals, the most it held inside, and how many "
                   "allocations were alive. -f json is an array of objects with time_s (the end of the interval), heap_bytes, "
                   "heap_max_bytes and allocations; `memtap table --at T FILE` says what it was.",
    .notes = mt_select_notes,
    .examples = "memtap timeline app.mtap\n"
                "memtap timeline -n 100 -f csv app.mtap",
    .tables = tables,
};

static int timeline_main(int argc, char **argv)
{
    static const struct mt_reading_plan plan = { .doc = &doc, .report = MT_PROFILE_TIMELINE, .default_rows = 20 };
    return mt_select_report(&plan, argc, argv);
}

const struct mt_command mt_command_timeline = { &doc, timeline_main };
